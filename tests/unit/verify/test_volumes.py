"""Volumes are used by an instance whose words are held against what was written."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cairn.verify import run as verify_run
from cairn.verify import volume as verify_volume
from cairn.verify.run import ProofError, Run
from tests.unit.verify.library import Catalog

GIB = 1024**3


class Cloud(Catalog):
    """Cinder, nova and a guest in memory. `spoilt` names what does not work."""

    def __init__(self) -> None:
        self.volumes_: dict[str, Any] = {}
        self.snapshots_: dict[str, Any] = {}
        self.attached: list[str] = []
        self.spoilt: set[str] = set()
        self.cut_off = False  # the guest's next list of disks ends early
        self.endpoints = {"block-storage": "https://cloud:8776/v3"}
        self.compute = self

    @property
    def block_storage(self) -> Any:
        return self.proxy("block-storage", self)

    # cinder
    def add(self, kind: dict[str, Any], name: str, size: int, word: str) -> Any:
        one = SimpleNamespace(id=f"{name}{len(kind) + 1}", name=name, size=size, word=word,
                              status="available", project_id="p1")  # fmt: skip
        if name in self.spoilt:
            one.status = "error"
        kind[one.id] = one
        return one

    def create_volume(self, name: str, size: int, snapshot_id: str = "") -> Any:
        word = self.snapshots_[snapshot_id].word if snapshot_id else ""
        return self.add(self.volumes_, "v", size, "" if "copy" in self.spoilt else word)

    def create_snapshot(self, name: str, volume_id: str, is_forced: bool) -> Any:
        return self.add(self.snapshots_, "s", 1, self.volumes_[volume_id].word)

    def get_volume(self, ident: str) -> Any:
        return self.volumes_[ident]

    def get_snapshot(self, ident: str) -> Any:
        return self.snapshots_[ident]

    def post(self, path: str, json: Any, microversion: str) -> Any:
        assert microversion == "3.42"
        if "extend" not in self.spoilt:
            self.volumes_[path.split("/")[2]].size = json["os-extend"]["new_size"]
        return SimpleNamespace(status_code=202)

    def volumes(self, all_projects: bool) -> list[Any]:
        return list(self.volumes_.values())

    def snapshots(self, all_projects: bool) -> list[Any]:
        return list(self.snapshots_.values())

    def delete_snapshot(self, one: Any, force: bool) -> None:
        del self.snapshots_[one.id]

    def delete_volume(self, one: Any, force: bool) -> None:
        assert not self.snapshots_, "a volume with snapshots cannot go"
        assert one.status in ("available", "error"), "a volume in use cannot go"
        del self.volumes_[one.id]

    def reset_volume_status(self, one: Any, status: str, attach_status: str) -> None:
        assert attach_status == "detached"
        one.status = status

    def wait_for_delete(self, one: Any, wait: float) -> None:
        assert one.id not in {**self.volumes_, **self.snapshots_}

    # nova
    def delete_volume_attachment(self, server: str, volume: str) -> None:
        self.attached.remove(volume)

    def create_volume_attachment(self, server: str, volume: str) -> None:
        self.attached.append(volume)
        if "data" in self.spoilt:
            self.volumes_[volume].word = ""

    # the guest
    def fetch(self, _: str, path: str) -> str | None:
        parts = urlsplit(path)
        names = [f"vd{letter}" for letter in "bcd"]
        there = dict(zip(names, self.attached, strict=False))
        if parts.path == "/cgi-bin/disks":
            if self.cut_off:
                self.cut_off = False
                return "["
            sizes = [f'{{"name": "{n}", "bytes": {self.volumes_[v].size * GIB}}}'
                     for n, v in there.items()]  # fmt: skip
            return f"[{', '.join(sizes)}]"
        query = {key: value[0] for key, value in parse_qs(parts.query).items()}
        if query["name"] not in there or ("word" in query and "write" in self.spoilt):
            return None
        volume = self.volumes_[there[query["name"]]]
        volume.word = query.get("word", volume.word)
        return f"{volume.word}\n"


@pytest.fixture
def run() -> Run:
    ids = {"server": "i1", "project": "p1", "image": "im1"}
    return Run("cairn-verify-1", "pw", "nonce", "req-1", "ssh", ids, floating_ip="198.18.40.101")


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud()
    monkeypatch.setattr(verify_volume, "user_cloud", lambda admin, run: made)
    monkeypatch.setattr(verify_volume, "fetch", made.fetch)
    monkeypatch.setattr(verify_volume.exceptions, "raise_from_response", lambda _: None)
    return made


def prove(cloud: Cloud, run: Run) -> list[str]:
    verify_volume.prepare(cloud, run, 0)
    cloud.attached.append(run.ids["volume"])
    return [finding.title for finding in verify_volume.volumes(cloud, run, 0)]


def test_a_volume_is_used_extended_detached_and_copied(cloud: Cloud, run: Run) -> None:
    assert prove(cloud, run) == [
        "volume in the instance",
        "snapshot while attached",
        "extended while attached",
        "detached and attached again",
        "volume of the snapshot",
    ]


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ("v", "volume v1 went to error"),
        ("s", "snapshot s1 went to error"),
        ("write", "the instance cannot write vdb"),
        ("extend", r"disks of \[2\] GiB in the instance: not within"),
        ("data", "attached again holds '', not 'second'"),
        ("copy", "the volume of the snapshot holds '', not 'nonce'"),
    ],
)
def test_what_does_not_work_is_an_error(spoilt: str, said: str, cloud: Cloud, run: Run) -> None:
    cloud.spoilt = {spoilt}
    with pytest.raises(ProofError, match=said):
        prove(cloud, run)


def test_a_page_that_is_cut_off_is_asked_for_again(cloud: Cloud, run: Run) -> None:
    cloud.cut_off = True
    cloud.attached.append(cloud.create_volume("v", 1).id)
    assert verify_volume.disks(run) is None
    assert verify_volume.disks(run) == {"vdb": 1}


def test_the_instance_is_created_with_its_volume_beside_its_image(run: Run) -> None:
    run.ids["volume"] = "v1"
    root, volume = verify_run.mapping(run)
    assert (root["boot_index"], root["destination_type"]) == (0, "local")
    assert (volume["uuid"], volume["delete_on_termination"]) == ("v1", False)


def test_a_cloud_without_volumes_is_none_the_worse(cloud: Cloud, run: Run) -> None:
    cloud.endpoints = {"compute": "https://cloud:8774/v2.1"}
    assert "no volume" in verify_volume.prepare(cloud, run, 0)
    assert "volume" not in run.ids
    assert verify_volume.forget(cloud, "p1") == []


def test_snapshots_go_before_their_volumes_and_other_projects_keep_theirs(
    cloud: Cloud, run: Run
) -> None:
    prove(cloud, run)
    verify_volume.prepare(cloud, run, 0)
    cloud.volumes_["v3"].project_id = "p2"
    assert len(verify_volume.forget(cloud, "p1")) == 3
    assert list(cloud.volumes_) == ["v3"]


def test_a_volume_goes_that_lost_its_host_while_it_was_in_use(cloud: Cloud, run: Run) -> None:
    verify_volume.prepare(cloud, run, 0)
    cloud.volumes_["v1"].status = "in-use"
    assert verify_volume.forget(cloud, "p1") == ["volume v"]
    assert not cloud.volumes_
