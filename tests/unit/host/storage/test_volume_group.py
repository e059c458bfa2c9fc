"""Of which disks a volume group is made, and which are left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cairn.preflight.disks import check_shared_disks, check_volume_group
from cairn_host import errors, system
from cairn_host.storage import volume_group
from cairn_host.storage.volume_group import plan

Data = dict[str, Any]
NAME = "cinder-volumes"
EXT4 = {"type": "ext4", "label": "home", "uuid": "5ef332d4"}


def device(real: str, *signatures: Data, used: str = "") -> Data:
    return {"real": real, "size_mb": 8192, "used": used, "signatures": list(signatures)}


@pytest.fixture
def host() -> Data:
    """A host with two blank disks."""
    return {
        "devices": {"/dev/vdb": device("/dev/vdb"), "/dev/vdc": device("/dev/vdc")},
        "disks": {"vda": {}, "vdb": {}, "vdc": {}},
        "volume_groups": {},
        "records": {},
    }


def problems(disks: list[str], host: Data) -> list[str]:
    return [text for text, _ in plan(NAME, disks, host).problems]


def test_blank_disks_become_the_group(host: Data) -> None:
    found = plan(NAME, ["/dev/vdb", "/dev/vdc"], host)
    assert (found.create, found.extend, found.problems) == (["/dev/vdb", "/dev/vdc"], [], [])


def test_a_disk_is_known_by_any_of_its_names(host: Data) -> None:
    host["devices"]["/dev/disk/by-id/x"] = device("/dev/vdb", {"type": "LVM2_member"})
    host["volume_groups"] = {NAME: ["/dev/vdb"]}
    assert plan(NAME, ["/dev/disk/by-id/x"], host) == volume_group.Plan()


def test_a_further_disk_extends_the_group(host: Data) -> None:
    host["volume_groups"] = {NAME: ["/dev/vdb"]}
    assert plan(NAME, ["/dev/vdb", "/dev/vdc"], host).extend == ["/dev/vdc"]


def test_an_operators_own_group_needs_no_disks(host: Data) -> None:
    host["volume_groups"] = {NAME: ["/dev/md0"]}
    assert plan(NAME, [], host) == volume_group.Plan()


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            device("/dev/vdb", EXT4),
            "disk /dev/vdb holds data: ext4 labelled home with UUID 5ef332d4",
        ),
        (device("/dev/vdb", {"type": "gpt"}, {"type": "PMBR"}), "holds data: gpt, PMBR"),
        (device("/dev/vdb", used="mounted on /srv"), "disk /dev/vdb is in use: mounted on /srv"),
        (None, "has no disk /dev/vdb; it has /dev/vda, /dev/vdb, /dev/vdc"),
    ],
)
def test_a_disk_that_is_not_blank_is_refused_and_so_is_the_whole(
    found: Data | None, text: str, host: Data
) -> None:
    host["devices"]["/dev/vdb"] = found
    decided = plan(NAME, ["/dev/vdc", "/dev/vdb"], host)
    assert decided.create == []
    (problem,) = decided.problems
    assert text in problem[0]


def test_how_to_force_it_is_said_and_then_only_that_is_erased(host: Data) -> None:
    host["devices"]["/dev/vdb"] = device("/dev/vdb", EXT4)
    ((_, remedy),) = plan(NAME, ["/dev/vdb"], host).problems
    assert "{device: /dev/vdb, erase: 5ef332d4}" in remedy
    found = plan(NAME, [{"device": "/dev/vdb", "erase": "5ef332d4"}, "/dev/vdc"], host)
    assert (found.create, found.erase) == (["/dev/vdb", "/dev/vdc"], ["/dev/vdb"])
    found = plan(NAME, [{"device": "/dev/vdb", "erase": "another"}], host)
    assert found.problems and not found.erase


def test_what_may_be_erased_is_not_erased_where_it_is_a_groups_or_in_use(host: Data) -> None:
    member = {"type": "LVM2_member", "uuid": "pv1"}
    disk = {"device": "/dev/vdb", "erase": "pv1"}
    host["devices"]["/dev/vdb"] = device("/dev/vdb", member)
    host["volume_groups"] = {"system": ["/dev/vdb"]}
    found = plan(NAME, [disk], host)
    assert found.problems[0][0] == "disk /dev/vdb belongs to volume group system"
    assert found.erase == []
    host["volume_groups"] = {NAME: ["/dev/vdb"]}
    assert plan(NAME, [disk], host) == volume_group.Plan()
    host["volume_groups"], host["devices"]["/dev/vdb"]["used"] = {}, "held by dm-0"
    assert plan(NAME, [disk], host).erase == []


def test_a_disk_that_cannot_be_read_is_not_blank(host: Data) -> None:
    host["devices"]["/dev/vdb"]["error"] = "/dev/vdb: Input/output error"
    assert problems(["/dev/vdb"], host) == [
        "disk /dev/vdb cannot be read: /dev/vdb: Input/output error"
    ]


def test_a_disk_of_another_group_is_refused(host: Data) -> None:
    host["volume_groups"] = {"system": ["/dev/vdb"]}
    assert problems(["/dev/vdb"], host) == ["disk /dev/vdb belongs to volume group system"]


def test_before_lvm_can_tell_whose_a_disk_is_it_is_not_touched(host: Data) -> None:
    host["devices"]["/dev/vdb"] = device("/dev/vdb", {"type": "LVM2_member"})
    ((text, remedy),) = plan(NAME, ["/dev/vdb"], host).problems
    assert "LVM2_member" in text
    assert "apt-get install lvm2" in remedy


def test_one_disk_named_twice(host: Data) -> None:
    host["devices"]["/dev/disk/by-id/x"] = device("/dev/vdb")
    assert problems(["/dev/vdb", "/dev/disk/by-id/x"], host) == [
        "/dev/disk/by-id/x is the same disk as /dev/vdb"
    ]


def test_a_group_that_was_there_is_not_made_again_on_blank_disks(host: Data) -> None:
    host["records"] = {volume_group.RECORD: "hash"}
    (text,) = problems(["/dev/vdb"], host)
    assert "has disappeared" in text


def test_no_group_and_nothing_to_make_it_of(host: Data) -> None:
    (text,) = problems([], host)
    assert text == f"has no volume group {NAME}, and no disk for it"


def test_a_group_that_lost_a_disk(host: Data) -> None:
    host["volume_groups"] = {NAME: ["/dev/vdb", volume_group.LOST]}
    assert problems(["/dev/vdb"], host) == [f"volume group {NAME} lacks a disk"]


# --- preflight ---------------------------------------------------------------------------------


def test_preflight_stops_at_a_disk_that_holds_data(host: Data) -> None:
    host["devices"]["/dev/vdb"] = device("/dev/vdb", EXT4)
    (finding,) = check_volume_group("storage1", host, NAME, ["/dev/vdb"])
    assert (finding.severity, finding.check, finding.host) == ("error", "disks", "storage1")
    assert check_volume_group("storage1", host, NAME, ["/dev/vdc"]) == []


def test_preflight_stops_at_a_disk_of_two_services(host: Data) -> None:
    host["devices"]["/dev/disk/by-id/x"] = device("/dev/vdb")
    claims = {"cinder_volume_disks": ["/dev/vdb"], "swift_disks": ["/dev/disk/by-id/x"]}
    (finding,) = check_shared_disks("storage1", host, claims)
    assert "/dev/disk/by-id/x is in swift_disks and in cinder_volume_disks" in finding.text
    assert check_shared_disks("storage1", host, claims | {"swift_disks": ["/dev/vdc"]}) == []


# --- on the host -------------------------------------------------------------------------------


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have been run on a host with one group `system` on /dev/vda3."""
    ran: list[list[str]] = []
    disks = [
        {"pv_name": "/dev/vda3", "vg_name": "system"},
        {"pv_name": "/dev/vdz", "vg_name": ""},
    ]

    def must(command: list[str], _: str, **__: Any) -> str:
        if command[0] != "pvs":
            ran.append(command)
        return json.dumps({"report": [{"pv": disks}]})

    monkeypatch.setattr(system, "must", must)
    monkeypatch.setattr(volume_group.shutil, "which", lambda *_, **__: "/usr/sbin/pvs")
    monkeypatch.setattr(volume_group, "read_device", lambda path: device(path))
    return ran


def test_groups_are_read_with_their_disks(commands: list[list[str]]) -> None:
    assert volume_group.read_volume_groups() == {"system": ["/dev/vda3"]}


def test_the_group_is_made_once_all_disks_were_found_in_order(commands: list[list[str]]) -> None:
    done = volume_group.prepare(NAME, ["/dev/vdb", "/dev/vdc"], {}, check=False)
    assert commands == [["vgcreate", NAME, "/dev/vdb", "/dev/vdc"]]
    assert done == [f"vgcreate {NAME} /dev/vdb /dev/vdc"]


def test_what_may_be_destroyed_is_cleared_once_all_disks_were_found_in_order(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = {"device": "/dev/vdb", "erase": "5ef332d4"}
    monkeypatch.setattr(volume_group, "read_device", lambda path: device(path, EXT4))
    volume_group.prepare(NAME, [disk], {}, check=True)
    with pytest.raises(errors.HostError, match="no disk was touched"):
        volume_group.prepare(NAME, [disk, "/dev/vdc"], {}, check=False)
    assert commands == []
    volume_group.prepare(NAME, [disk], {}, check=False)
    assert commands == [["wipefs", "--all", "/dev/vdb"], ["vgcreate", NAME, "/dev/vdb"]]


def test_check_mode_only_tells(commands: list[list[str]]) -> None:
    assert volume_group.prepare(NAME, ["/dev/vdb"], {}, check=True)
    assert commands == []


def test_nothing_is_touched_if_any_disk_is_wrong(commands: list[list[str]]) -> None:
    with pytest.raises(errors.HostError, match=r"(?s)no disk was touched.*volume group system"):
        volume_group.prepare(NAME, ["/dev/vdb", "/dev/vda3"], {}, check=False)
    assert commands == []


def test_a_host_without_lvm_has_no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_group.shutil, "which", lambda *_, **__: None)
    assert volume_group.read_volume_groups() == {}
