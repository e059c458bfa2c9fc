"""What the role puts on hosts, held against swift's own code where it says something."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from cairn.actions.rings import RECORD
from cairn.preflight.partial import RINGS, member
from cairn.service.manifest import digest
from cairn.service.model import Model

DISKS = [{"name": f"d{n}", "device": f"/dev/vd{letter}"} for n, letter in ((1, "b"), (2, "c"))]
POLICIES = [
    {"index": 0, "name": "standard", "default": True},
    {"index": 1, "name": "coded", "type": "erasure_coding", "data_fragments": 4,
     "parity_fragments": 2},
]  # fmt: skip


@pytest.fixture
def model(make_model: Callable[..., Model]) -> Callable[..., Model]:
    """The model of a host in a site with three storage hosts of two disks each."""

    def make(name: str = "controller1", **variables: Any) -> Model:
        hostvars = {f"storage{n}": {"swift_disks": DISKS, "swift_zone": n} for n in (1, 2, 3)}
        own = hostvars.get(name, {})
        return make_model(name, services=["swift"], hostvars=hostvars, **{**own, **variables})

    return make


@pytest.fixture
def file(model: Callable[..., Model]) -> Callable[..., str]:
    """The content of a file of a host."""

    def get(path: str, name: str, **variables: Any) -> str:
        manifest = model(name, **variables).manifest("swift")
        assert manifest is not None
        (found,) = [f["content"] for f in manifest["files"] if f["path"] == path]
        return str(found)

    return get


def units(made: Model) -> dict[str, dict[str, Any]]:
    manifest = made.manifest("swift")
    assert manifest is not None
    return {unit["unit"]: unit for unit in manifest["units"]}


def test_proxies_are_on_controllers_and_disks_on_storage_hosts(model: Any) -> None:
    assert set(units(model("controller1"))) == {"swift-proxy-server.service"}
    storage = set(units(model("storage1")))
    assert {"swift-object-server.service", "rsync.service", "srv-node-d1.mount"} <= storage
    assert "swift-proxy-server.service" not in storage
    assert model("compute1").manifest("swift") is None


def test_daemons_for_fragments_and_several_policies_run_where_there_are_some(model: Any) -> None:
    more = {"swift-object-reconstructor.service", "swift-container-reconciler.service"}
    assert not more & set(units(model("storage1")))
    assert more <= set(units(model("storage1", swift_policies=POLICIES)))


@pytest.mark.parametrize(
    ("name", "path", "address"),
    [
        ("controller1", "proxy-server.conf", "bind_ip = 192.0.2.1\n"),
        ("storage2", "object-server.conf", "bind_ip = 198.51.100.32\n"),
        ("storage2", "/etc/rsyncd.conf", "address = 198.51.100.32\n"),
    ],
)
def test_users_come_over_management_and_objects_go_over_storage(
    name: str, path: str, address: str, file: Callable[..., str]
) -> None:
    assert address in file(path, name)


def test_all_hosts_of_the_service_record_the_same_rings(model: Any) -> None:
    texts = {
        model(name).manifest("swift")["records"]["swift-rings"]
        for name in ("controller1", "storage1", "storage3")
    }
    assert len(texts) == 1
    (text,) = texts
    assert '"ip": "198.51.100.33"' in text
    assert '"zone": 3' in text


def test_rings_that_a_host_does_not_have_yet(model: Any) -> None:
    made = model("storage1")
    wanted = made.manifest("swift")
    known = {"current": wanted["id"], "venv": wanted["venv"]["name"]}
    records = {name: digest(value) for name, value in wanted["records"].items()}
    there = {"services": {"swift": known}, "records": records}
    assert not member(made, there, ["swift"]).rings
    there["records"] = records | {RINGS: "others"}
    assert member(made, there, ["swift"]).rings
    assert RINGS == RECORD


def test_disks_are_mounted_by_label_before_the_servers_start(model: Any) -> None:
    text = units(model("storage1"))["srv-node-d2.mount"]["text"]
    assert "What=/dev/disk/by-label/swift-d2\n" in text
    assert "Options=noatime" in text
    (before,) = [line for line in text.splitlines() if line.startswith("Before=")]
    assert "swift-object-server.service" in before


def test_a_disk_that_is_gone_is_not_waited_for(model: Any) -> None:
    device = {"real": "/dev/vdb", "size_mb": 2048, "used": "", "signatures": []}
    host = {
        "cpus": 1,
        "devices": {"/dev/vdb": device, "/dev/vdc": None},
        "labels": {},
        "records": {"swift-disk-d2": "/dev/vdc"},
    }
    mounts = [unit for unit in units(model("storage1", cairn_host=host)) if "mount" in unit]
    assert mounts == ["srv-node-d1.mount"]


def test_every_storage_host_expires_its_share(file: Callable[..., str]) -> None:
    texts = [file("object-expirer.conf", f"storage{n}") for n in (1, 2, 3)]
    assert all("processes = 3\n" in text for text in texts)
    assert [text.split("process = ")[1][0] for text in texts] == ["0", "1", "2"]


def test_one_processor_forks_no_workers(file: Callable[..., str]) -> None:
    for cpus, workers in ((1, 0), (2, 2), (64, 4)):
        text = file("object-server.conf", "storage1", cairn_host={"cpus": cpus})
        assert f"workers = {workers}\n" in text


def test_ratelimit_is_there_when_it_is_set(file: Callable[..., str]) -> None:
    assert "ratelimit" not in file("proxy-server.conf", "controller1")
    text = file("proxy-server.conf", "controller1", swift_ratelimit={"account_ratelimit": 10})
    assert " ratelimit authtoken s3api s3token keystoneauth " in text
    assert "account_ratelimit = 10\n" in text


def test_s3_keys_are_asked_for_by_a_service_and_not_cached(file: Callable[..., str]) -> None:
    text = file("proxy-server.conf", "controller1")
    section = text.split("[filter:s3token]")[1].split("\n[")[0]
    assert "password = service-of-swift\n" in section
    assert "secret_cache_duration = 0\n" in section


def test_tokens_are_encrypted_in_the_cache(file: Callable[..., str]) -> None:
    text = file("authtoken.conf", "controller1")
    assert "memcache_security_strategy = ENCRYPT\n" in text
    assert "use_stderr" not in text


def test_overrides_reach_any_file(file: Callable[..., str]) -> None:
    override = {"proxy-server.conf": {"app:proxy-server": {"read_affinity": "r1=100"}}}
    assert "read_affinity = r1=100\n" in file(
        "proxy-server.conf", "controller1", swift_config=override
    )


@pytest.mark.parametrize("name", ["controller1", "storage1"])
def test_swifts_own_code_takes_the_configuration(
    name: str, model: Any, root: Path, tmp_path: Path
) -> None:
    assert check(name, model(name, swift_policies=POLICIES), root, tmp_path) == ""


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ({"proxy-server.conf": {"pipeline:main": {"pipeline": "s3apy proxy-server"}}}, "s3apy"),
        ({"proxy-server.conf": {"filter:slo": {"use": "egg:swift#sloo"}}}, "sloo"),
        ({"swift.conf": {"storage-policy:1": {"name": "Standard"}}}, "Standard"),
    ],
)
def test_swifts_own_code_refuses_what_is_wrong(
    override: dict[str, Any], text: str, model: Any, root: Path, tmp_path: Path
) -> None:
    assert text in check("controller1", model(swift_config=override), root, tmp_path)


def check(name: str, made: Model, root: Path, folder: Path) -> str:
    """What the check that runs at staging says of a host's files."""
    python = root / ".cache/venvs/2026.1/swift/bin/python"
    if not python.exists():
        pytest.skip("no virtualenv of swift: make venvs")
    manifest = made.manifest("swift")
    assert manifest is not None
    for one in manifest["files"]:
        if not one["path"].startswith("/"):
            (folder / one["path"]).write_text(one["content"])
    assert manifest["validate"] == [["{venv}/bin/python", "{etc}/check.py", "{etc}"]]
    done = subprocess.run(
        [str(python), str(folder / "check.py"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(done.returncode) == bool(done.stderr.strip())
    return done.stderr.strip()


def test_every_daemon_finds_its_section(model: Any, file: Callable[..., str]) -> None:
    for unit in units(model("storage1", swift_policies=POLICIES)).values():
        started = re.search(r"^ExecStart=\S+/bin/swift-(\S+) (\S+)", unit["text"] or "", re.M)
        if not started or started[1].endswith("-server"):
            continue
        section, words = started[1], started[2]
        conf = words.removeprefix("/etc/swift/")
        assert f"[{section}]\n" in file(conf, "storage1", swift_policies=POLICIES)


def test_servers_finish_what_they_are_at_and_write_to_disks_only(model: Any) -> None:
    for name, unit in (
        ("controller1", "swift-proxy-server.service"),
        ("storage1", "swift-object-server.service"),
    ):
        text = units(model(name))[unit]["text"]
        assert "KillSignal=SIGHUP\n" in text
        assert "KillMode=control-group\n" in text
        assert ("ReadWritePaths=/srv/node\n" in text) == (name == "storage1")
        assert "ProtectSystem=strict\n" in text


# -- what browsers and other clusters ask of the proxy --------------------------------------------

REALMS = {
    "friends": {
        "key": "a-key-of-two-clusters",
        "clusters": {"here": "https://here.example:8080/v1/", "there": "https://there.example/v1/"},
    }
}
# The pipeline as the proxy itself builds it, with what it adds, and what /info then says.
PIPELINE = """
import json
import sys
from unittest import mock
from swift.common import storage_policy, utils, wsgi
from swift.common.container_sync_realms import ContainerSyncRealms
from swift.common.registry import get_swift_info
from swift.proxy import server
folder = sys.argv[1]
utils.SWIFT_CONF_FILE = folder + "/swift.conf"
rings = mock.patch.object(storage_policy.BaseStoragePolicy, "load_ring")
with mock.patch.object(server, "Ring"), rings:
    app = wsgi.loadapp(folder + "/proxy-server.conf", global_conf={})
realms = ContainerSyncRealms(folder + "/container-sync-realms.conf", mock.Mock())
print(json.dumps({
    "pipeline": [type(one).__name__ for one in app._pipeline],
    "origins": app._pipeline_final_app.cors_allow_origin,
    "info": get_swift_info(),
    "realms": {name: realms.endpoint(name, "THERE") for name in realms.realms()},
}, default=str))
"""


def loaded(made: Model, venv: Path, folder: Path) -> dict[str, Any]:
    """What swift's own code makes of a controller's files."""
    manifest = made.manifest("swift")
    assert manifest is not None
    for one in manifest["files"]:
        text = str(one.get("content") or "").replace("/etc/swift", str(folder))
        (folder / Path(one["path"]).name).write_text(
            text.replace("/var/lib/swift/rings", str(folder))
        )
    done = subprocess.run(
        [str(venv / "bin/python"), "-c", PIPELINE, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_browsers_can_post_forms_and_read_pages_as_upstreams_sample_orders_it(
    model: Any, venv_of: Callable[[str], Path], tmp_path: Path
) -> None:
    found = loaded(model(), venv_of("swift"), tmp_path)
    names = found["pipeline"]
    # Signed forms and URLs authorise before tokens are looked at, pages after.
    order = ["TempURL", "FormPost", "AuthProtocol", "KeystoneAuth", "StaticWeb"]
    assert [name for name in names if name in order] == order
    # What swift has to add to a pipeline by itself was forgotten there.
    assert names.index("StaticWeb") < names.index("ServerSideCopyMiddleware")
    assert {"formpost", "staticweb", "tempurl", "bulk_upload"} <= set(found["info"])
    assert not {"crossdomain", "container_sync"} & set(found["info"])
    assert found["origins"] == []


def test_an_operator_opens_the_proxy_to_other_origins_and_clusters(
    model: Any, venv_of: Callable[[str], Path], tmp_path: Path
) -> None:
    made = model(
        swift_cors_origins=["https://app.example.com", "https://b.example.com"],
        swift_crossdomain_policy='<allow-access-from\n  domain="*.example.com" />\n',
        swift_sync_realms=REALMS,
        swift_sync_current="friends/here",
    )
    found = loaded(made, venv_of("swift"), tmp_path)
    names = found["pipeline"]
    assert names.index("ContainerSync") < names.index(
        "BulkDelete" if "BulkDelete" in names else "Bulk"
    )
    assert names.index("CrossDomainMiddleware") < names.index("AuthProtocol")
    assert found["origins"] == ["https://app.example.com", "https://b.example.com"]
    assert found["realms"] == {"FRIENDS": "https://there.example/v1/"}
    clusters = found["info"]["container_sync"]["realms"]["FRIENDS"]["clusters"]
    assert clusters["HERE"] == {"current": True}


def test_the_key_of_a_realm_is_a_secret_of_proxies_and_of_the_daemon(model: Any) -> None:
    path = "/var/lib/swift/rings/container-sync-realms.conf"
    for name, unit in (("controller1", "swift-proxy-server"), ("storage1", "swift-container-sync")):
        made = model(name, swift_sync_realms=REALMS)
        manifest = made.manifest("swift")
        (file,) = [one for one in manifest["files"] if one["path"] == path]
        assert (file["secret"], file["mode"], file["group"]) == (True, "0640", "swift")
        assert path in units(made)[f"{unit}.service"]["config_files"]
    assert "swift-container-sync.service" not in units(model("storage1"))
    assert path not in [one["path"] for one in model().manifest("swift")["files"]]


@pytest.mark.parametrize(
    ("realms", "text"),
    [
        ({"two words": REALMS["friends"]}, "letters, digits"),
        ({"friends": {"clusters": {"here": "https://x/"}}}, "needs a key"),
        ({"friends": {"key": "k"}}, "needs clusters"),
        ({"friends": {"key": "k", "clusters": {"here": "example.com"}}}, "is no URL"),
        ({"friends": {"key": "k", "cluster": {}}}, "unknown 'cluster'"),
        ({"friends": "k"}, "needs key and clusters"),
    ],
)
def test_realms_that_swift_would_read_past_are_refused(realms: Any, text: str, model: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=text):
        model(swift_sync_realms=realms).manifest("swift")
