"""What cinder and its initiators put on hosts, where it is easy to get wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cairn.service.iscsi import initiator_name
from cairn.service.model import Model

Ini = Callable[..., dict[str, dict[str, str]]]
Units = Callable[..., dict[str, dict[str, Any]]]
Content = Callable[..., str]
CINDER = {"services": ["cinder"]}
NFS = {**CINDER, "cinder_backends": ["nfs"], "cinder_nfs_shares": ["192.0.2.9:/a", "192.0.2.9:/b"]}


def packages(model: Model, role: str) -> set[str]:
    manifest = model.manifest(role)
    return set(manifest["packages"]) if manifest else set()


def test_a_site_without_cinder_has_nothing_of_it(
    make_model: Callable[..., Model], ini: Ini
) -> None:
    model = make_model("compute1", services=["heat"])
    assert not {"cinder", "iscsi"} & set(model.roles())
    assert "cinder" not in ini("nova", "nova.conf", "compute1", services=["heat"])


@pytest.mark.parametrize(("role", "host"), [("cinder", "storage1"), ("nova", "compute1")])
def test_nfs_brings_no_port_mapper_that_listens(units: Units, role: str, host: str) -> None:
    found = units(role, host, **NFS)
    for name in ("rpcbind.socket", "rpcbind"):
        assert (found[name]["state"], found[name]["enabled"]) == ("stopped", False)
    assert "rpcbind" not in units(role, host, **CINDER)


def test_controllers_decide_and_storage_hosts_keep(units: Units) -> None:
    assert set(units("cinder", "controller1", **CINDER)) == {"cinder-api", "cinder-scheduler"}
    assert set(units("cinder", "storage1", **CINDER)) == {"cinder-targets", "cinder-volume"}


def test_volumes_cross_the_storage_plane_and_ask_for_a_password(ini: Ini) -> None:
    lvm = ini("cinder", "cinder.conf", "storage1", **CINDER)["lvm"]
    assert lvm["target_ip_address"] == "198.51.100.31"
    assert (lvm["target_helper"], lvm["use_chap_auth"]) == ("lioadm", "true")


def test_each_host_is_known_to_targets_by_a_name_of_its_own(content: Content) -> None:
    names = {
        re.search(r"^InitiatorName=(iqn\S+)$", content("iscsi", path, host, **CINDER), re.M)
        for path in ["/etc/iscsi/initiatorname.iscsi"]
        for host in ("compute1", "compute2", "storage1")
    }
    assert None not in names
    assert len({found[1] for found in names if found}) == 3


def test_an_initiators_name_stays_and_is_no_other_clouds() -> None:
    name = initiator_name
    here = {"region": "RegionOne", "vips": {"internal": "192.0.2.10"}}
    there = {**here, "vips": {"internal": "192.0.2.20"}}
    assert name(here, "compute1") == name(here, "compute1") != name(there, "compute1")
    assert re.fullmatch(r"iqn\.1993-08\.org\.debian:01:[0-9a-f]{16}", name(here, "compute1"))


@pytest.mark.parametrize(("multipath", "seconds"), [(False, "-1"), (True, "15")])
def test_io_waits_for_a_lost_target_unless_another_path_takes_over(
    multipath: bool, seconds: str, content: Content, units: Units, ini: Ini
) -> None:
    arguments = {**CINDER, "iscsi_multipath": multipath}
    settings = content("iscsi", "/etc/iscsi/iscsid.conf", "compute1", **arguments)
    assert f"replacement_timeout = {seconds}\n" in settings
    assert ("multipathd" in units("iscsi", "compute1", **arguments)) is multipath
    libvirt = ini("nova", "nova.conf", "compute1", **arguments)["libvirt"]
    assert libvirt["volume_use_multipath"] == str(multipath).lower()
    default = ini("cinder", "cinder.conf", "storage1", **arguments)["DEFAULT"]
    assert default["use_multipath_for_image_xfer"] == str(multipath).lower()


def multipath_conf(content: Content) -> dict[str, dict[str, str]]:
    """Sections of multipath.conf, with what each sets."""
    text = content("iscsi", "/etc/multipath.conf", "storage1", **CINDER, iscsi_multipath=True)
    sections = re.findall(r"^(\w+) \{\n(.*?)^\}$", text, re.M | re.S)
    return {name: dict(re.findall(r"^ +(\w+) (.+)$", body, re.M)) for name, body in sections}


@pytest.mark.parametrize(
    ("protocol", "taken"),
    [
        ("scsi:iscsi", True),
        *(
            (local, False)
            for local in ("scsi:sas", "scsi:ata", "scsi:unspec", "nvme:pcie", "undef")
        ),
    ],
)
def test_several_paths_are_looked_for_to_volumes_never_to_a_hosts_own_disks(
    protocol: str, taken: bool, content: Content
) -> None:
    found = multipath_conf(content)
    # As multipathd decides: an exception counts more than the list.
    listed, excepted = (
        re.search(found[name]["protocol"].strip('"'), protocol)
        for name in ("blacklist", "blacklist_exceptions")
    )
    assert (excepted is not None or listed is None) is taken


def test_io_of_a_volume_whose_last_path_is_lost_waits_without_end(content: Content) -> None:
    found = multipath_conf(content)
    # What multipathd knows of the target's make counts more than defaults.
    assert found["overrides"] == {"no_path_retry": "queue"}
    assert found["defaults"]["queue_without_daemon"] == "yes"
    # Else a target with one portal would have no map to wait in.
    assert found["defaults"]["find_multipaths"] == "no"


def test_shares_instead_of_a_volume_group(
    ini: Ini, content: Content, units: Units, make_model: Callable[..., Model]
) -> None:
    conf = ini("cinder", "cinder.conf", "storage1", **NFS, cinder_nfs_mount_options="vers=4.2")
    assert conf["DEFAULT"]["enabled_backends"] == conf["DEFAULT"]["default_volume_type"] == "nfs"
    assert conf["nfs"]["nfs_mount_options"] == "vers=4.2"
    assert "lvm" not in conf
    shares = content("cinder", "nfs_shares", "storage1", **NFS)
    assert shares == "192.0.2.9:/a\n192.0.2.9:/b\n"
    mapper = {"rpcbind", "rpcbind.socket"}
    assert set(units("cinder", "storage1", **NFS)) - mapper == {"cinder-volume"}
    storage, compute = make_model("storage1", **NFS), make_model("compute1", **NFS)
    assert packages(storage, "cinder") == {"nfs-common", "qemu-utils"}
    assert "nfs-common" in packages(compute, "nova")
    manifest = storage.manifest("cinder")
    assert manifest is not None
    assert manifest["records"] == {}


def test_two_back_ends_beside_each_other(ini: Ini) -> None:
    conf = ini("cinder", "cinder.conf", "storage1", **(NFS | {"cinder_backends": ["nfs", "lvm"]}))
    assert conf["DEFAULT"]["enabled_backends"] == "nfs,lvm"
    assert {conf[name]["volume_backend_name"] for name in ("nfs", "lvm")} == {"nfs", "lvm"}


def test_backups_go_to_swift_and_without_it_nothing_waits_for_them(ini: Ini, units: Units) -> None:
    assert "cinder-backup" not in units("cinder", "storage1", **CINDER)
    both = {"services": ["cinder", "swift"]}
    assert "cinder-backup" in units("cinder", "storage1", **both)
    default = ini("cinder", "cinder.conf", "storage1", **both)["DEFAULT"]
    assert default["swift_catalog_info"].endswith(":internalURL")


def test_quotas_of_the_inventory_become_cinders(ini: Ini) -> None:
    quotas = {"volumes": 20, "gigabytes": 500}
    default = ini("cinder", "cinder.conf", "controller1", **CINDER, cinder_quotas=quotas)["DEFAULT"]
    assert (default["quota_volumes"], default["quota_gigabytes"]) == ("20", "500")


def test_a_new_disk_makes_the_role_extend_the_volume_group(
    make_model: Callable[..., Model],
) -> None:
    def record(*disks: Any) -> Any:
        model = make_model("storage1", **CINDER, cinder_volume_disks=list(disks))
        manifest = model.manifest("cinder")
        assert manifest is not None
        return manifest["records"]["cinder-volume-group"]

    erased = {"device": "/dev/vdc", "erase": "9a11"}
    assert record("/dev/vdb") == "cinder-volumes /dev/vdb"
    assert record("/dev/vdb", "/dev/vdc") == "cinder-volumes /dev/vdb /dev/vdc"
    assert record("/dev/vdb", erased) == record("/dev/vdb", "/dev/vdc")


def test_nova_asks_cinder_inside_and_cinder_tells_nova_as_itself(ini: Ini) -> None:
    for host in ("controller1", "compute1"):
        section = ini("nova", "nova.conf", host, **CINDER)["cinder"]
        assert section["catalog_info"] == "block-storage::internalURL"
        assert section["username"] == "nova"
    for host in ("controller1", "storage1"):
        conf = ini("cinder", "cinder.conf", host, **CINDER)
        assert (conf["nova"]["username"], conf["nova"]["interface"]) == ("cinder", "internal")
        assert conf["service_user"]["send_service_user_token"] == "true"


def test_only_storage_hosts_may_do_anything_as_root(make_model: Callable[..., Model]) -> None:
    for host, expected in (("controller1", False), ("storage1", True)):
        manifest = make_model(host, **CINDER).manifest("cinder")
        assert manifest is not None
        paths = {file["path"] for file in manifest["files"]}
        assert ("/etc/sudoers.d/cairn-cinder" in paths) is expected
        assert ("rootwrap.conf" in paths) is expected


@pytest.mark.skipif(not shutil.which("visudo"), reason="sudo is not installed")
def test_passwords_of_volumes_do_not_get_into_the_journal(content: Content) -> None:
    rules = content("cinder", "/etc/sudoers.d/cairn-cinder", "storage1", **CINDER)
    path = "/var/lib/cairn/services/cinder/current/venv/bin/cinder-rootwrap"
    assert f"Defaults!{path} !log_allowed, " in rules
    done = subprocess.run(
        ["visudo", "--check", "--quiet", "--file=-"], input=rules, text=True, check=False
    )
    assert done.returncode == 0


def test_privileged_helpers_are_started_as_sudo_allows_it(ini: Ini, content: Content) -> None:
    helper = ini("cinder", "cinder.conf", "storage1", **CINDER)["cinder_sys_admin"][
        "helper_command"
    ]
    rules = content("cinder", "/etc/sudoers.d/cairn-cinder", "storage1", **CINDER).splitlines()
    (rule,) = [line for line in rules if "privsep-helper " in line]
    pattern = rule.partition("privsep-helper ")[2]
    asked = helper.removeprefix("sudo privsep-helper ") + (
        " --privsep_context cinder.privsep.sys_admin_pctxt --privsep_sock_path /tmp/x1/privsep.sock"
    )
    assert re.fullmatch(pattern, asked)


@pytest.fixture(scope="module")
def python(venv_of: Callable[[str], Path]) -> str:
    """The Python of cinder's virtualenv."""
    return str(venv_of("cinder") / "bin/python")


def test_back_ends_get_volume_types_that_stay_as_changed(
    python: str, root: Path, tmp_path: Path
) -> None:
    conf = tmp_path / "cinder.conf"
    conf.write_text(
        f"[DEFAULT]\nstate_path = {tmp_path}\n[database]\nconnection = sqlite:///{tmp_path}/db\n"
        f"[oslo_concurrency]\nlock_path = {tmp_path}\n"
    )
    types = str(root / "roles/cinder/files/types.py")
    program = (
        "import runpy, sys\n"
        "from cinder import context, db\n"
        "from cinder.common import config\n"
        "config.CONF(['--config-file', sys.argv[1]], project='cinder')\n"
        "from cinder.db import migration\n"
        "migration.db_sync()\n"
        "sys.argv[0] = sys.argv.pop()\n"
        "config.CONF.reset()\n"
        "for _ in range(2):\n"
        "    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "    admin = context.get_admin_context()\n"
        "    found = db.volume_type_get_all(admin)\n"
        "    print(sorted((n, t['extra_specs']) for n, t in found.items()))\n"
        "    db.volume_type_extra_specs_update_or_create(\n"
        "        admin, found['lvm']['id'], {'volume_backend_name': 'other'})\n"
    )
    done = subprocess.run(
        [python, "-c", program, str(conf), "lvm", "nfs", types],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = [line for line in done.stdout.splitlines() if line.startswith("made")]
    assert made == ["made volume type lvm", "made volume type nfs"]
    first, second = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert "('lvm', {'volume_backend_name': 'lvm'})" in first
    assert "('lvm', {'volume_backend_name': 'other'})" in second


class Root:
    """As much of rtslib's root as the script uses; a restored target has its volume."""

    def __init__(self) -> None:
        self.served: dict[str, bool] = {}
        self.absent: set[str] = set()
        self.restored: list[str] = []

    @property
    def targets(self) -> list[Any]:
        return [
            SimpleNamespace(wwn=name, tpgs=[SimpleNamespace(luns=["lun0"] if whole else [])])
            for name, whole in self.served.items()
        ]

    def restore(
        self, record: Any, target: str, storage_object: str, clear_existing: bool
    ) -> list[str]:
        assert (target, clear_existing) == (storage_object, True)
        self.restored.append(target)
        self.served[target] = target not in self.absent
        return [f"no volume {target}"] if target in self.absent else []


@pytest.fixture
def target_root(monkeypatch: pytest.MonkeyPatch) -> Root:
    root = Root()
    monkeypatch.setitem(sys.modules, "rtslib_fb", SimpleNamespace(RTSRoot=lambda: root))
    return root


@pytest.fixture
def targets(
    script: Callable[[str], ModuleType],
    target_root: Root,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> ModuleType:
    """The script, with a record of three targets and disks that are there at once or never."""
    module = script("roles/cinder/files/targets.py")
    record = tmp_path / "saveconfig.json"
    record.write_text(json.dumps({"targets": [{"wwn": f"iqn.{name}"} for name in "abc"]}))
    monkeypatch.setattr(module, "RECORD", record)
    monkeypatch.setattr(module, "WAIT", 0)
    monkeypatch.setattr(module, "PAUSE", 0)
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: None)
    return module


def test_after_a_boot_volumes_are_exported_again(targets: ModuleType, target_root: Root) -> None:
    assert targets.main("cinder-volumes") is None
    assert target_root.served == {"iqn.a": True, "iqn.b": True, "iqn.c": True}


def test_a_target_in_use_is_left_alone_and_an_empty_one_is_mended(
    targets: ModuleType, target_root: Root
) -> None:
    target_root.served = {"iqn.a": True, "iqn.b": False}
    assert targets.main("cinder-volumes") is None
    assert target_root.restored == ["iqn.b", "iqn.c"]


def test_a_volume_that_is_gone_is_reported_and_the_others_are_exported(
    targets: ModuleType, target_root: Root
) -> None:
    target_root.absent = {"iqn.b"}
    assert targets.main("cinder-volumes") == "no volume iqn.b"
    assert target_root.served == {"iqn.a": True, "iqn.b": False, "iqn.c": True}


def test_a_disk_that_comes_late_is_waited_for(
    targets: ModuleType, target_root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    target_root.absent = {"iqn.b"}
    monkeypatch.setattr(targets, "WAIT", 60)
    monkeypatch.setattr(targets.time, "sleep", lambda _: target_root.absent.clear())
    assert targets.main("cinder-volumes") is None
    assert target_root.served["iqn.b"]


def test_a_host_that_never_exported_anything_has_nothing_to_restore(
    targets: ModuleType, target_root: Root
) -> None:
    targets.RECORD.unlink()
    assert targets.main("cinder-volumes") is None
    assert target_root.restored == []


MAY_LIST = """
import sys
from cinder import context, policy
from oslo_config import cfg
cfg.CONF(["--config-file", sys.argv[1]], project="cinder")
for roles in (["reader", "member"], ["admin"]):
    who = context.RequestContext("u", "p", roles=roles, is_admin="admin" in roles)
    print(policy.authorize(who, "message:get_all", {"project_id": "p"}, do_raise=False))
"""


def test_messages_of_all_projects_are_for_administrators(
    content: Content, units: Units, venv_of: Callable[[str], Path], tmp_path: Path
) -> None:
    assert "policy.yaml" in units("cinder", "controller1", **CINDER)["cinder-api"]["config_files"]
    (tmp_path / "policy.yaml").write_text(content("cinder", "policy.yaml", "controller1", **CINDER))
    (tmp_path / "cinder.conf").write_text("[DEFAULT]\n")
    python = venv_of("cinder") / "bin/python"
    command = [str(python), "-c", MAY_LIST, str(tmp_path / "cinder.conf")]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert asked.stdout.split() == ["False", "True"], asked.stderr
