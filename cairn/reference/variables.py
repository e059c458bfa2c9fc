"""docs/reference/variables.md: every variable with its type, default and use."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import PROJECT
from ..service import registry
from . import usage
from .markdown import code, codes, first_sentence, literal, made, page, prose, section, table

DECLARED = registry.VARIABLES
SEE_MEANING = "*see meaning*"
NONE = "none"
SECRETS = "cairn_secrets"  # which code puts into most files, so each secret's files are listed
SCOPES = {
    "site": ("Of the site", "One value for all hosts: set them in `group_vars/all`."),
    "host": (
        "Of a host",
        "Set them in `host_vars`, or in `group_vars` for several hosts. The most specific "
        "value replaces the others as a whole.",
    ),
    "command": (
        "On the command line",
        "Given for one run: `-e NAME=VALUE`, or `ARGS='-e …'` of make.",
    ),
}
INTRODUCTION = """\
Cairn reads the inventory as Ansible does. A variable that is null has its default; preflight
reports a misspelt one as an error, with a suggestion. Types are those of Ansible: the text of a
number is a number. If the default depends on other settings or on the host, the meaning says how.

The last column lists files and units that a variable changes on hosts or, without any, the files of
the project that read it. Each role has its own page.
"""
MERGED = """\
Mappings in this list are merged from all files, groups and hosts that set them, key by key, down
to the depth given; the most specific value of a key counts. `make plan` says where it comes from.
"""


@dataclass(frozen=True)
class Variable:
    """A variable; `role` is empty for those of the site, `option` is as in argument specs."""

    name: str
    role: str
    scope: str
    option: Mapping[str, Any]
    entry_points: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """The type in words."""
        return type_of(self.option)

    @property
    def default(self) -> str:
        """The default as code."""
        return default_of(self.option)

    @property
    def meaning(self) -> str:
        """The description."""
        return prose(self.option.get("description"))

    @property
    def readers(self) -> list[str]:
        """Files of the project that read the variable."""
        return usage.readers(self.name)

    @property
    def targets(self) -> tuple[str, ...]:
        """Things on hosts that the variable changes."""
        return usage.targets().get(self.name, ())


def type_of(option: Mapping[str, Any]) -> str:
    """The type of an option in words."""
    kind, elements = str(option.get("type", "str")), option.get("elements")
    if kind == "dict" and "entries" in option:
        text = "dict of dicts"
    elif kind == "raw":
        text = "any"
    elif kind == "list":
        text = f"list of {'str or dict' if elements == 'raw' else elements}" if elements else "list"
    else:
        text = kind
    if choices := option.get("choices"):
        among = codes(choices)
        text = f"list, of {among}" if kind == "list" else f"one of {among}"
    return text


def default_of(option: Mapping[str, Any]) -> str:
    """The default of an option as code; in words if it is computed or required."""
    if option.get("required"):
        return "**required**"
    if "default" in option:
        return code(literal(option["default"]))
    text = prose(option.get("description"))
    return NONE if "efault" not in text or "efault none" in text else SEE_MEANING


@functools.cache
def declared() -> dict[str, Any]:
    """The contents of cairn/site/variables.yml."""
    read: dict[str, Any] = usage.load(DECLARED)
    return read


@functools.cache
def of_site() -> tuple[Variable, ...]:
    """The variables of the site, which belong to no role."""
    return tuple(
        Variable(name, "", option["scope"], option)
        for name, option in declared()["inventory"].items()
    )


@functools.cache
def specs(role: str) -> dict[str, Any]:
    """The argument specs of a role by entry point."""
    path = PROJECT / "roles" / role / "meta/argument_specs.yml"
    found: dict[str, Any] = usage.load(path)["argument_specs"]
    return found


@functools.cache
def of_role(role: str) -> tuple[Variable, ...]:
    """The variables of a role, each once."""
    options: dict[str, Any] = {}
    entries: dict[str, list[str]] = {}
    for entry, spec in specs(role).items():
        for name, option in (spec.get("options") or {}).items():
            options.setdefault(name, option)
            entries.setdefault(name, []).append(entry)
    return tuple(
        Variable(name, role, "role", option, tuple(entries[name]))
        for name, option in options.items()
    )


def everything() -> Iterable[Variable]:
    """All variables: the site's, and those of each role."""
    yield from of_site()
    for role in registry.roles():
        yield from of_role(role)


def used(variable: Variable, up: str) -> str:
    """The uses of a variable, in short; `up` is the path from the page to the project."""
    if variable.name == SECRETS:
        return "[files of each secret](#secrets)"
    if variable.targets:
        return codes(variable.targets)
    return ", ".join(f"[{'/'.join(path.split('/')[-2:])}]({up}{path})" for path in variable.readers)


def links(paths: Iterable[str], up: str) -> str:
    """Files of the project as links."""
    return ", ".join(f"[{path}]({up}{path})" for path in paths)


def keys(option: Mapping[str, Any], level: str = "") -> list[list[str]]:
    """Rows for the keys of a mapping, and for nested keys."""
    rows = []
    for name, inner in (option.get("options") or option.get("entries") or {}).items():
        rows.append(
            [code(level + name), type_of(inner), default_of(inner), prose(inner.get("description"))]
        )
        rows += keys(inner, f"{level}{name}.")
    return rows


def details(variable: Variable, up: str, level: int = 3) -> str:
    """The section of one variable."""
    fixed = f", default {variable.default}" if "default" in variable.option else ""
    required = ", required" if variable.option.get("required") else ""
    parts = [f"Type: {variable.type}{required}{fixed}.", variable.meaning]
    inner = keys(variable.option)
    if inner:
        each = "Each entry has" if "entries" in variable.option else "Keys"
        if variable.option.get("type") == "list":
            each = "Each element has"
        parts.append(f"{each}:\n\n{table(['key', 'type', 'default', 'meaning'], inner)}")
    places = []
    if variable.name == SECRETS:
        places.append("Changes the files that the table [Secrets](#secrets) lists for each secret.")
    elif variable.targets:
        places.append(f"Changes {codes(variable.targets)}.")
    if variable.readers:
        places.append(f"Read in {links(variable.readers, up)}.")
    return section(variable.name, *parts, " ".join(places), level=level)


def overview(variables: Iterable[Variable], target: str, up: str) -> str:
    """A table of variables, each with a link to its section on the page `target`."""
    rows = [
        [
            f"[{code(v.name)}]({target}#{v.name})",
            v.type,
            v.default,
            first_sentence(v.meaning),
            used(v, up),
        ]
        for v in variables
    ]
    return table(["variable", "type", "default", "meaning", "used in"], rows)


def secrets_table(uses: Mapping[str, Iterable[str]]) -> str:
    """All secrets, by name and pattern, with their purpose and the files that contain them."""
    rows = [
        [code(name), purpose(name), codes(where) or "no file of a service"]
        for name, where in uses.items()
    ]
    return table(["secret", "what it is", "written to"], rows)


def purpose(name: str) -> str:
    """The purpose of a secret."""
    secrets: dict[str, str] = declared()["secrets"]
    if name in secrets:
        return prose(secrets[name])
    for pattern, text in secrets.items():
        begin, star, _ = pattern.partition("*")
        if star and name.startswith(begin):
            return prose(text)
    raise LookupError(f"{DECLARED.name}: secrets: nothing about {name}")


def variables_page(uses: Mapping[str, Iterable[str]]) -> str:
    """The whole page; `uses` is each secret of the example site with the files that have it."""
    parts = [made("the argument specs of all roles", "cairn/site/variables.yml"), INTRODUCTION]
    for scope, (title, text) in SCOPES.items():
        chosen = [v for v in of_site() if v.scope == scope]
        parts.append(section(title, text, overview(chosen, "", "../../")))
        parts += [details(v, "../../") for v in chosen]
    roles = [
        section(
            f"Role {role}",
            f"{specs_summary(role)} Everything about it: [{role}](roles/{role}.md).",
            overview(of_role(role), f"roles/{role}.md", "../../"),
            level=3,
        )
        for role in registry.roles()
        if of_role(role) and role != "service"
    ]
    parts.append(section("Of the roles", "Set them for all hosts, for a group or for one host."))
    parts += roles
    merged = [[code(name), depth] for name, depth in sorted(registry.merged().items())]
    parts.append(section("Merged mappings", MERGED, table(["variable", "depth"], merged)))
    parts.append(
        section(
            "Secrets",
            "Keys of `cairn_secrets`, written by `make secrets` and changed with "
            "`make edit-secrets`. Which of them a site needs follows from its services and planes; "
            "these are those of the example.",
            secrets_table(uses),
        )
    )
    made_by_run = [[code(name), prose(text)] for name, text in declared()["run"].items()]
    parts.append(
        section(
            "Set by a run",
            "Roles read these; an inventory that sets one of them has no effect.",
            table(["variable", "meaning"], made_by_run),
        )
    )
    return page("All variables", *parts)


def specs_summary(role: str) -> str:
    """A role in one sentence."""
    found = specs(role)
    text = prose((found.get("main") or next(iter(found.values())))["short_description"])
    return text if text.endswith(".") else f"{text}."
