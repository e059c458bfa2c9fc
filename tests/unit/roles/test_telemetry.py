"""What the roles gnocchi and ceilometer make of an inventory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleUndefinedVariable

from cairn.service.model import Model, migration_value

BOTH = ("ceilometer", "gnocchi")
Ini = Callable[..., dict[str, dict[str, str]]]


def test_one_controller_keeps_measures_in_files(ini: Ini) -> None:
    storage = ini("gnocchi", "gnocchi.conf", services=("gnocchi", "swift"))["storage"]
    assert storage == {"driver": "file", "file_basepath": "/var/lib/gnocchi/storage"}


def test_gnocchi_does_not_log_all_its_options(ini: Ini) -> None:
    # At INFO its API writes them to the journal, passwords among them: gnocchi/rest/app.py.
    defaults = ini("gnocchi", "gnocchi.conf", services=("gnocchi", "swift"))["DEFAULT"]
    assert defaults["verbose"].lower() == "false"
    assert "debug" not in defaults


def test_several_controllers_keep_measures_in_swift(ini: Ini) -> None:
    storage = ini("gnocchi", "gnocchi.conf", controllers=3, services=("gnocchi", "swift"))[
        "storage"
    ]
    assert storage["driver"] == "swift"
    assert storage["swift_authurl"].startswith("https://")
    assert storage["swift_endpoint_type"] == "internalURL"


def test_another_storage_gets_its_places_for_measures(make_model: Callable[..., Model]) -> None:
    known = {}
    for storage in ("file", "swift"):
        model = make_model(services=(*BOTH, "swift"), gnocchi_storage=storage)
        manifest = model.manifest("gnocchi")
        assert manifest is not None
        known[storage] = migration_value(manifest)
    assert known["file"] != known["swift"]


def test_several_controllers_may_share_a_folder(make_model: Callable[..., Model]) -> None:
    shared = {
        "gnocchi_storage": "file",
        "gnocchi_folder": "/srv/measures",
        "gnocchi_folder_shared": True,
    }
    manifest = make_model(controllers=3, services=BOTH, **shared).manifest("gnocchi")
    assert manifest is not None
    assert [folder["path"] for folder in manifest["directories"]] == ["/srv/measures"]
    for unit in manifest["units"]:
        assert "ReadWritePaths=/srv/measures" in unit["text"], unit["name"]


@pytest.mark.parametrize(
    ("controllers", "chosen", "what"),
    [
        (3, "file", "3 controllers would each keep measures that the others do not see"),
        (1, "swift", "cairn_services leaves swift out"),
    ],
)
def test_a_storage_that_cannot_work_is_refused(
    controllers: int, chosen: str, what: str, make_model: Callable[..., Model]
) -> None:
    model = make_model(controllers=controllers, services=BOTH, gnocchi_storage=chosen)
    with pytest.raises(AnsibleUndefinedVariable, match=what):
        model.manifest("gnocchi")


def test_locks_are_kept_by_the_database(ini: Ini) -> None:
    conf = ini("gnocchi", "gnocchi.conf", services=BOTH)
    assert conf["indexer"]["url"] == "${database.connection}"
    assert "coordination_url" not in conf["DEFAULT"]


def test_compute_hosts_get_no_database_and_no_pipeline(make_model: Callable[..., Model]) -> None:
    manifest = make_model("compute1", services=BOTH).manifest("ceilometer")
    assert manifest is not None
    files = {file["path"]: str(file.get("content")) for file in manifest["files"]}
    assert set(files) == {"ceilometer.conf", "polling.yaml"}
    assert "mysql" not in "".join(files.values())
    assert [unit["name"] for unit in manifest["units"]] == ["ceilometer-compute"]
    assert "SupplementaryGroups=libvirt\n" in manifest["units"][0]["text"]
    assert manifest["venv"]["distro_modules"] == ["libvirt"]
    assert make_model("compute1", services=BOTH).manifest("gnocchi") is None


@pytest.mark.parametrize(
    ("services", "meter", "polled"),
    [
        (BOTH, "image.size", True),
        (BOTH, "volume.size", False),
        ((*BOTH, "cinder"), "volume.size", True),
        (BOTH, "storage.objects", False),
        ((*BOTH, "swift"), "storage.objects", True),
    ],
)
def test_what_is_polled_follows_from_what_is_deployed(
    services: tuple[str, ...], meter: str, polled: bool, content: Callable[..., str]
) -> None:
    polling = yaml.safe_load(content("ceilometer", "polling.yaml", services=services))
    assert polled is any(meter in source["meters"] for source in polling["sources"])


def test_the_interval_is_one_variable(content: Callable[..., str]) -> None:
    text = content("ceilometer", "polling.yaml", services=BOTH, ceilometer_interval=45)
    assert {source["interval"] for source in yaml.safe_load(text)["sources"]} == {45}


@pytest.mark.parametrize("file", ["pipeline.yaml", "event_pipeline.yaml"])
@pytest.mark.parametrize(
    ("services", "publishers"),
    [(BOTH, ["gnocchi://?timeout=60", "notifier://"]), (("ceilometer",), ["notifier://"])],
)
def test_everything_goes_to_gnocchi_where_it_is_and_to_the_queue(
    services: tuple[str, ...], publishers: list[str], file: str, content: Callable[..., str]
) -> None:
    pipeline = yaml.safe_load(content("ceilometer", file, services=services))
    assert [sink["publishers"] for sink in pipeline["sinks"]] == [publishers]
    assert pipeline["sources"][0]["sinks"] == [sink["name"] for sink in pipeline["sinks"]]


def test_an_operator_replaces_a_whole_pipeline(content: Callable[..., str]) -> None:
    own = {"sources": [], "sinks": [{"name": "file", "publishers": ["file:///tmp/x"]}]}
    text = content("ceilometer", "pipeline.yaml", services=BOTH, ceilometer_pipeline=own)
    assert yaml.safe_load(text) == own


def test_resource_types_are_made_only_where_gnocchi_is(make_model: Callable[..., Model]) -> None:
    for services, steps in ((BOTH, ["resource-types"]), (("ceilometer",), [])):
        manifest = make_model(services=services).manifest("ceilometer")
        assert manifest is not None
        assert [step["name"] for step in manifest["migrations"]] == steps


def test_samples_are_signed_with_the_sites_own_secret(ini: Ini) -> None:
    for name in ("controller1", "compute1"):
        conf = ini("ceilometer", "ceilometer.conf", name, services=BOTH)
        assert conf["publisher"]["telemetry_secret"] == "telemetry_secret-value"


def test_what_nobody_fetches_is_bounded(make_model: Callable[..., Model]) -> None:
    tenants = {queue["user"]: queue for queue in make_model(services=BOTH).queues()}
    rules = {rule["name"]: rule for rule in tenants["ceilometer"]["policies"]}
    assert rules["notifications"]["pattern"] == r"^notifications\."
    assert all(rule["definition"]["max-length-bytes"] == 128 * 2**20 for rule in rules.values())
    assert all(rule["definition"]["overflow"] == "drop-head" for rule in rules.values())
    assert rules["consumers"]["definition"]["message-ttl"] == 3_600_000


def test_every_service_with_a_queue_may_send_notifications(
    make_model: Callable[..., Model],
) -> None:
    tenants = make_model(services=BOTH).queues()
    granted = {q["user"]: [g["vhost"] for g in q.get("grants", [])] for q in tenants}
    assert granted.pop("ceilometer") == []
    assert granted["nova"] == ["/ceilometer"]
    assert set(map(tuple, granted.values())) == {("/ceilometer",)}
    assert not any("grants" in queue for queue in make_model(services=()).queues())


@pytest.mark.parametrize(("services", "state"), [(BOTH, "vm_and_task_state"), ((), None)])
def test_nova_tells_of_instances_where_somebody_listens(
    services: tuple[str, ...], state: str | None, ini: Ini
) -> None:
    conf = ini("nova", "nova.conf", "compute1", services=services)
    assert conf.get("notifications", {}).get("notify_on_state_change") == state
    assert conf["DEFAULT"].get("instance_usage_audit_period") == ("hour" if services else None)


def test_the_central_agent_runs_where_the_internal_vip_is(
    units: Callable[..., dict[str, dict[str, Any]]],
) -> None:
    found = units("ceilometer", "controller2", controllers=3, services=BOTH)
    assert "run_where_vip.py 192.0.2.250 /" in found["ceilometer-central"]["text"]


def test_the_agent_that_publishes_starts_when_keystone_answers(
    units: Callable[..., dict[str, dict[str, Any]]],
) -> None:
    text = units("ceilometer", "controller1", services=BOTH)["ceilometer-notification"]["text"]
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStartPre=")]
    assert line.endswith(" https://internal.example:5000/v3")
    assert "--retry-all-errors" in line
