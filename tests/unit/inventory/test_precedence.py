"""Variables that stand in several files: which counts, which are merged, and where each is from."""

from __future__ import annotations

from typing import Any

import pytest
from ansible import constants
from ansible.template import Templar

from cairn.actions.base import CairnAction
from cairn.errors import DescriptionError
from cairn.service import registry
from cairn.site import precedence

from .conftest import Write

HOSTS = """
all:
  vars: {where: hosts.yml of all}
  children:
    compute:
      vars: {where: hosts.yml of compute}
      hosts: {c1: {}, c2: {}}
      children: {gpu: {hosts: {c1: {}}}}
    storage: {hosts: {c1: {}}}
    zeta: {children: {compute: {}}}
"""
LADDER = {
    "hosts.yml": HOSTS,
    "group_vars/all/b.yml": "where: all\n",
    "group_vars/storage.yml": "where: storage\n",
    "group_vars/zeta.yml": "where: zeta\n",
    "group_vars/compute/main.yml": "where: compute\n",
    "group_vars/gpu.yml": "where: gpu\n",
    "host_vars/c1.yml": "where: c1\n",
}


def test_layers_come_in_ansibles_precedence(hostvars: Write) -> None:
    found = precedence.values_of("where", precedence.layers(hostvars(LADDER), "c1"))
    # Depth counts first, then the alphabet; files of groups beat the inventory's own.
    assert found == [
        *("hosts.yml of all", "hosts.yml of compute"),
        *("all", "storage", "zeta", "compute", "gpu", "c1"),
    ]


@pytest.mark.parametrize("gone", range(len(LADDER) - 1))
def test_the_strongest_layer_is_what_ansible_takes(hostvars: Write, gone: int) -> None:
    """Without the strongest files, one after the other."""
    kept = dict(list(LADDER.items())[: len(LADDER) - gone])
    found = hostvars(kept)
    assert precedence.values_of("where", precedence.layers(found, "c1"))[-1] == found["c1"]["where"]
    where = found["c1"]["where"]
    file = precedence.file_in_force(found, "where", "c1")
    assert file == ("site/hosts.yml" if "hosts" in where else f"site/{list(kept)[-1]}")


def test_priority_beats_the_alphabet(hostvars: Write) -> None:
    files = {
        "hosts.yml": "a: {hosts: {h: }, vars: {ansible_group_priority: 10}}\nb: {hosts: {h: }}\n",
        "group_vars/a.yml": "x: of a\n",
        "group_vars/b.yml": "x: of b\n",
    }
    assert precedence.values_of("x", precedence.layers(hostvars(files), "h"))[-1] == "of a"
    assert precedence.file_in_force(hostvars(files), "x", "h") == "site/group_vars/a.yml"


@pytest.mark.parametrize("value", ["text", "5", "true", "[1]", "{a: 1}", "null", "!vault x"])
@pytest.mark.parametrize("name", ["group_vars/b.yml", "group_vars/b/x.json", "group_vars/b/sub/y"])
def test_the_file_in_force_for_values_of_any_type(hostvars: Write, value: str, name: str) -> None:
    files = {
        "hosts": "[a]\nh\n[b]\nh\n",
        "group_vars/a.yml": f"x: {value}\n",
        name: f"x: {value}\n",
    }
    assert precedence.file_in_force(hostvars(files), "x", "h") == f"site/{name}"


NOVA = {
    "hosts.yml": "compute: {hosts: {c1: , c2: }}\n",
    "group_vars/all/nova.yml": (
        "nova_config:\n  nova.conf:\n    vnc: {enabled: false}\n    DEFAULT: {debug: false}\n"
    ),
    "group_vars/compute/nova.yml": (
        "nova_config: {nova.conf: {compute: {cpu_dedicated_set: '4-15'}}}\n"
    ),
    "host_vars/c1.yml": "nova_config: {nova.conf: {DEFAULT: {debug: true, my_ip: null}}}\n",
}


def merged(values: list[Any]) -> Any:
    return precedence.merge("nova_config", values, 3, lambda _: {"nova.conf": {"t": {"a": 1}}})


def test_overrides_are_merged_by_option(hostvars: Write) -> None:
    found = hostvars(NOVA)
    values = precedence.values_of("nova_config", precedence.layers(found, "c1"))
    assert merged(values) == {
        "nova.conf": {
            "vnc": {"enabled": False},
            "DEFAULT": {"debug": True, "my_ip": None},
            "compute": {"cpu_dedicated_set": "4-15"},
        }
    }
    values = precedence.values_of("nova_config", precedence.layers(found, "c2"))
    assert merged(values)["nova.conf"]["DEFAULT"] == {"debug": False}


def test_several_files_of_one_group_are_merged_too(hostvars: Write) -> None:
    """Ansible itself would take only the last one's."""
    more = "nova_config: {nova.conf: {DEFAULT: {debug: 5}, quota: {cores: 7}}}\n"
    for name in ("group_vars/all/zz.yml", "group_vars/all/zz/deeper.yml"):
        found = hostvars({**NOVA, name: more})
        values = precedence.values_of("nova_config", precedence.layers(found, "c2"))
        assert merged(values)["nova.conf"] == {
            "vnc": {"enabled": False},
            "DEFAULT": {"debug": 5},
            "quota": {"cores": 7},
            "compute": {"cpu_dedicated_set": "4-15"},
        }


def test_ansibles_hash_behaviour_changes_nothing(
    hostvars: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for behaviour in ("replace", "merge"):
        monkeypatch.setattr(constants, "DEFAULT_HASH_BEHAVIOUR", behaviour)
        found = hostvars(NOVA)
        variables = {**found.raw_get("c1"), "hostvars": found}
        made.append(precedence.overrides(variables, "c1", {"nova_config": 3}, lambda value: value))
    assert made[0] == made[1]


def test_the_command_line_wins_by_option(hostvars: Write) -> None:
    final = {"nova.conf": {"DEFAULT": {"debug": 7}}}
    values = precedence.values_of("nova_config", precedence.layers(hostvars(NOVA), "c1"), final)
    assert merged(values)["nova.conf"]["DEFAULT"] == {"debug": 7, "my_ip": None}
    assert merged(values)["nova.conf"]["vnc"] == {"enabled": False}


def test_an_options_own_dictionary_is_not_mixed_with_another(hostvars: Write) -> None:
    one, two = ({"f": {"s": {"o": {key: [1]}}}} for key in ("multi", "other"))
    assert merged([one, two]) == {"f": {"s": {"o": {"other": [1]}}}}


def test_a_dictionary_may_be_a_template(hostvars: Write) -> None:
    assert merged([{"nova.conf": {"t": {"b": 2}}}, "{{ x }}"]) == {
        "nova.conf": {"t": {"b": 2, "a": 1}}
    }


def test_the_error_on_what_is_no_dictionary_names_its_file(hostvars: Write) -> None:
    found = hostvars({**NOVA, "group_vars/compute/nova.yml": "nova_config: [1]\n"})
    values = precedence.values_of("nova_config", precedence.layers(found, "c1"))
    with pytest.raises(DescriptionError, match=r"must be a mapping \(site/group_vars/compute/nova"):
        merged(values)


def test_each_option_is_shown_with_file_and_line(hostvars: Write) -> None:
    values = precedence.values_of("nova_config", precedence.layers(hostvars(NOVA), "c1"))
    found = precedence.origins(values, 3)
    assert found["nova.conf", "vnc", "enabled"] == "site/group_vars/all/nova.yml:3"
    assert found["nova.conf", "DEFAULT", "debug"] == "site/host_vars/c1.yml:1"
    assert found["nova.conf", "compute", "cpu_dedicated_set"] == (
        "site/group_vars/compute/nova.yml:1"
    )


def test_a_plan_says_where_overrides_come_from(hostvars: Write) -> None:
    found = hostvars(NOVA)
    variables = {"hostvars": found, "nova_config": found.raw_get("c2")["nova_config"]}
    assert precedence.explained(variables, "c2", {"nova_config": 3, "glance_config": 3}) == (
        "nova_config of c2:\n"
        "  nova.conf vnc enabled from site/group_vars/all/nova.yml:3\n"
        "  nova.conf DEFAULT debug from site/group_vars/all/nova.yml:4\n"
        "  nova.conf compute cpu_dedicated_set from site/group_vars/compute/nova.yml:1\n"
    )
    assert precedence.explained(variables, "c2", {"glance_config": 3}) == ""


def test_a_model_has_its_overrides_merged(hostvars: Write) -> None:
    """What an action makes of them, for every variable that is merged."""
    depths = registry.merged()
    files = {
        "hosts.yml": "compute: {hosts: {c1: }}\n",
        "group_vars/all.yml": "".join(
            f"{n}: {{A: {{b: {{c: 1}}}}, B: {{d: 1}}}}\n" for n in depths
        ),
        "group_vars/compute.yml": "".join(f"{n}: {{A: {{b: {{e: 2}}}}}}\n" for n in depths),
        "host_vars/c1.yml": "nova_config: {A: {b: {c: '{{ 40 + 2 }}'}}}\n",
    }
    found = hostvars(files)
    action = object.__new__(CairnAction)
    task_vars = {**found.raw_get("c1"), "hostvars": found, "cairn_site": {"hosts": {"c1": {}}}}
    action._templar = Templar(loader=found._loader, variables=task_vars)
    model = action.model(task_vars)
    for name, depth in depths.items():
        inner = {1: {"b": {"e": 2}}, 2: {"b": {"e": 2}}, 3: {"b": {"c": 1, "e": 2}}}[depth]
        if name != "nova_config":
            assert model._variables[name] == {"A": inner, "B": {"d": 1}}, name
    made = model._template(model._variables["nova_config"], model._variables)
    assert made == {"A": {"b": {"c": 42, "e": 2}}, "B": {"d": 1}}


RIVALS = {
    "hosts.yml": (
        "controller: {hosts: {h1: , h2: }}\nnetwork: {hosts: {h1: }, children: {deep: }}\n"
        "deep: {hosts: {h2: }}\n"
    ),
    "group_vars/controller.yml": "planes: {a: 1, b: 2}\n",
    "group_vars/network.yml": "planes: {a: 1}\n",
}


def test_groups_between_which_only_the_alphabet_decides(hostvars: Write) -> None:
    assert precedence.rivals(hostvars(RIVALS), "h1", "planes") == [
        ("controller", "site/group_vars/controller.yml"),
        ("network", "site/group_vars/network.yml"),
    ]


@pytest.mark.parametrize(
    ("host", "more"),
    [
        ("h1", {"host_vars/h1.yml": "planes: {a: 1}\n"}),
        ("h1", {"group_vars/network.yml": "planes: {b: 2, a: 1}\n"}),  # they agree
        ("h1", {"group_vars/network.yml": "ansible_group_priority: 2\n"}),
        ("h2", {"group_vars/deep.yml": "planes: {c: 3}\n"}),
    ],
)
def test_groups_of_which_one_is_meant(hostvars: Write, host: str, more: dict[str, str]) -> None:
    assert precedence.rivals(hostvars({**RIVALS, **more}), host, "planes") == []
