"""The page of findings has every finding that the code can make, as it will be shown."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from cairn import PROJECT
from cairn.reference import findings
from cairn.reference.messages import placeholders, reader, sources
from tests.findings_page import rows

MAKERS = {"Finding", "Problem", "SiteError", "Judgement", "_error", "wrong"}
# Places that pass on a message which another place makes, with that place.
PASSED_ON = {
    ("cairn/preflight/disks.py", "Finding(severity, 'disks', judged.text, judged.remedy, name)"): (
        "Judgement in cairn_host/storage/object_disks.py"
    ),
    ("cairn/preflight/disks.py", "Finding(ERROR, 'disks', text, remedy, name)"): (
        "planned.wrong in cairn_host/storage/volume_group.py"
    ),
    (
        "cairn/site/fact.py",
        "SiteError('the inventory is wrong:\\n  ' + '\\n  '.join(shown))",
    ): "Problem, which it shows",
}

# The words that stand for values. A new one is added here if an operator knows from it and the
# sentence around it what stands there; otherwise placeholders.NAMES gives the value a better one.
WORDS = """
MAC address; MTU; NIC name; URL; VIP; VLAN id; address; architecture; bond; characters;
contents; controllers; date; days; device; entry; error; file; file and line; files;
first controller; folder; former name; group; host; hosts; interface; internal name;
internal or public; inventory; issuer; key; kind; limit; member; minimum; mount point; name;
names; network; number; one less; other; other host; other path; other plane; owner; part; path;
peer; planes; playbook; port; problem; process id; public address; public name; public plane;
range; reason; role; seconds; services; similar name; subject; system; time; user; valid name;
value; variable; version
"""


@pytest.fixture(scope="module")
def record() -> reader.Record:
    return sources.read_messages()


def makers() -> list[tuple[str, int, str]]:
    """The calls in the source that make a message: file, line and text."""
    folders = ("cairn/preflight", "cairn/site", "plugins/module_utils/cairn_host/storage")
    found = []
    for path in sorted(p for folder in folders for p in (PROJECT / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or len(node.args) + len(node.keywords) < 1:
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            file = str(path.relative_to(PROJECT))
            # One without a text is no finding; peers.py has another class of that name.
            other = name == "Judgement" and (len(node.args) < 2 or file.endswith("peers.py"))
            if name in MAKERS and not other:
                found.append((file, node.lineno, ast.unparse(node)))
    return found


def test_every_place_that_makes_a_finding_is_on_the_page(record: reader.Record) -> None:
    places = record.places()
    made = makers()
    assert len(made) > 100
    missing = [
        f"{file}:{line}: {call}"
        for file, line, call in made
        if (file, line) not in places and (file, call) not in PASSED_ON
    ]
    assert missing == []
    assert set(PASSED_ON) <= {(file, call) for file, _, call in made}


def test_every_row_says_what_and_what_to_do(record: reader.Record) -> None:
    for message in record.messages:
        assert message.severity in ("error", "warning"), message
        assert message.check.isidentifier(), message
        for text in (message.text, message.remedy):
            plain = placeholders.PLACEHOLDER.sub("", placeholders.OPTIONAL.sub("", text))
            said = plain.replace(" ", "").isascii() and bool(plain.split())
            assert said or (text is message.remedy and message.check == "planes"), message


def test_a_value_is_shown_by_a_word_that_operators_know(record: reader.Record) -> None:
    shown = {
        placeholder.strip(placeholders.OPEN + placeholders.CLOSE)
        for message in record.messages
        for text in (message.text, message.remedy)
        for placeholder in placeholders.PLACEHOLDER.findall(text)
    }
    known = {word.strip() for word in WORDS.split(";")}
    assert shown == known


def test_mistakes_in_the_planes_which_are_shown_first_stand_first() -> None:
    page = findings.findings_page()
    assert re.findall("^## (.+)$", page, re.MULTILINE)[0] == "planes"


def test_names_for_placeholders_are_used() -> None:
    page = findings.findings_page()
    for name, shown in placeholders.NAMES.items():
        assert f"*{shown}*" in page, name


@pytest.mark.parametrize(
    ("check", "level", "text", "remedy"),
    [
        ("login", "error", "ann may not become root", "usermod --append --groups sudo"),
        ("proxies", "error", "cairn_pypi_index is no URL", "https://mirror.example/simple"),
        ("disks", "error", "disk /dev/sdb belongs to volume group vg0", "name another disk"),
        ("disks", "error", "disk /dev/sdb cannot be read: I/O error", "replace it"),
        ("planes", "cairn_planes", "plane storage has VLAN 4097; a VLAN id is 1 to 4094", ""),
    ],
)
def test_findings_of_branches_and_other_modules_are_on_the_page(
    check: str, level: str, text: str, remedy: str
) -> None:
    found = [row for row in rows()[check] if level in row.levels and row.text.fullmatch(text)]
    assert len(found) == 1
    assert not remedy or any(
        remedy.replace("ann", ".+") in p.pattern.replace("\\", "") for p in found[0].remedies
    )


def test_branches_are_followed(tmp_path: Path) -> None:
    source = """
WHO = "nobody"

def check(name, many):
    text = f"has no {name}, {len(name)}"
    yield Finding("error", "a", text, "get one" + (" soon" if name else ""), name)
    if many:
        text, remedy = f"{WHO} is {name.x}", "x"
    else:
        text, remedy = "is alone", "y"
        text += ", too"
    yield Finding("warning" if many else "error", "b", text, remedy)
    for kind, size in (("small", 1), ("large", 2)):
        _tell(f"{kind} {size}", name)

def _tell(what, other):
    Finding("error", "c", f"{what} for {other}", _remedy(other))

def _remedy(other):
    if other:
        return "ask"
    return "wait"
"""
    path = tmp_path / "made_up.py"
    path.write_text(source)
    assert {
        (m.severity, m.check, m.about, findings.readable(m.text), findings.readable(m.remedy))
        for m in sources.read_file(path).messages
    } == {
        ("error", "a", "host", "has no *name*, *number*", "get one[ soon]"),
        ("warning", "b", "site", "nobody is *x*", "x"),
        ("error", "b", "site", "is alone, too", "y"),
        ("error", "c", "site", "small 1 for *other*", "ask"),
        ("error", "c", "site", "small 1 for *other*", "wait"),
        ("error", "c", "site", "large 2 for *other*", "ask"),
        ("error", "c", "site", "large 2 for *other*", "wait"),
    }
