"""A new check of preflight: a number of a host's facts that is too small for its group.

The check, its test and its changelog fragment are copies of templates. Its call and its row in the
guide are added to what is there.
"""

from __future__ import annotations

import argparse
import inspect
import re
from pathlib import Path

from cairn.reference.messages.sources import read_messages
from cairn.site.planes import GROUPS
from cairn_host.probe import facts

from . import parts

CALLS = "cairn/preflight/host.py"
GUIDE = "docs/explanation/preflight.md"
# The call goes behind that of this check, the import beside the other imports.
BEFORE = "        *check_clock(name, host),\n"
IMPORTS = "from .finding import "
LONGEST = 80


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", help="of the check: what there is too little of")
    parser.add_argument("--fact", required=True, help="of the host, a number, such as cpus")
    parser.add_argument("--least", type=int, required=True, help="the smallest that will do")
    parser.add_argument("--group", choices=GROUPS, default="controller", help="the hosts' group")
    parser.add_argument("--remedy", required=True, help="what the operator should do")


def known_facts() -> list[str]:
    """Return the names of a host's facts."""
    return sorted(re.findall(r'^ +"(\w+)": ', inspect.getsource(facts.read_host), re.MULTILINE))


def check(root: Path, asked: argparse.Namespace) -> None:
    """Refuse a name that another check has, an unknown fact, and a remedy that is no line."""
    name = asked.name
    parts.require_name(name, "[a-z][a-z_]{2,20}", "check: a noun in lower case", "processors")
    parts.require_new(root, f"cairn/preflight/{name}.py")
    if asked.fact not in known_facts():
        raise parts.ScaffoldError(
            f"hosts have no fact {asked.fact!r}; they have {', '.join(known_facts())}"
        )
    if not re.fullmatch(rf'[^"\\\n]{{3,{LONGEST}}}', asked.remedy):
        raise parts.ScaffoldError(
            f'a remedy is a line of 3 to {LONGEST} characters without " and \\'
        )
    if name in {message.check for message in read_messages().messages}:
        raise parts.ScaffoldError(f"preflight has a check {name} (docs/reference/findings.md)")


def with_call(name: str) -> parts.Change:
    """Return a change that makes `check_host` call the check."""

    def change(code: str) -> str:
        for mark in (BEFORE, IMPORTS):
            if code.count(mark) != 1:
                raise parts.ScaffoldError(f"{CALLS} does not have {mark.strip()!r} once")
        call = f"        *check_{name}(name, host, groups),\n"
        imported = f"from .{name} import check_{name}\n"
        return code.replace(BEFORE, BEFORE + call).replace(IMPORTS, imported + IMPORTS)

    return change


def files(root: Path, asked: argparse.Namespace) -> dict[str, str]:
    """Return everything that is to be written: path to content."""
    check(root, asked)
    title = asked.name.replace("_", " ")
    words = {
        "example-fact": asked.fact,
        "example-group": asked.group,
        "example-remedy": asked.remedy,
        "example-title": title,
        "example": asked.name,
        "8999": str(asked.least),
    }
    row = f"| {asked.name} | | a {asked.group} host has fewer than {asked.least} {title} |"
    return parts.copies("check", words) | parts.changed(
        root,
        {
            CALLS: with_call(asked.name),
            GUIDE: parts.with_row("| check | error | warning |", row),
        },
    )
