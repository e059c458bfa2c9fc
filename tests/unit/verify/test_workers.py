"""Verify begins when the services behind the APIs have reported, and names those that have not."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from cairn.verify import run as verify_run
from cairn.verify import workers
from cairn.verify.run import ProofError
from tests.unit.verify.library import Catalog


def at(ago: float) -> str:
    """A time of so many seconds ago, as nova and cinder write it."""
    when = datetime.fromtimestamp(time.time() - ago, UTC)
    return when.replace(tzinfo=None).isoformat(timespec="microseconds")


def service(binary: str, host: str, up: bool = True, ago: float = 5, **other: Any) -> Any:
    """One entry of nova's or cinder's list."""
    state = "up" if up else "down"
    entry = {"binary": binary, "host": host, "state": state, "status": "enabled", **other}
    return SimpleNamespace(**{"updated_at": at(ago), **entry})


class Cloud(Catalog):
    """Three APIs in memory; each look at cinder's list takes the next of `volumes`."""

    def __init__(self) -> None:
        self.computes = [service("nova-compute", "compute1", is_forced_down=False)]
        self.volumes: list[list[Any]] = [[service("cinder-volume", "storage1@lvm")]]
        self.agents = [
            SimpleNamespace(
                binary="ovn-controller",
                host="network1",
                is_alive=True,
                is_admin_state_up=True,
                last_heartbeat_at=at(5).replace("T", " "),
            )
        ]
        self.endpoints = {"block-storage": "https://cloud:8776/v3"}
        self.compute = SimpleNamespace(services=lambda: iter(self.computes))
        self.network = SimpleNamespace(agents=lambda: iter(self.agents))

    @property
    def block_storage(self) -> Any:
        return self.proxy("block-storage", SimpleNamespace(services=self.looked))

    def looked(self) -> Any:
        return iter(self.volumes.pop(0) if len(self.volumes) > 1 else self.volumes[0])


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A cloud that is well; its time passes by itself."""
    passed = [0.0]
    monkeypatch.setattr(
        verify_run,
        "time",
        SimpleNamespace(
            monotonic=lambda: passed[0],
            sleep=lambda seconds: passed.__setitem__(0, passed[0] + seconds),
            time=time.time,
        ),
    )
    return Cloud()


def test_a_cloud_that_is_well_is_asked_once(cloud: Cloud) -> None:
    assert workers.settle(cloud, 60) == ["services behind the APIs: 3 up"]


@pytest.mark.parametrize("records", [0, 1], ids=["no record yet", "a record, no report"])
def test_a_worker_that_starts_is_waited_for(cloud: Cloud, records: int) -> None:
    first = [service("cinder-volume", "storage1@lvm", up=False, ago=200)][:records]
    cloud.volumes = [first, first, cloud.volumes[0]]
    assert workers.settle(cloud, 60) == ["services behind the APIs: 3 up"]


def test_one_that_has_never_reported_is_waited_for(cloud: Cloud) -> None:
    new = service("cinder-volume", "storage1@lvm", up=False)
    new.updated_at = None
    cloud.volumes = [[new], cloud.volumes[0]]
    assert workers.settle(cloud, 60) == ["services behind the APIs: 3 up"]


def test_one_that_does_not_come_is_named_with_its_host(cloud: Cloud) -> None:
    cloud.volumes = [[service("cinder-volume", "storage1@lvm", up=False, ago=60)]]
    with pytest.raises(ProofError, match=r"cinder-volume on storage1@lvm: not up within 60 s"):
        workers.settle(cloud, 60)


def test_a_cloud_without_a_compute_host_is_an_error(cloud: Cloud) -> None:
    cloud.computes = []
    with pytest.raises(ProofError, match="any nova-compute: not up within 60 s"):
        workers.settle(cloud, 60)


def test_a_record_that_was_left_behind_stops_nothing_and_is_shown(cloud: Cloud) -> None:
    days = 3 * 86400
    cloud.computes.append(
        service("nova-compute", "compute7", up=False, ago=days, is_forced_down=False)
    )
    (line,) = workers.settle(cloud, 60)
    assert line == "services behind the APIs: 3 up, down for long: nova-compute on compute7"


@pytest.mark.parametrize("how", [{"status": "disabled"}, {"is_forced_down": True}])
def test_what_an_administrator_has_disabled_counts_for_nothing(cloud: Cloud, how: Any) -> None:
    entry = {"up": False, "ago": 60, "is_forced_down": False, **how}
    cloud.computes.append(service("nova-compute", "compute7", **entry))
    assert workers.settle(cloud, 60) == ["services behind the APIs: 3 up"]


def test_a_cloud_without_volumes_has_no_workers_of_theirs(cloud: Cloud) -> None:
    cloud.endpoints = {"compute": "https://cloud:8774/v2.1"}
    assert workers.settle(cloud, 60) == ["services behind the APIs: 2 up"]
