"""The preflight action: what it hands to the checks, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from cairn.preflight import gather
from cairn.preflight.inventory import check_secrets
from cairn.service import registry
from cairn.site import renamed, secrets, variable_types

Data = dict[str, Any]


@pytest.fixture
def task_vars(site: Data, hosts: Data, tmp_path: Path, authority: tuple[str, str]) -> Data:
    """A healthy site as the action sees it, its secrets complete and encrypted."""
    site["inventory"] = str(tmp_path)
    site["vips"] = {"internal": "10.0.0.10", "public": "10.0.30.10"}
    path = tmp_path / "group_vars/all/secrets.yml"
    path.parent.mkdir(parents=True)
    path.write_text("$ANSIBLE_VAULT;1.1;AES256\n")
    wanted = secrets.required(registry.of_site(registry.descriptions(), site), site["planes"])
    groups = {
        "all": ["controller1", "compute1"],
        "controller": ["controller1"],
        "compute": ["compute1"],
        "network": ["controller1"],
        "storage": ["controller1"],
        "operator": ["controller1"],
    }
    hostvars = {
        name: {
            "inventory_hostname": name,
            "inventory_dir": str(tmp_path),
            "group_names": [g for g, names in groups.items() if name in names and g != "all"],
            "cairn_planes": {},
            "cairn_host": host,
            "cairn_secrets": dict.fromkeys(wanted, "x" * 32)
            | {f"keepalived_{plane}": "x" for plane in site["planes"]}
            | dict(zip(("ca_certificate", "ca_key"), authority, strict=True)),
        }
        for name, host in hosts.items()
    }
    return {
        "cairn_site": site,
        "hostvars": hostvars,
        "groups": groups,
        "ansible_play_hosts_all": list(hosts),
    }


def texts(task_vars: Data) -> list[str]:
    return [f.text for f in gather.inventory_findings(task_vars) + gather.host_findings(task_vars)]


def test_a_healthy_site_has_no_finding(task_vars: Data) -> None:
    assert texts(task_vars) == []


def test_a_misspelt_variable_is_found_in_its_file(task_vars: Data, tmp_path: Path) -> None:
    (tmp_path / "group_vars/compute.yml").write_text("nova_confg: {}\n")
    task_vars["hostvars"]["compute1"]["nova_confg"] = {}
    (text,) = texts(task_vars)
    assert "nova_confg is unknown; did you mean nova_config?" in text
    assert "group_vars/compute.yml" in text


def test_a_name_from_the_command_line_is_a_finding_when_it_has_a_prefix_of_cairns(
    task_vars: Data, tmp_path: Path
) -> None:
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/compute1.yml").write_text("# not here\n")
    # Ansible's own names may look like anything.
    task_vars["hostvars"]["compute1"] |= {"nova_wokers": 1, "play_hosts": 1}
    assert texts(task_vars) == ["variable nova_wokers is unknown; did you mean nova_workers?"]


def test_what_hosts_of_other_groups_say_is_their_own(task_vars: Data) -> None:
    task_vars["groups"] |= {"switches": ["leaf1"], "all": [*task_vars["groups"]["all"], "leaf1"]}
    task_vars["hostvars"]["leaf1"] = {"cairn_planez": {}, "nova_confg": {}}
    assert texts(task_vars) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("group_vars/computes.yml", "there is no group computes; did you mean compute?"),
        ("group_vars/contoller/api.yml", "there is no group contoller; did you mean controller?"),
        ("group_vars/compute.yml", None),
        ("group_vars/all/nova.yml", None),
        ("host_vars/contoller1.yml", "there is no host contoller1; did you mean controller1?"),
        ("host_vars/xyz.json", "there is no host xyz"),
        ("host_vars/compute1.yml", None),
        ("host_vars/localhost.yml", None),
    ],
)
def test_a_file_for_no_group_or_host_is_a_finding(
    name: str, text: str | None, task_vars: Data, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}\n")
    found = gather.inventory_findings(task_vars)
    whose = path.parent if path.parent.parent.name == "group_vars" else path
    assert [f.text for f in found] == ([f"Ansible does not read {whose}: {text}"] if text else [])
    # A host may be away for a while; a group is not.
    severity = "error" if name.startswith("group_vars") else "warning"
    assert {f.severity for f in found} <= {severity}


@pytest.mark.parametrize(
    ("names", "text", "remedy"),
    [
        (["all.yml"], "group_vars/all.yml: it reads", "move it into"),
        (["compute/a.yml", "compute.json"], "compute.json: it reads", "move it into"),
        (["compute.yml", "compute.yaml"], "compute.yaml: it reads", "join the two"),
    ],
)
def test_a_file_that_ansible_passes_over_is_a_finding(
    names: list[str], text: str, remedy: str, task_vars: Data, tmp_path: Path
) -> None:
    for name in names:
        path = tmp_path / "group_vars" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}\n")
    (finding,) = gather.inventory_findings(task_vars)
    assert text in finding.text
    assert remedy in finding.remedy


def test_secrets_of_services_that_the_site_lacks_are_not_asked_for(
    task_vars: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = {"swift": {"optional": True, "secrets": {"swift_hash": "password"}, "groups": []}}
    monkeypatch.setattr(registry, "descriptions", lambda *_: described)
    assert texts(task_vars) == []
    task_vars["cairn_site"]["services"] = ["swift"]
    assert texts(task_vars) == ["cairn_secrets lacks swift_hash"]


VALUES = {
    # written as in the file: the finding, and its remedy
    "service_nova: 12345678": ("YAML reads a number there, not text", "put it in quotes"),
    "service_nova: 00420042": ("YAML reads a number there, not text", "put it in quotes"),
    "service_nova: 1.50": ("YAML reads a number there, not text", "put it in quotes"),
    "service_nova: 0": ("YAML reads a number there, not text", "put it in quotes"),
    "service_nova: no": ("YAML reads a boolean there, not text", "put it in quotes"),
    "service_nova: 2026-01-01": ("YAML reads a date there, not text", "put it in quotes"),
    "service_nova: [a]": ("YAML reads a list there, not text", "put it in quotes"),
    "service_nova: {a: b}": ("YAML reads a mapping there, not text", "put it in quotes"),
    "service_nova: 'a{{b'": (
        "{{ starts a template of Ansible's; write it as !unsafe",
        "as described",
    ),
    "service_nova: 'a{{ 1 }}b'": ("{{ starts a template of Ansible's", "as desc"),
    "service_nova: 'a{# 1 #}b'": ("{# starts a template of Ansible's", "as desc"),
    "service_nova: 'a{% b'": ("{% starts a template of Ansible's", "as desc"),
    "service_nova: '{{ not_there }}'": (
        "Ansible makes no text of it: 'not_there' is",
        "as described",
    ),
    "service_nova: '{{ 1 + 1 }}'": ("YAML reads a number there, not text", "put it in quotes"),
    "service_nova: 'a\\$b'": (r"oslo.config reads \$ as $", "another value"),
    'service_nova: "a\\nb"': ("a line break cannot stand in a line of a file", "another value"),
    "service_swift: ' a'": ("Swift's configuration drops spaces at the ends", "another value"),
    "swift_hash_path_prefix: 'a '": ("Swift's configuration drops spaces", "another value"),
    "service_swift_dispersion: 'a '": ("configparser drops spaces at the ends", "another value"),
    "database_nova: ü": ("log in to MariaDB, takes ASCII, not 'ü'", "another value"),
    "erlang_cookie: a b": ("Erlang's cookie takes ASCII without spaces", "another value"),
    "heat_auth_encryption_key: short": ("heat takes a key of 32 characters", "another value"),
    "keepalived_management: a#b": ("keepalived takes letters, digits, . _ and -", "another value"),
    "keepalived_management: ninechars": ("uses the first 8 characters only", "another value"),
}


@pytest.fixture
def secret_findings(tmp_path: Path, task_vars: Data) -> Callable[[str], dict[str, tuple[str, str]]]:
    """Give what preflight finds about a site's secrets, which Ansible itself reads from a file."""

    def read(line: str) -> dict[str, tuple[str, str]]:
        (tmp_path / "hosts.yml").write_text("all: {hosts: {controller1: }}\n")
        folder = tmp_path / "group_vars/all"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "secrets.yml").write_text(f"cairn_secrets:\n  {line}\n")
        loader = DataLoader()
        manager = InventoryManager(loader=loader, sources=[str(tmp_path / "hosts.yml")])
        hostvars = HostVars(manager, VariableManager(loader, manager), loader)
        templar = Templar(loader=loader, variables=hostvars.raw_get("controller1"))
        values, wrong = gather.secret_values(hostvars, "controller1", templar.template)
        assert set(values) == {line.partition(":")[0]}
        found = check_secrets([], None, "inventories/site", wrong)
        return {f.text.partition(": ")[0]: (f.text.partition(": ")[2], f.remedy) for f in found}

    return read


@pytest.mark.parametrize("line", VALUES)
def test_a_secret_that_cannot_reach_its_readers_is_a_finding_with_its_name(
    line: str, secret_findings: Callable[[str], dict[str, tuple[str, str]]]
) -> None:
    name, _, value = line.partition(": ")
    text, remedy = VALUES[line]
    found = secret_findings(line)
    assert set(found) == {f"cairn_secrets.{name}"}
    assert text in found[f"cairn_secrets.{name}"][0]
    assert remedy in found[f"cairn_secrets.{name}"][1]
    assert "make edit-secrets INVENTORY=inventories/site" in found[f"cairn_secrets.{name}"][1]
    assert len(value) < 8 or value not in str(found).replace("'not_there'", "")


@pytest.mark.parametrize(
    "line",
    [
        "service_nova: '00420042'",
        "service_nova: 'no'",
        "service_nova: !unsafe 'a{{b {% c'",
        "service_nova: \"{{ 'from' ~ 'elsewhere' }}\"",
        "service_nova: '  a$b%c#d\"e\\f ü'",
        "service_nova: null",
        "queue_nova: 'ü\\$'",
        "database_nova: 'a%b$c\\$d@e:/?#'",
        "keepalived_management: aB3._-x8",
    ],
)
def test_all_other_secrets_are_taken(
    line: str, secret_findings: Callable[[str], dict[str, tuple[str, str]]]
) -> None:
    assert secret_findings(line) == {}


def test_an_unusable_secret_is_no_missing_one(task_vars: Data) -> None:
    secret = task_vars["hostvars"]["controller1"]["cairn_secrets"]
    secret["keystone_admin"] = False
    secret["of_my_own"] = 5
    assert texts(task_vars) == [
        "cairn_secrets.keystone_admin: YAML reads a boolean there, not text"
    ]


def test_secrets_in_the_clear(task_vars: Data, tmp_path: Path) -> None:
    (tmp_path / "group_vars/all/secrets.yml").write_text("cairn_secrets: {}\n")
    assert texts(task_vars) == ["group_vars/all/secrets.yml is not encrypted"]


def test_a_sites_own_minimum_counts(task_vars: Data) -> None:
    task_vars["hostvars"]["compute1"]["cairn_minimum_memory_mb"] = {"compute": 10**6}
    (text,) = texts(task_vars)
    assert text.endswith("a compute host needs 1000000")


@pytest.mark.parametrize("name", sorted(variable_types.OF_HOST))
def test_an_empty_variable_of_a_host_is_its_default(
    task_vars: Data, storage: Data, name: str
) -> None:
    storage.pop(name, None)
    before = gather.host_findings(task_vars), gather.window_findings(task_vars)
    for variables in task_vars["hostvars"].values():
        variables[name] = None
    assert (gather.host_findings(task_vars), gather.window_findings(task_vars)) == before


@pytest.fixture
def storage(task_vars: Data) -> Data:
    """Variables of a storage host with one blank disk, in a site with cinder."""
    task_vars["cairn_site"]["services"] = ["cinder"]
    host = task_vars["cairn_site"]["hosts"]["compute1"]
    host["groups"] = ["storage"]
    found: Data = task_vars["hostvars"]["compute1"]
    blank = {"real": "/dev/vdb", "used": "", "signatures": []}
    found["cairn_host"] |= {"devices": {"/dev/vdb": blank}, "volume_groups": {}, "records": {}}
    return found


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"cinder_volume_disks": ["/dev/vdb"]}, None),
        ({"cinder_volume_disks": [{"device": "/dev/vdb", "erase": "9a11"}]}, None),
        ({"cinder_volume_disks": ["/dev/vdx"]}, "has no disk /dev/vdx; it has none"),
        ({}, "has no volume group cinder-volumes, and no disk for it"),
        ({"cinder_backends": ["nfs"], "cinder_nfs_shares": ["192.0.2.9:/volumes"]}, None),
        (
            {"cinder_backends": ["nfs"]},
            "cinder_backends includes nfs, but cinder_nfs_shares is empty",
        ),
        (
            {"cinder_volume_disks": ["/dev/vdb"], "swift_disks": [{"device": "/dev/vdb"}]},
            "/dev/vdb is in swift_disks and in cinder_volume_disks",
        ),
    ],
)
def test_disks_for_volumes(
    variables: Data, text: str | None, task_vars: Data, storage: Data
) -> None:
    storage |= variables
    found = [t for t in texts(task_vars) if "cairn_secrets" not in t]
    assert found == ([text] if text else [])


@pytest.mark.parametrize(
    ("where", "port", "unit", "text"),
    [
        (
            "controller1",
            123,
            "ntpd.service",
            "UDP port 123 is time's, but ntpd.service listens on it",
        ),
        ("controller1", 123, "chrony.service", None),
        ("controller1", 123, "ntpsec.service", None),  # makes way for chrony's package
        ("compute1", 123, "ntpd.service", None),  # nobody asks it for the time
        ("compute1", 6081, "", None),  # the kernel's, from a run before
        ("compute1", 6081, "node", "UDP port 6081 is Geneve's, but node listens on it"),
    ],
)
def test_udp_ports_of_the_flows(
    where: str, port: int, unit: str, text: str | None, task_vars: Data
) -> None:
    task_vars["hostvars"][where]["cairn_host"]["listening"] = [
        {"port": port, "protocol": "udp", "address": "::", "unit": unit}
    ]
    assert texts(task_vars) == ([text] if text else [])


def test_hosts_outside_the_run_are_not_judged(task_vars: Data) -> None:
    task_vars["hostvars"]["compute1"]["cairn_host"]["os"]["version"] = "12"
    assert texts(task_vars) == ["runs debian 12"]
    task_vars["ansible_play_hosts_all"] = ["controller1"]
    assert texts(task_vars) == []


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"ansible_connection": "local", "ansible_host": "localhost"}, None),
        ({"ansible_host": "192.0.2.9"}, None),  # another machine, by SSH
        ({}, "is the control node, but its ansible_connection is not local"),
    ],
)
def test_the_operator_has_a_connection_of_its_own(
    variables: Data, text: str | None, task_vars: Data
) -> None:
    name = "elsewhere1" if "ansible_host" in variables else "localhost"
    task_vars["groups"]["operator"] = [name]
    task_vars["hostvars"][name] = variables
    found = gather.operator_findings(task_vars)
    assert [f.text for f in found] == ([text] if text else [])


@pytest.fixture
def run(
    script: Callable[[str], ModuleType], task_vars: Data, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[Data, list[str]]]:
    """Run the action; its result, and what it showed."""
    action = script("plugins/action/cairn_preflight.py")
    shown: list[str] = []
    monkeypatch.setattr(action.ActionBase, "run", lambda *_: {})
    monkeypatch.setattr(action.Display, "display", lambda _self, text, *_: shown.append(text))
    plugin = object.__new__(action.ActionModule)
    plugin.validate_argument_spec = lambda _spec: None
    plugin._loader = DataLoader()
    plugin._task = SimpleNamespace(check_mode=False)
    plugin._templar = Templar(loader=plugin._loader)
    return lambda: (plugin.run(None, task_vars), shown)


def test_a_warning_lets_the_run_go_on(
    run: Callable[[], tuple[Data, list[str]]], task_vars: Data
) -> None:
    task_vars["hostvars"]["compute1"]["cairn_host"] = {"unreachable": True, "msg": "no route"}
    result, shown = run()
    assert result["left_out"] == ["compute1"]
    assert not result["changed"]
    assert "compute1: cannot be reached: no route" in shown[0]


def test_an_error_ends_it_with_every_finding_in_one_table(
    run: Callable[[], tuple[Data, list[str]]], task_vars: Data
) -> None:
    for host in task_vars["hostvars"].values():
        host["cairn_host"]["os"]["version"] = "12"
    task_vars["hostvars"]["compute1"]["cairn_host"]["memory_mb"] = 1
    with pytest.raises(AnsibleActionFail, match=r"3 finding.* nothing was touched"):
        run()


def test_certificates_are_looked_at(
    run: Callable[[], tuple[Data, list[str]]], task_vars: Data
) -> None:
    variables = task_vars["hostvars"]["controller1"]
    variables["cairn_host"]["records"] = {"certificate-end": "2026-01-01T00:00:00Z"}
    result, _ = run()
    assert [(f["host"], f["severity"]) for f in result["findings"]] == [("controller1", "warning")]
    variables["pki_public_certificate"] = variables["cairn_secrets"]["ca_certificate"]
    variables["cairn_secrets"]["ca_key"] = "nonsense"
    with pytest.raises(AnsibleActionFail, match="2 finding"):
        run()


def test_a_variable_under_its_former_name_is_a_warning_and_under_both_an_error(
    task_vars: Data, tmp_path: Path
) -> None:
    (former, (name, _)), *_ = renamed.table().items()
    (tmp_path / "group_vars/compute.yml").write_text(f"{former}: 1\n")
    task_vars["hostvars"]["compute1"][former] = 1
    assert texts(task_vars) == []  # it is known, and says so once
    (one,) = gather.renamed_findings(task_vars)
    assert one.severity == "warning" and f"{former} is called {name} now" in one.text
    assert "group_vars/compute.yml" in one.text
    (both,) = gather.renamed_findings(task_vars, {name: 1})
    assert both.severity == "error" and f"{name}, and both are set" in both.text
    del task_vars["hostvars"]["compute1"][former]
    (given,) = gather.renamed_findings(task_vars, {former: 1})
    assert given.text == f"variable {former} is called {name} now"
    assert gather.renamed_findings(task_vars) == []


def test_another_run_is_a_finding(
    run: Callable[[], tuple[Data, list[str]]], task_vars: Data
) -> None:
    other = {
        **{"user": "ann", "host": "deploy2", "pid": 7, "playbook": "playbooks/site.yml"},
        **{"since": "2026-11-30 02:10:00 UTC", "machine": "deploy2's", "token": "7"},
    }
    task_vars["hostvars"]["controller1"]["cairn_host"]["lease"] = other
    assert [f["check"] for f in run()[0]["findings"]] == ["lease"]
    task_vars["cairn_take_over"] = True
    assert run()[0]["findings"] == []


def test_names_of_hosts_and_apis_are_looked_at(task_vars: Data) -> None:
    site = task_vars["cairn_site"]
    site["hosts"]["ctl_01"] = {}
    task_vars["hostvars"]["ctl_01"] = {}
    site["names"]["public"] = "https://cloud.example.org"
    found = [f for f in gather.inventory_findings(task_vars) if f.check == "names"]
    assert [f.host for f in found] == ["ctl_01", ""]
