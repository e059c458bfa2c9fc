"""Services that a cloud does not have are asked for in keystone's catalog, by the real library."""

from __future__ import annotations

from types import SimpleNamespace

from keystoneauth1 import access
from keystoneauth1.identity.access import AccessInfoPlugin
from keystoneauth1.session import Session

from cairn.verify import objects, run, stack, volume


def test_a_service_that_the_catalog_lacks_is_none() -> None:
    public = {"interface": "public", "region": "r", "url": "https://cloud:8774/v2.1"}
    catalog = [{"type": "compute", "name": "nova", "endpoints": [public]}]
    body = {"token": {"methods": ["password"], "catalog": catalog}}
    session = Session(auth=AccessInfoPlugin(auth_ref=access.create(body=body, auth_token="t")))
    cloud = SimpleNamespace(session=session)
    assert run.endpoint(cloud, "compute") == "https://cloud:8774/v2.1"
    assert run.endpoint(cloud, "block-storage") is None
    assert not volume.deployed(cloud)
    assert objects.forget(cloud, "p1") == []
    assert stack.forget(cloud, "p1") == []
