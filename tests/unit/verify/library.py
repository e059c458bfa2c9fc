"""Parts of the OpenStack client libraries, for doubles of clouds that raise as the libraries do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keystoneauth1 import access
from keystoneauth1.identity.access import AccessInfoPlugin
from keystoneauth1.session import Session
from openstack.service_description import _ServiceDisabledProxyShim


def catalog(endpoints: Mapping[str, str]) -> Session:
    """Keystone's session for a catalog of these public endpoints, by type of service."""
    services = [
        {"type": kind, "name": kind, "endpoints": [{"interface": "public", "url": url}]}
        for kind, url in endpoints.items()
    ]
    body = {"token": {"methods": ["password"], "catalog": services}}
    return Session(auth=AccessInfoPlugin(auth_ref=access.create(body=body, auth_token="t")))


class Catalog:
    """A cloud with the services of `endpoints`, which a test may change."""

    endpoints: dict[str, str]

    @property
    def session(self) -> Any:
        """Keystone's session."""
        return catalog(self.endpoints)

    def proxy(self, kind: str, there: Any) -> Any:
        """`there`, or what openstacksdk has for a service that the catalog lacks."""
        return there if kind in self.endpoints else _ServiceDisabledProxyShim(kind, "not there")
