"""The reference is what the project declares: every variable, with its type, default and use."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import pytest
import yaml

from cairn import PROJECT
from cairn.preflight import host as checks
from cairn.reference import __main__ as reference
from cairn.reference import commands, contents, markdown, ports, roles, usage, variables
from cairn.reference.variables import Variable
from cairn.service import registry
from cairn.site import flows, planes, variable_types

ALL = list(variables.everything())
OF_ROLES = [variable for variable in ALL if variable.role]
OF_SITE = variables.of_site()
NAMES = {variable.name for variable in ALL}
# Anything that could be a variable of Cairn's.
OURS = re.compile(rf"(?:{'|'.join(['cairn', *registry.roles()])})_[a-z0-9_]+")


def named(variable: Variable) -> str:
    return f"{variable.role}-{variable.name}" if variable.role else variable.name


def defaults(role: str) -> dict[str, Any]:
    read: dict[str, Any] = usage.load(PROJECT / "roles" / role / "defaults/main.yml")
    return read


# --- the pages ---------------------------------------------------------------------------------


def test_the_committed_pages_are_what_is_made(root: Path) -> None:
    wanted = dict(reference.pages())
    folder = root / "docs/reference"
    there = {
        path.relative_to(folder).as_posix(): path
        for path in reference.made()
        if path.suffix == ".md"
    }
    assert set(there) == set(wanted), "make docs"
    differing = [name for name, path in there.items() if path.read_text() != wanted[name]]
    assert differing == [], "make docs"


@pytest.mark.parametrize("variable", ALL, ids=named)
def test_every_variable_stands_in_the_reference(variable: Variable) -> None:
    page = whole_page()
    if variable.role == "service":  # a task's to set, not an inventory's
        return
    assert f"{markdown.code(variable.name)}]({_target(variable)}#{variable.name})" in page
    own = role_page(variable.role) if variable.role else page
    assert f"\n### {variable.name}\n" in own


@functools.cache
def whole_page() -> str:
    return variables.variables_page(contents.secret_uses())


@functools.cache
def role_page(role: str) -> str:
    return roles.role_page(role)


def _target(variable: Variable) -> str:
    return f"roles/{variable.role}.md" if variable.role else ""


def test_a_cell_keeps_its_table_whole() -> None:
    made = markdown.table(["a", "b", "c"], [["x | y", "", "two\nlines"], ["`1`", "", "3"]])
    assert made == "| a | c |\n| --- | --- |\n| x \\| y | two lines |\n| `1` | 3 |\n"
    assert markdown.table(["a"], []) == ""


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("Such as C({a.conf: {b: true}}).", "Such as `{a.conf: {b: true}}`."),
        (["One.", "Two\n  lines."], "One. Two lines."),
        ("I(not) B(bold) C(f(x))", "*not* **bold** `f(x)`"),
        (None, ""),
    ],
)
def test_ansibles_marks_become_markdown(said: Any, written: str) -> None:
    assert markdown.prose(said) == written


# --- every variable is declared whole ------------------------------------------------------------


def options(option: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield name, option
    for key in ("options", "entries"):
        for inner, value in (option.get(key) or {}).items():
            yield from options(value, f"{name}.{inner}")


@pytest.mark.parametrize("variable", ALL, ids=named)
def test_a_variable_has_type_and_description(variable: Variable) -> None:
    for name, option in options(dict(variable.option), variable.name):
        assert option.get("type"), name
        text = markdown.prose(option.get("description"))
        assert text.endswith("."), f"{name}: {text!r} is no sentence"
        assert text[0].isupper() or text[0] in "`[", name
        assert option["type"] != "list" or option.get("elements"), f"{name}: list of what?"


@pytest.mark.parametrize("role", registry.roles())
def test_an_entry_point_says_what_it_does(role: str) -> None:
    short = []
    for name, spec in variables.specs(role).items():
        assert spec.get("short_description"), name
        assert spec.get("description"), name
        short.append(spec["short_description"])
    assert len(short) == len(set(short)), "two entry points have the same description"


@pytest.mark.parametrize("role", registry.roles())
def test_defaults_are_those_of_the_specs(role: str) -> None:
    declared = {v.name: v.option for v in variables.of_role(role)}
    given = defaults(role)
    assert set(given) <= set(declared), "defaults without a spec"
    for name, option in declared.items():
        if "default" in option:
            assert given[name] == option["default"], name
        elif name in given:
            text = markdown.prose(option["description"])
            assert "efault" in text, f"{name}: the description does not say the default"


def test_the_sites_variables_say_what_the_code_holds() -> None:
    declared = {v.name: v.option for v in OF_SITE}
    keys = {
        "cairn_planes": planes.PLANE_KEYS,
        "cairn_nics": planes.NIC_KEYS,
        "cairn_bonds": planes.BOND_KEYS,
        "cairn_host_planes": planes.ATTACHMENT_KEYS,
        "cairn_provider_networks": {k for known in planes.PROVIDER_KEYS.values() for k in known},
    }
    for name, known in keys.items():
        assert set(declared[name]["entries"]) == set(known), name
    assert declared["cairn_bonds"]["entries"]["mode"]["choices"] == list(planes.BOND_MODES)
    for name, least in (
        ("cairn_minimum_memory_mb", checks.MINIMUM_MEMORY_MB),
        ("cairn_minimum_disk_mb", checks.MINIMUM_DISK_MB),
    ):
        said = {group: inner["default"] for group, inner in declared[name]["options"].items()}
        assert said == least
    assert declared["cairn_first_host_number"]["default"] == planes.FIRST_HOST_NUMBER
    mtus = [declared[n]["entries"]["mtu"]["default"] for n in ("cairn_planes", "cairn_bonds")]
    assert mtus == [planes.DEFAULT_MTU] * 2
    assert {v.scope for v in OF_SITE} == set(variables.SCOPES)
    for name in variable_types.OF_SITE:
        assert declared[name]["scope"] in ("site", "command")


def test_the_first_sentence_of_a_meaning_is_a_whole_one() -> None:
    assert markdown.first_sentence("A; B is `c.d`. E.") == "A; B is `c.d`."
    first = {v.name: markdown.first_sentence(v.meaning) for v in ALL}
    assert {name: text for name, text in first.items() if not text.endswith(".")} == {}


def test_the_secrets_are_used_in_the_files_of_each() -> None:
    page = whole_page()
    row = next(line for line in page.splitlines() if "](#cairn_secrets) |" in line)
    assert row.endswith("| [files of each secret](#secrets) |")
    listed = page.partition("\n## Secrets\n")[2]
    files = {path for paths in contents.secret_uses().values() for path in paths}
    assert "/etc/nova/nova.conf" in files
    assert {path for path in files if markdown.code(path) not in listed} == set()


def test_every_secret_of_a_site_is_explained() -> None:
    wanted = contents.inventory().secrets()
    for name in wanted:
        assert variables.purpose(name)
    for pattern in variables.declared()["secrets"]:
        begin = pattern.removesuffix("*")
        assert any(name == pattern or name.startswith(begin) for name in wanted), pattern


# --- every variable is used, and what is used is declared ---------------------------------------


@pytest.mark.parametrize("variable", ALL, ids=named)
def test_a_variable_is_read_somewhere(variable: Variable) -> None:
    own = f"roles/{variable.role}/"
    found = variable.readers
    assert found, f"nothing reads {variable.name}"
    if variable.role and not variable.name.endswith("_config"):
        assert any(path.startswith(own) or "plays" in path for path in found) or found


@functools.cache
def own_names(path: Path) -> set[str]:
    """Names that a file's own tasks set: registered, facts, loop and task variables."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("register", "loop_var") and isinstance(inner, str):
                    found.add(inner)
                if key in ("vars", "ansible.builtin.set_fact", "module_defaults"):
                    found.update(inner)
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(usage.load(path))
    return found


class Anything(dict[str, Any]):
    """Has every filter and every test: only Ansible knows them all."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __missing__(self, _name: str) -> Any:
        return lambda value: value

    def get(self, name: str, _default: Any = None) -> Any:
        return self[name]


def jinja() -> jinja2.Environment:
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=True)
    environment.filters, environment.tests = Anything(), Anything()
    return environment


def read_by(path: Path) -> set[str]:
    """The variables that a file's templates ask for."""
    environment = jinja()
    if path.suffix in (".yml", ".yaml"):
        texts = [*usage.texts(usage.load(path))]
        expressions = re.findall(r"^\s*(?:when|that|until|loop): (.+)$", path.read_text(), re.M)
        texts += [f"{{{{ {text} }}}}" for text in expressions if "{{" not in text]
    else:
        texts = [path.read_text()]
    found: set[str] = set()
    for text in texts:
        found |= jinja2.meta.find_undeclared_variables(environment.parse(text))
    return found


TEMPLATED = sorted(
    path
    for pattern in ("roles/*/*/**/*", "playbooks/**/*.yml")
    for path in PROJECT.glob(pattern)
    if path.is_file() and "meta" not in path.parts and "files" not in path.parts
)


@pytest.mark.parametrize("path", TEMPLATED, ids=lambda p: str(p.relative_to(PROJECT)))
def test_what_roles_and_playbooks_read_is_declared(path: Path) -> None:
    # Results of tasks stay for the tasks of other files of the same role or run.
    others = path.parents[1].rglob("*.yml") if "roles" in path.parts else path.parent.rglob("*.yml")
    own = set().union(*(own_names(other) for other in others if "meta" not in other.parts))
    known = NAMES | set(variables.declared()["run"]) | own | {"role", "service"}
    unknown = {name for name in read_by(path) if OURS.fullmatch(name)} - known
    # A play may register what another play reads.
    playbooks = set().union(*(own_names(p) for p in TEMPLATED if "playbooks" in p.parts))
    assert unknown - playbooks == set()


READS = ("get", "raw_get")


def keys_read(path: Path) -> set[str]:
    """Names that Python code reads out of a mapping of variables."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript):
            key, of = node.slice, node.value
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in READS
            and node.args
        ):
            key, of = node.args[0], node.func.value
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            source = ast.unparse(of)
            if re.search(r"\b(variables|hostvars|task_vars|shared|known|given|vars)\b", source):
                found.add(key.value)
    return found


PYTHON = sorted(
    path
    for pattern in ("cairn/**/*.py", "plugins/**/*.py", "filter_plugins/*.py", "tools/**/*.py")
    for path in PROJECT.glob(pattern)
)


@pytest.mark.parametrize("path", PYTHON, ids=lambda p: str(p.relative_to(PROJECT)))
def test_what_code_reads_is_declared(path: Path) -> None:
    known = NAMES | set(variables.declared()["run"])
    assert {name for name in keys_read(path) if OURS.fullmatch(name)} - known == set()


def test_reading_is_seen_in_code_and_templates(tmp_path: Path) -> None:
    code = tmp_path / "x.py"
    code.write_text(
        '"""nova_a."""\nx = hostvars[h].get("nova_b"); y = variables["nova_c"]; z["d"]\n'
    )
    assert keys_read(code) == {"nova_b", "nova_c"}
    assert usage.names_in(code) == {"nova_b", "nova_c", "d"}
    template = tmp_path / "x.j2"
    template.write_text("{# nova_a #}{% for item in nova_b %}{{ item ~ nova_c }}{% endfor %}")
    assert read_by(template) == {"nova_b", "nova_c"}
    tasks = tmp_path / "x.yml"
    tasks.write_text("- {name: nova_a, when: nova_b, vars: {nova_c: '{{ nova_d }}'}}\n")
    assert usage.names_in(tasks) >= {"nova_b", "nova_d"}
    assert not usage.names_in(tasks) & {"nova_c"}


# --- what hosts get -----------------------------------------------------------------------------


def _described(kind: str) -> Iterator[tuple[str, str]]:
    """Names in the roles' descriptions that hold no template."""
    for role, described in registry.descriptions().items():
        if kind == "unit" and isinstance(described.get("units"), dict):
            for name in described["units"]:
                yield role, name if "." in name else f"{name}.service"
        if kind == "file":
            for entry in [*(described.get("config") or ()), *(described.get("files") or ())]:
                name = entry.get("file") or entry["path"]
                yield role, name if name.startswith("/") else f"/etc/{role}/{name}"
        if kind == "package":
            for entry in described.get("packages") or ():
                yield from ((role, n) for n in entry["names"] if isinstance(entry["names"], list))


@pytest.mark.parametrize("kind", ["unit", "file", "package"])
def test_role_pages_leave_nothing_out_that_some_site_has(kind: str) -> None:
    shown = {(thing.role, thing.name) for thing in contents.of(kind)}
    wanted = {(role, name) for role, name in _described(kind) if "{{" not in name}
    assert wanted - shown == set(), "another condition in contents.CONDITIONS?"


@pytest.mark.parametrize("condition", [c for c in contents.CONDITIONS if c])
def test_a_condition_names_a_variable_and_adds_something(condition: str) -> None:
    named = re.findall(r"[a-z]+_[a-z_]+", condition)
    assert set(named) & NAMES
    assert set(named) & set(contents.CONDITIONS[condition][1]())


def test_secrets_are_found_where_they_are_written() -> None:
    uses = contents.secret_uses()
    assert uses["database_nova"] == ("/etc/nova/nova.conf",)
    assert uses["ca_key"] == ()


# --- ports --------------------------------------------------------------------------------------


def test_every_port_of_a_host_is_some_roles() -> None:
    known = registry.roles()
    for flow in flows.read():
        if "outside" not in flow.targets and flow.name != "SSH":
            assert ports.role_of(flow) in known, flow.name


def test_every_flow_is_in_the_table() -> None:
    page = ports.ports_page()
    for flow in flows.read():
        assert f"| {flow.port or 'none'} | {flow.protocol} | {flow.name} |" in page
        assert not flow.wildcard or f"- {flow.name}: {flow.wildcard}." in page


def test_vars_of_the_merged_list_are_dictionaries() -> None:
    declared = {v.name: v.option["type"] for v in ALL}
    for name in registry.merged():
        assert declared[name] == "dict", name


def test_the_reference_reads_yaml_of_any_tag() -> None:
    assert yaml.load("a: !unsafe x", usage.Loader) == {"a": "x"}  # noqa: S506


# --- commands ----------------------------------------------------------------------------------


def test_every_target_of_make_is_on_the_page() -> None:
    page = commands.commands_page()
    named = {target.name for target in commands.targets() if target.help}
    assert {"site", "plan", "rollback", "docs"} <= named
    for name in named:
        assert f"| `make {name}` |" in page
    assert "`SERVICE`" in next(line for line in page.splitlines() if "`make rollback`" in line)
    assert "| `-e role=…` |" in page
