"""The sources of messages."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

from ... import PROJECT
from ...site import variable_types
from .placeholders import name_of, placeholder
from .reader import MAKERS, Message, Reader, Record

PREFLIGHT = "cairn/preflight"
SITE = ("cairn/site/planes.py", "cairn/site/fact.py")
TYPES = "cairn/site/variable_types.py"
STORAGE = "plugins/module_utils/cairn_host/storage"


def sources() -> list[Path]:
    """The files that make findings."""
    folders = [*(PROJECT / PREFLIGHT).glob("*.py"), *(PROJECT / STORAGE).glob("*.py")]
    return [*sorted(folders), *(PROJECT / path for path in SITE)]


def read_types(record: Record) -> None:
    """The rules for types of variables; variable_types.check makes a message of each."""
    reader = record.reader("cairn.site.variable_types")
    calls = (node for node in ast.walk(reader.tree) if isinstance(node, ast.Call))
    places = {(TYPES, call.lineno) for call in calls if name_of(call.func) == "Problem"}
    for variable, judge in {**variable_types.OF_SITE, **variable_types.OF_HOST}.items():
        function = reader.functions[judge.__name__]
        for rule in filter(None, reader.follow(function, {})):
            text = f"{variable} is {placeholder('value')}; {rule}"
            message = Message("error", "planes", variable, text, "")
            record.messages.setdefault(message, set()).update(places)


def read_file(path: Path) -> Record:
    """The messages of one file that is not part of Cairn; only its texts are known."""
    record, module = Record(), ModuleType(path.stem)
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            vars(module)[name_of(node.targets[0])] = node.value.value
    Reader(path, module, record).read()
    return record


def read_messages() -> Record:
    """Everything that preflight may say."""
    record = Record()
    for path in sources():
        shipped = PROJECT / "plugins/module_utils"
        root = shipped if path.is_relative_to(shipped) else PROJECT
        if any(f"{maker}(" in path.read_text() for maker in MAKERS):
            record.reader(".".join(path.relative_to(root).with_suffix("").parts)).read()
    read_types(record)
    return record
