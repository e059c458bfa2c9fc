"""docs/reference/findings.md: all that preflight may find, with its remedy, from the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import PROJECT
from ..preflight import login
from ..site import lease
from .markdown import code, made, page, section, table

FILLED = "…"
PREFLIGHT = "cairn/preflight"
HOST = "plugins/module_utils/cairn_host/storage"
HEAD = """\
Preflight shows all findings of all hosts at once, each with its remedy. An error stops the run
before anything is touched; a warning does not. `…` stands for names and values, brackets enclose
what is not always said. How preflight works: [preflight](../explanation/preflight.md).
"""
LEASE = "… on … has been running … since … (process …)"
PLANES = """\
Mistakes in the description of the networks are listed before everything else, with the file that
they stand in. Each says what is right.
"""


@dataclass(frozen=True)
class Message:
    """What may be found: `severity` and `check` are texts as the code has them."""

    severity: str
    check: str
    text: str
    remedy: str


class Reader:
    """Reads the messages of one module."""

    def __init__(self, path: Path) -> None:
        """Parse it, and know the texts that its names stand for."""
        self.tree = ast.parse(path.read_text())
        self.constants: dict[str, str] = {}
        self.constants = self._known(self.tree.body, 10**9)

    def messages(self) -> Iterator[Message]:
        """All of them, in the order of the code."""
        for function in ast.walk(self.tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            inner = sorted(
                (n for n in ast.walk(function) if isinstance(n, ast.stmt)), key=lambda n: n.lineno
            )
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    local = self._known(inner, node.lineno)
                    if found := self._message(node, local):
                        yield found

    def _message(self, call: ast.Call, local: dict[str, str]) -> Message | None:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        name = call.func.id if isinstance(call.func, ast.Name) else name
        texts = [self.text(argument, local) for argument in call.args]
        if name == "Finding" and len(texts) >= 4:
            severity, check, text, remedy = texts[:4]
        elif name == "_error" and len(texts) == 2:
            severity, check, (text, remedy) = "error", self.constants.get("CHECK", ""), texts
        elif name == "wrong" and len(texts) == 2:
            severity, check, (text, remedy) = "error", "disks", texts
        elif name == "Judgement" and len(texts) == 3:
            severity, check, text, remedy = "error or warning", "disks", *texts[1:]
        elif name == "wrong" and len(texts) == 1:
            severity, check, text, remedy = "error", "planes", texts[0], ""
        elif name == "Problem" and len(texts) >= 2:
            severity, check, text, remedy = "error", "planes", texts[1], ""
        else:
            return None
        # Parts that say nothing by themselves were said where they are put together.
        return Message(severity, check, text, remedy) if text.strip(f"{FILLED} ()[]:;,") else None

    def _known(self, statements: Sequence[ast.stmt], line: int) -> dict[str, str]:
        """The texts that names stand for at a line."""
        known: dict[str, str] = {}
        for node in statements:
            if node.lineno >= line:
                break
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                known[node.targets[0].id] = self.text(node.value, known)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
                values = node.value.elts if isinstance(node.value, ast.Tuple) else []
                for target, value in zip(node.targets[0].elts, values, strict=False):
                    if isinstance(target, ast.Name):
                        known[target.id] = self.text(value, known)
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                more = self.text(node.value, known).strip()
                known[node.target.id] = f"{known.get(node.target.id, FILLED)} [{more}]"
        return known

    def text(self, node: ast.AST, local: dict[str, str]) -> str:
        """What an expression says, as far as it stands in the code."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else FILLED
        if isinstance(node, ast.JoinedStr):
            return "".join(
                str(part.value) if isinstance(part, ast.Constant) else self._filled(part, local)
                for part in node.values
            )
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.text(node.left, local) + self.text(node.right, local)
        if isinstance(node, ast.IfExp):
            one, other = self.text(node.body, local), self.text(node.orelse, local)
            if not one or not other:
                return f"[{(one or other).strip()}]" if (one or other).strip() else ""
            return f"{one} *or* {other}" if one != other else one
        if isinstance(node, ast.Name):
            names = {"ERROR": "error", "WARNING": "warning", **self.constants, **local}
            return names.get(node.id, FILLED)
        if isinstance(node, ast.Dict):
            return " *or* ".join(dict.fromkeys(self.text(value, local) for value in node.values))
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and len(node.args) == 2
        ):
            either = (self.text(n, local) for n in (node.func.value, node.args[1]))
            return " *or* ".join(either)
        return FILLED

    def _filled(self, part: ast.expr, local: dict[str, str]) -> str:
        inner = part.value if isinstance(part, ast.FormattedValue) else part
        if isinstance(inner, ast.Name | ast.IfExp | ast.Constant):
            return self.text(inner, local)
        return FILLED


def all_messages() -> list[Message]:
    """Everything that preflight may say, each once."""
    files = [*sorted((PROJECT / PREFLIGHT).glob("*.py")), *sorted((PROJECT / HOST).glob("*.py"))]
    files.append(PROJECT / "cairn/site/planes.py")
    logins = [
        Message("error", "login", *(text.replace("{user}", FILLED) for text in refusal[1:]))
        for refusal in login.REFUSALS
    ]
    found = (m for path in files for m in Reader(path).messages())
    other = Message("warning", "lease", LEASE, lease.REMEDY)
    return list(dict.fromkeys([*logins, other, *found]))


def findings_page() -> str:
    """The whole page."""
    found = all_messages()
    checks = sorted({m.check for m in found} - {"planes"})
    parts = [
        section(
            check,
            table(
                ["level", "finding", "what to do"],
                [[m.severity, m.text, m.remedy] for m in found if m.check == check],
            ),
        )
        for check in checks
    ]
    planes = [[m.text] for m in found if m.check == "planes"]
    return page(
        "Findings of preflight",
        made(PREFLIGHT, HOST),
        HEAD,
        "Checks: " + ", ".join(f"[{code(check)}](#{check})" for check in [*checks, "planes"]) + ".",
        *parts,
        section("planes", PLANES, table(["finding"], planes)),
    )
