"""What is asked of the OpenStack client libraries is asked as they are, held against their code."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openstack.block_storage.v3._proxy import Proxy as BlockStorage
from openstack.compute.v2._proxy import Proxy as Compute
from openstack.identity.v3._proxy import Proxy as Identity
from openstack.image.v2._proxy import Proxy as Image
from openstack.network.v2._proxy import Proxy as Network
from openstack.object_store.v1._proxy import Proxy as ObjectStore
from openstack.orchestration.v1._proxy import Proxy as Orchestration
from openstack.placement.v1._proxy import Proxy as Placement

from cairn.verify import meters, objects, run, stack, volume
from cairn.verify.run import ProofError
from tests.unit.verify.library import Catalog

PROXIES = {
    "block_storage": BlockStorage,
    "compute": Compute,
    "identity": Identity,
    "image": Image,
    "network": Network,
    "object_store": ObjectStore,
    "orchestration": Orchestration,
    "placement": Placement,
}


class Cloud(Catalog):
    """A cloud that has nova only."""

    endpoints = {"compute": "https://cloud:8774/v2.1"}  # noqa: RUF012


@pytest.mark.parametrize("endpoints", [Cloud.endpoints, {}], ids=["nova only", "empty"])
def test_a_service_that_the_catalog_lacks_is_none(endpoints: dict[str, str]) -> None:
    cloud = Cloud()
    cloud.endpoints = endpoints
    assert run.endpoint(cloud, "compute") == endpoints.get("compute")
    assert run.endpoint(cloud, "block-storage") is None
    assert not volume.deployed(cloud)
    assert objects.forget(cloud, "p1") == []
    assert stack.forget(cloud, "p1") == []
    assert meters.forget(cloud, "p1") == []


def test_a_service_that_must_be_there_is_named_if_it_is_not() -> None:
    with (
        pytest.raises(ProofError, match=r"asking cloud c: .*orchestration"),
        run.explained("asking cloud c"),
    ):
        Cloud().session.get_endpoint(service_type="orchestration", interface="public")


def calls(text: str) -> Iterator[tuple[str, str, int, set[str]]]:
    """Calls of a service's proxy: service, method, number of arguments, names of others."""
    tree = list(ast.walk(ast.parse(text)))
    modules = {n.name for node in tree if isinstance(node, ast.ImportFrom) for n in node.names}
    for node in tree:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value
        name = getattr(owner, "id", "")
        service = getattr(owner, "attr", "" if name in modules else name)
        spread = any(isinstance(argument, ast.Starred) for argument in node.args)
        if service in PROXIES and not spread:
            keywords = {keyword.arg for keyword in node.keywords if keyword.arg}
            yield service, node.func.attr, len(node.args), keywords


def test_the_sdk_takes_every_call_of_verify(root: Path) -> None:
    found = 0
    for path in sorted((root / "cairn/verify").glob("*.py")):
        for service, method, arguments, keywords in calls(path.read_text()):
            signature = inspect.signature(getattr(PROXIES[service], method))
            given: dict[str, Any] = dict.fromkeys(keywords)
            try:
                signature.bind(None, *[None] * arguments, **given)
            except TypeError as error:
                pytest.fail(f"{path.name}: {service}.{method}: {error}")
            found += 1
    assert found > 50


def test_a_call_that_the_sdk_does_not_know_is_seen() -> None:
    ((service, method, arguments, keywords),) = calls("a.network.delete_ip(one, when=2)")
    with pytest.raises(TypeError, match="when"):
        inspect.signature(getattr(PROXIES[service], method)).bind(
            None, *[None] * arguments, **dict.fromkeys(keywords)
        )
