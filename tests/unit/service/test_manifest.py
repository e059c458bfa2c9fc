"""From a description to what one host should have."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from cairn.errors import DescriptionError
from cairn.service.model import migration_record, migration_value, stale
from cairn.service.registry import descriptions
from cairn.service.units import BACKENDS


def units(model):
    return {unit["name"]: unit for unit in model.manifest("example")["units"]}


def files(model):
    return {file["path"]: file for file in model.manifest("example")["files"]}


def test_a_host_outside_the_groups_gets_nothing(make_model):
    assert make_model("n1").manifest("example") is None


def test_packages_are_those_of_the_hosts_groups(make_model):
    assert make_model("c1").manifest("example")["packages"] == ["acl", "zlib"]


def test_the_same_inputs_give_the_same_generation(make_model):
    assert make_model().manifest("example")["id"] == make_model().manifest("example")["id"]


def test_the_address_of_the_host_is_in_its_own_generation(make_model):
    ids = {host: make_model(host).manifest("example")["id"] for host in ("c1", "c2")}
    assert ids["c1"] != ids["c2"]


def test_an_option_restarts_only_the_units_that_read_the_file(make_model):
    before = units(make_model())
    after = units(make_model(example_config={"example.conf": {"DEFAULT": {"debug": True}}}))
    assert before["example-api"]["fingerprint"] != after["example-api"]["fingerprint"]
    assert before["example-worker"]["fingerprint"] == after["example-worker"]["fingerprint"]


def test_a_new_lock_makes_a_new_virtualenv_and_restarts_everything(make_model, project):
    before = make_model()
    old = units(before), before.manifest("example")["venv"]["name"]
    (project / "releases/2026.1/example.lock").write_text("example==2 --hash=sha256:1\n")
    after = make_model()
    assert after.manifest("example")["venv"]["name"] != old[1]
    assert all(units(after)[n]["fingerprint"] != u["fingerprint"] for n, u in old[0].items())


def test_the_operators_option_wins_over_the_roles(make_model):
    model = make_model(example_config={"example.conf": {"DEFAULT": {"workers": 7}}})
    assert "workers = 7" in files(model)["example.conf"]["content"]


def test_an_override_of_a_file_that_is_not_there_names_the_host_and_the_files(make_model):
    model = make_model(example_config={"exmaple.conf": {}})
    with pytest.raises(DescriptionError, match=r"c1: example_config names 'exmaple.conf'.*example"):
        model.manifest("example")


def test_a_file_of_the_role_is_copied_as_it_is(make_model, edit, project):
    folder = project / "roles/example/files"
    folder.mkdir()
    (folder / "run.py").write_text("print('{{ not_a_template }}')\n")
    path = "/etc/example.d/extra"
    edit({"files": [{"path": path, "copy": "run.py"}, {"path": "paste.ini", "content": ""}]})
    assert files(make_model())[path]["content"] == "print('{{ not_a_template }}')\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pakages": []}, "unknown key 'pakages'"),
        ({"units": {"x": {"comand": "y"}}}, "unknown key 'comand'"),
        ({"units": {"x": {}}}, "exactly one of wsgi, static, command, distro"),
        ({"files": [{"path": "a"}]}, "exactly one of content, template, copy, from_venv"),
        ({"files": [{"path": "a", "content": "", "mod": 1}]}, "unknown key 'mod'"),
        ({"lock": None}, "from_venv needs the description's lock"),
        ({"lock": "other"}, "no lock .*other.lock.*make lock RELEASE=2026.1"),
        ({"units": {"x": {"command": "y", "config_files": ["z"]}}}, r"names \['z'\], not among"),
        ({"files": [{"path": "example.conf", "content": ""}]}, "described more than once"),
    ],
)
def test_a_wrong_description_is_an_error_that_says_where(make_model, edit, changes, message):
    edit(changes)
    with pytest.raises(DescriptionError, match=message):
        make_model().manifest("example")


def test_apis_listen_on_the_management_address_only(make_model):
    assert "http-socket = 192.0.2.1:9999" in files(make_model())["uwsgi-example-api.ini"]["content"]


def test_a_frontend_that_sends_requests_to_no_unit_is_refused(make_model, edit):
    unit = {"command": "x", "port": 1, "frontend": {"static": "nosuch"}}
    edit({"units": {"proxy": unit}})
    with pytest.raises(DescriptionError, match=r"static names 'nosuch'; units are .*'proxy'"):
        make_model().frontends()


def test_a_client_may_pause_as_long_as_the_load_balancer_lets_it(make_model):
    assert "\nsocket-timeout = 80\n" in files(make_model())["uwsgi-example-api.ini"]["content"]


def test_a_client_may_send_chunks_of_a_mebibyte(make_model):
    content = files(make_model())["uwsgi-example-api.ini"]["content"]
    (limit,) = re.findall(r"(?m)^chunked-input-limit = (\d+)$", content)
    # glanceclient's CHUNKSIZE, and the end of a chunk.
    assert int(limit) >= 2**20 + len("\r\n")


def test_units_run_from_the_current_generation_as_their_own_user(make_model):
    text = units(make_model())["example-worker"]["text"]
    base = "/var/lib/cairn/services/example/current/venv"
    assert f"ExecStart={base}/bin/worker --config /etc/example/example.conf" in text
    assert "User=example" in text
    assert "NoNewPrivileges=yes" in text


def test_units_stop_before_what_they_may_be_waiting_for(make_model):
    text = units(make_model())["example-worker"]["text"]
    (after,) = re.findall(r"(?m)^After=(.*)$", text)
    assert after.split() == ["network-online.target", *BACKENDS]
    # Such an order with a name that no unit has would say nothing.
    described = {
        f"{name}.service"
        for described in descriptions().values()
        for name in described.get("units", {})
    }
    assert set(BACKENDS) <= described


def test_a_sandbox_can_be_loosened_option_by_option(make_model, edit):
    edit({"units": {"w": {"command": "x", "sandbox": {"NoNewPrivileges": None}}}})
    text = units(make_model())["w"]["text"]
    assert "NoNewPrivileges" not in text
    assert "ProtectSystem=strict" in text


def test_a_timer_starts_its_unit_and_the_unit_rests(make_model, edit):
    edit({"units": {"t": {"command": "x", "type": "oneshot", "timer": {"OnCalendar": "daily"}}}})
    made = {unit["unit"]: unit for unit in make_model().manifest("example")["units"]}
    assert made["t.service"]["state"] == "idle"
    assert "OnCalendar=daily" in made["t.timer"]["text"]
    assert "WantedBy=multi-user.target" not in made["t.service"]["text"]


def test_schemas_are_moved_before_the_first_host_and_finished_after_the_last(make_model):
    steps = {
        name: [step["name"] for step in make_model(name).manifest("example")["migrations"]]
        for name in ("c1", "c2")
    }
    assert steps == {"c1": ["expand"], "c2": ["contract"]}


def test_frontends_name_every_server(make_model):
    (frontend,) = make_model().frontends()
    assert frontend["port"] == 9999
    assert [s["address"] for s in frontend["servers"]] == ["192.0.2.1", "192.0.2.2"]


def test_catalog_databases_and_queues_come_from_the_description(make_model):
    model = make_model()
    assert model.databases() == [{"name": "example", "user": "example", "password": "d"}]
    assert model.queues() == [{"user": "example", "vhost": "/example", "password": "q"}]
    assert model.catalog()["services"][0]["public"] == "https://api.example:9999/v1"


def test_a_catalog_may_have_several_entries(make_model, edit):
    entry = {"type": "example", "port": 9999, "roles": ["admin"]}
    edit({"catalog": [entry, {"type": "second", "name": "example-two", "port": 9998}]})
    catalog = make_model().catalog()
    assert [s["name"] for s in catalog["services"]] == ["example", "example-two"]
    assert [u["name"] for u in catalog["users"]] == ["example"]


def test_a_misspelt_word_in_a_catalog_is_an_error(make_model, edit):
    edit({"catalog": {"type": "example", "port": 9999, "role": ["admin"]}})
    with pytest.raises(DescriptionError, match=r"example_service.catalog: unknown key 'role'"):
        make_model().catalog()


def test_a_site_may_do_without_an_optional_service(make_model, edit):
    edit({"optional": True})
    without = make_model()
    assert (without.roles(), without.databases(), without.frontends()) == ([], [], [])
    site = {**without.site, "services": ["example"]}
    assert make_model(cairn_site=site).roles() == ["example"]


def test_what_goes_with_a_service_is_deployed_where_that_is(make_model, edit):
    edit({"with": "volumes"})
    without = make_model()
    assert without.roles() == []
    site = {**without.site, "services": ["volumes"]}
    assert make_model(cairn_site=site).roles() == ["example"]


def test_the_manifest_says_which_sections_have_the_options_of_others(make_model, edit):
    alike = [{"fast": ["backend"]}, {"slow": ["backend"]}]
    edit({"config": [{"file": "example.conf", "like": each} for each in alike]})
    found = files(make_model())["example.conf"]
    assert found["like"] == {"fast": ["backend"], "slow": ["backend"]}


def test_a_missing_secret_names_the_command_that_makes_it(make_model):
    with pytest.raises(DescriptionError, match=r"'queue_example'.*make secrets INVENTORY="):
        make_model(cairn_secrets={}).queues()


def settled(model):
    """What a host says on which everything is as it should be."""
    wanted = model.manifest("example")
    return {
        "services": {"example": {"current": wanted["id"], "drift": []}},
        "records": {migration_record("example", "before"): migration_value(wanted)},
    }


def test_nothing_is_stale_on_a_settled_host(make_model):
    assert stale(make_model(), settled(make_model())) == {}


def test_a_bare_host_is_stale(make_model):
    assert "not there yet" in stale(make_model(), {})["example"]


def test_drift_is_a_reason_of_its_own(make_model):
    state = settled(make_model())
    text = "/etc/example.d/extra was changed on the host"
    state["services"]["example"]["drift"] = [{"kind": "file", "what": "extra", "text": text}]
    assert stale(make_model(), state)["example"] == ["/etc/example.d/extra was changed on the host"]


def test_a_changed_option_names_both_generations(make_model):
    state = settled(make_model())
    model = make_model(example_config={"example.conf": {"DEFAULT": {"debug": True}}})
    assert "becomes" in stale(model, state)["example"][0]


def test_an_unfinished_schema_is_stale(make_model):
    state = settled(make_model())
    state["records"] = {}
    assert stale(make_model(), state)["example"] == ["schema step expand is due"]


def test_a_record_that_differs_is_stale(make_model, edit):
    edit({"records": {"certificate": "names"}})
    assert "certificate is not as recorded" in stale(make_model(), settled(make_model()))["example"]


@pytest.mark.parametrize(
    ("due", "reasons"), [("2026-01-01T00:00:00Z", 1), ("2027-01-01T00:00:00Z", 0)]
)
def test_what_is_to_be_renewed_is_stale_when_its_time_has_come(make_model, due, reasons):
    state = settled(make_model())
    state["records"]["due-example"] = due
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert len(stale(make_model(), state, now).get("example", [])) == reasons


STATIC = {"folder": "static", "files": ["paste.ini"], "commands": [["{venv}/bin/collect", "all"]]}


def built(model):
    return {one["folder"]: one["key"] for one in model.manifest("example")["build"]}


def test_a_built_folder_is_made_again_for_its_own_inputs_only(make_model, edit):
    edit({"build": [STATIC]})
    before = make_model()
    other = make_model(example_config={"example.conf": {"DEFAULT": {"debug": True}}})
    assert other.manifest("example")["id"] != before.manifest("example")["id"]
    assert built(other) == built(before)
    edit({"build": [{**STATIC, "files": ["paste.ini", "example.conf"]}]})
    settings = {"example_config": {"example.conf": {"DEFAULT": {"debug": True}}}}
    assert built(make_model(**settings)) != built(make_model())


def test_units_restart_for_a_new_built_folder(make_model, edit):
    edit({"build": [STATIC]})
    before = units(make_model())
    edit({"build": [{**STATIC, "commands": [["{venv}/bin/collect", "some"]]}]})
    after = units(make_model())
    assert all(after[n]["fingerprint"] != u["fingerprint"] for n, u in before.items())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"folder": "etc"}, "own parts"),
        ({"folder": "../else"}, "own parts"),
        ({"files": ["theme.conf"]}, "theme.conf"),
        ({"command": []}, "unknown key 'command'"),
    ],
)
def test_a_built_folder_is_described_in_full(make_model, edit, change, error):
    edit({"build": [STATIC | change]})
    with pytest.raises(DescriptionError, match=error):
        make_model().manifest("example")


def test_a_mount_is_there_before_the_services_that_need_it(make_model, edit):
    mount = {"what": "/dev/vdb", "where": "/srv/a1", "type": "xfs", "options": "noatime"}
    edit({"mounts": [mount]})
    made = units(make_model("c1"))["srv-a1"]
    assert made["unit"] == "srv-a1.mount"
    assert "Before=example-api.service" in made["text"]
    assert "[Mount]\nWhat=/dev/vdb\nWhere=/srv/a1\nType=xfs\nOptions=noatime\n" in made["text"]
    assert made["on_change"] == "none"


@pytest.mark.parametrize("where", ["srv/a1", "/srv/a-1", "/srv/a b"])
def test_a_mount_point_whose_unit_would_have_another_name_is_refused(make_model, edit, where):
    mount = {"what": "/dev/vdb", "where": where, "type": "xfs", "options": "noatime"}
    edit({"mounts": [mount]})
    with pytest.raises(DescriptionError, match="letters, digits"):
        make_model("c1").manifest("example")
