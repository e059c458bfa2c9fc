"""Who builds what, and what a plan remembers: the actions cairn_build and cairn_stage."""

from __future__ import annotations

import inspect

import pytest
from ansible.modules import apt

from cairn.errors import CairnError
from cairn.service import venv_cache

UNKNOWN_PACKAGE = "No package matching"
HERE = {"os": {"id": "debian", "version": "13"}, "arch": "x86_64", "python": "3.13.5"}
MANIFEST = {"role": "nova", "id": "b", "venv": {"name": "nova-2", "lock": "nova"}}


@pytest.fixture
def stage(script):
    """The action cairn_stage."""
    return script("plugins/action/cairn_stage.py").ActionModule


@pytest.fixture
def plan(script, tmp_path, monkeypatch):
    """Plan for hosts that lack virtualenvs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module = script("plugins/action/cairn_build.py")

    def ask(missing, services=None):
        action = object.__new__(module.ActionModule)
        hostvars = {
            host: {
                "cairn_host": HERE,
                "cairn_venvs": {
                    f"{role}-1": {"role": role, "lock": role, "cost": 10} for role in roles
                },
            }
            for host, roles in missing.items()
        }
        return action.plan(services, {"ansible_play_hosts": list(missing), "hostvars": hostvars})

    return ask


def test_every_missing_virtualenv_is_built_by_one_host(plan):
    assert plan({"compute1": ["nova"], "compute2": ["nova"], "storage1": []}) == {
        "compute1": {"nova-1": "nova"}
    }


def test_one_role_alone_builds_its_own_only(plan):
    built = plan({"controller1": ["nova", "glance"]}, services=["glance"])
    assert built == {"controller1": {"glance-1": "glance"}}


def test_what_is_packed_already_is_nobodys_work(plan, tmp_path):
    folder = tmp_path / "cairn/venvs"
    folder.mkdir(parents=True)
    for ending in ("", ".sha256"):
        (folder / f"nova-1_debian13-x86_64-python3.13.{venv_cache.FORM}.tar.gz{ending}").touch()
    assert plan({"compute1": ["nova"]}) == {}


def test_a_plan_stages_each_generation_once(stage):
    before = {"services": {"nova": {"current": "a", "staged": ["a"], "drift": []}}, "venvs": []}
    assert not stage.is_staged(MANIFEST, before)
    after = before | stage.planned([MANIFEST], before)
    assert stage.is_staged(MANIFEST, after)
    assert after["services"]["nova"]["current"] == "a"


def test_a_plan_for_a_bare_host_stages_too(stage):
    assert stage.is_staged(MANIFEST, stage.planned([MANIFEST], {}))


@pytest.mark.parametrize(
    ("kind", "staged"),
    [("generation", False), ("venv", False), ("file", True), ("unit", True), ("package", True)],
)
def test_only_what_no_switch_mends_is_staged_again(stage, kind, staged):
    drift = [{"kind": kind, "what": "x", "text": "package y is missing"}]
    service = {"current": "b", "staged": ["b"], "drift": drift}
    state = {"services": {"nova": service}, "venvs": ["nova-2"]}
    assert stage.is_whole(MANIFEST, state) is staged


def test_a_generation_without_its_packages_is_not_staged(stage):
    state = {"services": {"nova": {"staged": ["b"]}}, "venvs": ["nova-2"], "packages": ["curl"]}
    assert stage.is_staged(MANIFEST | {"packages": ["curl"]}, state)
    assert not stage.is_staged(MANIFEST | {"packages": ["curl", "wget"]}, state)


@pytest.mark.parametrize("check", [True, False])
def test_a_plan_names_packages_that_a_bare_hosts_apt_does_not_know_yet(stage, monkeypatch, check):
    action, asked, remembered = object.__new__(stage), [], []
    action._task = type("Task", (), {"check_mode": check})
    monkeypatch.setattr(action, "host_state", lambda _: {"packages": ["chrony"]})
    monkeypatch.setattr(action, "call", lambda module, *_: asked.append(module))
    monkeypatch.setattr(action, "remember", lambda _, packages: remembered.extend(packages))
    missing = action.install_packages([{"packages": ["chrony", "haproxy"]}], {})
    assert missing == ["haproxy"]
    assert remembered == ["chrony", "haproxy"]
    assert asked == ([] if check else ["ansible.legacy.apt"])


def test_what_a_power_cut_left_of_a_package_run_is_mended_first(stage, monkeypatch):
    action, asked = object.__new__(stage), []
    action._task = type("Task", (), {"check_mode": False})
    cut_off = {"packages": [], "dpkg_unfinished": True, "policy_left": True}
    monkeypatch.setattr(action, "host_state", lambda _: cut_off)
    monkeypatch.setattr(action, "call", lambda *words: asked.append(words[:2]))
    monkeypatch.setattr(action, "remember", lambda *_, **__: None)
    action.install_packages([{"packages": ["haproxy"]}], {})
    command, gone, (last, _) = asked
    *_, forget, fetch, configure, fix = command[1]["_raw_params"].replace("; rm", " rm").split("; ")
    assert "/var/lib/apt/lists" in forget and fetch.endswith("update")
    assert configure.startswith("dpkg ") and "--fix-broken" in fix
    assert gone == ("ansible.legacy.file", {"path": "/usr/sbin/policy-rc.d", "state": "absent"})
    assert last == "ansible.legacy.apt"


def test_indexes_that_a_power_cut_emptied_are_fetched_again(stage, monkeypatch):
    action, asked = object.__new__(stage), []

    def call(module, arguments, _):
        asked.append(arguments.get("_raw_params", module))
        if len(asked) == 1:
            raise CairnError(f"{UNKNOWN_PACKAGE} 'curl' is available")

    monkeypatch.setattr(action, "call", call)
    action.apt(["curl"], {}, {})
    first, forget, second = asked
    assert (first, second) == ("ansible.legacy.apt", "ansible.legacy.apt")
    assert "/var/lib/apt/lists" in forget


def test_a_package_that_no_source_has_is_an_error_after_one_more_look(stage, monkeypatch):
    action, asked = object.__new__(stage), []

    def call(module, *_):
        asked.append(module)
        if module == "ansible.legacy.apt":
            raise CairnError(f"{UNKNOWN_PACKAGE} 'nosuch' is available")

    monkeypatch.setattr(action, "call", call)
    with pytest.raises(CairnError, match="nosuch"):
        action.apt(["nosuch"], {}, {})
    assert asked.count("ansible.legacy.apt") == 2


@pytest.mark.parametrize(
    ("why", "error"),
    [
        (
            "refused",
            "no package curl\npackage sources that do not answer: http://m/debian (refused)",
        ),
        ("", "no package curl"),
    ],
)
def test_apts_error_names_mirrors_that_do_not_answer(stage, monkeypatch, why, error):
    def fail(*_):
        raise CairnError("no package curl")

    action = object.__new__(stage)
    monkeypatch.setattr(action, "call", fail)
    with pytest.raises(CairnError) as failed:
        action.apt(["curl"], {"mirrors": {"http://m/debian": why}}, {})
    assert str(failed.value).startswith(error)
    assert ("run again" in str(failed.value)) is bool(why)


def test_ansibles_apt_reports_an_unknown_package_in_these_words():
    # The one text of another program's that a decision hangs on.
    assert UNKNOWN_PACKAGE in inspect.getsource(apt)
