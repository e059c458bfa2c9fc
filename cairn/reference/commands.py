"""docs/reference/commands.md: targets of make, playbooks and their variables."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import PROJECT
from . import usage
from .markdown import code, codes, made, page, section, table

TARGET = re.compile(r"^([a-z][a-z-]*):(?! export)[^#\n]*(?:## (.*))?$")
HEADING = re.compile(r"^# -- (.+)$")
# Variables of the command line only; all others are variables of the inventory.
GIVEN = {
    "role": "Role to run, such as `glance`",
    "service": "Service to roll back, such as `nova`",
}
HEAD = """\
Every target sets up what it needs. `INVENTORY` is the folder of the site, by default the
lab's; `ARGS` adds arguments, for instance `ARGS='--limit compute1'`.
"""
PLAYBOOKS = """\
Run them with `ansible-playbook -i INVENTORY`. Any [variable](variables.md) of the inventory can be
set for one run by `-e NAME=VALUE`; the last column lists variables of the command line only.
`-e cairn_take_over=true` starts a run although another run holds the lease.
"""


@dataclass
class Target:
    """A target of make: its purpose, and the variables of its recipe."""

    name: str
    section: str
    help: str
    variables: list[str]


def targets() -> list[Target]:
    """All targets, in the Makefile's order."""
    found: list[Target] = []
    heading = "make"
    for line in (PROJECT / "Makefile").read_text().splitlines():
        if match := HEADING.match(line):
            heading = match[1]
        elif match := TARGET.match(line):
            found.append(Target(match[1], heading, match[2] or "", []))
        elif line.startswith("\t") and found:
            text = re.sub(r"\$\((?:PLAYBOOK|MACHINES|SITE)\)", "$(INVENTORY)", line)
            for name in re.findall(r"\$\((?:or \$\()?([A-Z]+)\b", text):
                if name not in found[-1].variables and name != "PHASE":
                    found[-1].variables.append(name)
    known = {target.name: target for target in found}
    return list(known.values())


def playbooks() -> dict[str, str]:
    """Each playbook that an operator runs, and its description."""
    found = {}
    texts = {p.name: p.read_text() for p in sorted((PROJECT / "playbooks").glob("*.yml"))}
    imported = set(re.findall(r"import_playbook: (?:\S*/)?(\S+)", "".join(texts.values())))
    guide = "".join(path.read_text() for path in (PROJECT / "docs").glob("*.md"))
    for name, text in texts.items():
        head = re.match(r"---\n((?:#.*\n)+)", text)
        if head and (name not in imported or f"playbooks/{name}" in guide):
            found[name] = " ".join(line.lstrip("# ") for line in head[1].splitlines())
    return found


def given(name: str) -> list[str]:
    """The variables of the command line that a playbook reads."""
    words = usage.names_in(PROJECT / "playbooks" / name)
    text = (PROJECT / "playbooks" / name).read_text()
    return [n for n in GIVEN if n in words and re.search(rf"-e {n}=", text)]


def commands_page() -> str:
    """The whole page."""
    parts = []
    for heading in dict.fromkeys(target.section for target in targets()):
        rows = [
            [code(f"make {t.name}"), t.help, codes(t.variables)]
            for t in targets()
            if t.section == heading and t.help
        ]
        if rows:
            parts.append(section(heading, table(["command", "what it does", "takes"], rows)))
    rows = [
        [f"[{name}](../../playbooks/{name})", text, codes(f"-e {n}=…" for n in given(name))]
        for name, text in playbooks().items()
    ]
    return page(
        "Commands",
        made("Makefile", "playbooks"),
        HEAD,
        *parts,
        section("Playbooks", PLAYBOOKS, table(["playbook", "what it does", "takes"], rows)),
    )
