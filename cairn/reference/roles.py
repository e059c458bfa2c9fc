"""docs/reference/roles: a page for each role."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from .. import PROJECT
from ..service import registry
from ..service.description import catalog_entries
from . import contents, files, ports, variables
from .contents import Thing
from .markdown import code, codes, made, page, prose, section, table

UP = "../../../"
ON_CHANGE = {"restart": "restart", "reload": "reload", "none": "nothing"}
ENTRY = "Entry points other than `main`:"
# Where roles without a description run.
PLACES = {
    "network": "every host",
    "operator": "control node",
    "service": "hosts of the service",
    "verify": "control node",
}


def where(thing: Thing) -> str:
    """The groups of a thing, and its condition."""
    return " ".join(filter(None, [contents.where(thing), thing.condition]))


def files_table(role: str) -> str:
    """The files that a role writes."""
    rows = []
    holding = files.secrets()
    for thing in contents.of("file", role):
        file = thing.about
        owner = f"{file['owner']}:{file['group']}"
        made_of = f"from the virtualenv: {code(file['from_venv'])}" if "from_venv" in file else ""
        secret = file["secret"] or thing.name in holding
        notes = [made_of, "holds secrets" if secret else ""]
        rows.append(
            [
                code(thing.name),
                where(thing),
                code(owner),
                code(file["mode"]),
                "; ".join(filter(None, notes)),
            ]
        )
    return table(["file", "on", "owner", "mode", ""], rows)


def folders_table(role: str) -> str:
    """The folders that a role makes."""
    rows = [
        [
            code(t.name),
            where(t),
            code(f"{t.about.get('owner', 'root')}:{t.about.get('group', 'root')}"),
            code(t.about.get("mode", "0755")),
        ]
        for t in contents.of("folder", role)
    ]
    return table(["folder", "on", "owner", "mode"], rows)


def runs(unit: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """The program of a unit."""
    declared = described.get(unit["name"]) or {}
    if declared.get("wsgi"):
        return f"uWSGI with {code(declared['wsgi'])}"
    if declared.get("static"):
        return "uWSGI with a folder of files"
    if unit["unit"].endswith(".timer"):
        schedule = contents.option(unit["text"], "Timer", "OnCalendar")
        return (
            f"the service of its name ({code(f'OnCalendar={schedule}')})"
            if schedule
            else "the service of its name, on schedule"
        )
    if unit["unit"].endswith(".mount"):
        return f"{code(contents.option(unit['text'], 'Mount', 'Where'))}"
    if unit["text"]:
        command = shlex.split(contents.option(unit["text"], "Service", "ExecStart"))
        return code(command[0].rpartition("/")[2])
    kind = "Debian's unit" + (", with a drop-in" if unit["dropin"] else "")
    if unit["state"] == "stopped":
        kind += ", stopped and disabled"
    return kind


def health(unit: Mapping[str, Any]) -> str:
    """The health check of a unit."""
    check = unit["health"]
    if "http" in check:
        return f"HTTP {code(check['http'])} on port {check['port']}"
    if "tcp" in check:
        return f"TCP port {check['tcp']}"
    if "command" in check:
        return code(shlex.join(check["command"]))
    if "active" in check:
        return f"stays active for {check['active']} s"
    return ""


def generic(thing: Thing) -> str:
    """The name of a unit; a mount of a disk of the example is shown for any disk."""
    return re.sub(r"^(srv-node)-\w+\.mount$", r"\1-DISK.mount", thing.name)


def units_table(role: str) -> str:
    """The units of a role."""
    described = registry.descriptions().get(role, {}).get("units")
    described = described if isinstance(described, Mapping) else {}
    rows: dict[str, list[str]] = {}
    for thing in contents.of("unit", role):
        unit = thing.about
        name = generic(thing)
        what = (
            runs(unit, described)
            if name == thing.name
            else "the disk of that name in `swift_disks`"
        )
        rows.setdefault(
            name,
            [
                code(name),
                where(thing),
                what,
                code(contents.user_of(unit)),
                health(unit),
                ON_CHANGE["none" if unit["state"] == "stopped" else unit["on_change"]],
            ],
        )
    return table(["unit", "on", "runs", "as", "healthy when", "on change"], rows.values())


def users(role: str) -> str:
    """The account that a role's service runs as."""
    rows = [
        [
            code(t.name),
            where(t),
            codes(t.about.get("groups") or ()),
            "Debian's package" if t.about.get("external") else "Cairn",
        ]
        for t in contents.of("user", role)
    ]
    return table(["user", "on", "further groups", "made by"], rows)


def packages(role: str) -> str:
    """Debian packages and the virtualenv."""
    by_place: dict[str, list[str]] = {}
    for thing in contents.of("package", role):
        by_place.setdefault(where(thing), []).append(thing.name)
    lines = [f"- on {place}: {codes(names)}" for place, names in by_place.items()]
    for venv in contents.of("virtualenv", role)[:1]:
        lock = f"releases/{contents.inventory().fact['release']}/{venv.name}.lock"
        lines.append(
            f"- Python packages of [{lock}]({UP}{lock}), in a virtualenv below `/opt/cairn/venvs` "
            f"on {where(venv)}"
        )
    return "\n".join(lines)


def database(described: Mapping[str, Any]) -> str:
    """Databases, queue and catalog entries."""
    lines = []
    if names := described.get("databases"):
        lines.append(f"- databases: {codes(names)}")
    if described.get("queue"):
        lines.append("- a user and a virtual host in RabbitMQ")
    entries = catalog_entries(described.get("catalog"))
    for entry in entries:
        if "type" in entry:
            path = re.sub(r"%\(\w+\)s", "PROJECT", entry.get("path", ""))
            kind, path = code(entry["type"]), code(path or "/")
            lines.append(f"- catalog: type {kind}, port {entry['port']}, path {path}")
    return "\n".join(lines)


def migrations(role: str) -> str:
    """Steps of the schema."""
    when = {
        "before": "before the switch, on the first controller",
        "after": "after the switch, on the last controller",
    }
    rows = [
        [code(t.name), when[t.about["phase"]], code(t.about["command"])]
        for t in contents.of("migration", role)
    ]
    return table(["step", "when", "command"], rows)


def checks(role: str) -> str:
    """The checks of the role's files and of the role."""
    lines = [f"- before the switch: {code(t.name)}" for t in contents.of("validation", role)]
    described = registry.descriptions().get(role, {})
    if described.get("config") and any("namespaces" in e for e in described["config"]):
        lines.append(
            "- before the switch: `oslo-config-validator` of the new virtualenv checks every option"
        )
    if (PROJECT / f"molecule/{role}").is_dir():
        tests = f"molecule/{role}/tests/test_{role}.py"
        lines.append(f"- in the lab: `make molecule ROLE={role}` runs [{tests}]({UP}{tests})")
    return "\n".join(lines)


def entry_points(role: str) -> str:
    """The entry points of the role besides `main`."""
    rows = [
        [code(name), prose(spec.get("short_description")), prose(spec.get("description"))]
        for name, spec in variables.specs(role).items()
        if name != "main"
    ]
    return table(["entry point", "what", "how"], rows)


def purpose(role: str) -> str:
    """The purpose of the role, and its groups."""
    specs = variables.specs(role)
    spec = specs.get("main") or next(iter(specs.values()))
    described = registry.descriptions().get(role, {})
    sentences = [variables.specs_summary(role), prose(spec.get("description"))]
    groups = described.get("groups")
    if isinstance(groups, list):
        place = "every host" if "all" in groups else f"hosts of {codes(groups)}"
        sentences.append(f"Runs on {place}.")
    if described.get("optional"):
        sentences.append("A site may leave it out (`cairn_services`).")
    if described.get("with"):
        sentences.append(f"Deployed together with {described['with']}.")
    return " ".join(filter(None, sentences))


def role_page(role: str) -> str:
    """The page of one role."""
    folder = f"roles/{role}"
    described = registry.descriptions().get(role, {})
    own = variables.of_role(role)
    sources = [f"{folder}/meta/argument_specs.yml"]
    if described:
        sources.append(f"{folder}/vars/main.yml")
    return page(
        role,
        made(*sources),
        purpose(role),
        f"Code: [{folder}]({UP}{folder}).",
        section("Units", units_table(role)),
        section("Users", users(role)),
        section("Files", files_table(role), folders_table(role)),
        section(
            "Ports",
            table(ports.COLUMNS[:-1], (row[:-1] for row in ports.rows(ports.of_role(role)))),
        ),
        section("Packages", packages(role)),
        section("Databases, queues, catalog", database(described)),
        section("Schema", migrations(role)),
        section("Checks", checks(role)),
        section("Entry points", ENTRY, entry_points(role)) if entry_points(role) else "",
        section("Variables", variables.overview(own, "", UP)),
        *(variables.details(v, UP) for v in own),
    )


def roles_page() -> str:
    """The list of all roles."""
    rows = []
    for role in registry.roles():
        described = registry.descriptions().get(role, {})
        groups = described.get("groups")
        place = PLACES.get(role, "")
        if isinstance(groups, list):
            place = "every host" if "all" in groups else codes(groups)
        rows.append(
            [
                f"[{role}]({role}.md)",
                variables.specs_summary(role),
                place,
                "yes" if described.get("optional") else "",
            ]
        )
    return page(
        "Roles",
        made("argument specs"),
        "The units, users, files, ports and variables of each role.",
        table(["role", "what", "on", "optional"], rows),
    )


def pages() -> Iterable[tuple[str, str]]:
    """All pages, by their path below docs/reference."""
    yield "roles/index.md", roles_page()
    for role in registry.roles():
        yield f"roles/{role}.md", role_page(role)
