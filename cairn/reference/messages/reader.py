"""The messages of a module: functions followed, and calls that make a message recorded."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

from ... import PROJECT
from .expressions import condition
from .placeholders import PLACEHOLDER, is_bare, name_of, placeholder
from .scopes import Scope, Splits, distinct
from .statements import Statements

MAKERS = ("Finding", "Problem", "SiteError", "Judgement", "planned.wrong")
DEPTH = 8

Place = tuple[str, int]


@dataclass(frozen=True)
class Message:
    """A finding; `about` is `host`, `site`, or the variable of a mistake in the planes."""

    severity: str
    check: str
    about: str
    text: str
    remedy: str


@dataclass
class Record:
    """The messages of all modules, each with the places (path and line) that make it."""

    messages: dict[Message, set[Place]] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    made: list[Message] = field(default_factory=list)  # by the function being followed
    calls: list[Place] = field(default_factory=list)  # that lead to the statement being read

    def reader(self, module: str) -> Reader:
        """The reader of a module."""
        if module not in self.readers:
            imported = importlib.import_module(module)
            self.readers[module] = Reader(Path(str(imported.__file__)), imported, self)
        return self.readers[module]

    def add(self, message: Message) -> None:
        """Note a message, and the calls that lead to it."""
        self.messages.setdefault(message, set()).update(self.calls)
        if message not in self.made:
            self.made.append(message)

    def places(self) -> set[Place]:
        """All places that make a message."""
        return set(chain.from_iterable(self.messages.values()))


class Reader(Statements):
    """Reads the messages of one module into a record."""

    def __init__(self, path: Path, module: ModuleType, record: Record) -> None:
        """Parse the module; its constants are taken from the imported module."""
        self.module, self.record = module, record
        self.place = str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)
        self.tree = ast.parse(path.read_text())
        self.functions = {
            node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)
        }
        self.stack: list[str] = []
        self.known_results: dict[str, tuple[list[Any], list[Message]]] = {}
        self.repeated: dict[str, set[str]] = {}
        for name, function in self.functions.items():
            tests = Counter(
                condition(n.test) for n in ast.walk(function) if isinstance(n, ast.If | ast.IfExp)
            )
            self.repeated[name] = {test for test, count in tests.items() if count > 1}

    def read(self) -> None:
        """Follow every function that no other function of the module calls."""
        called = {name_of(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        for name, function in self.functions.items():
            if name not in called:
                self.follow(function, {})

    def follow(self, function: ast.FunctionDef, given: Scope) -> list[Any]:
        """Run a function with its known arguments; returns its distinct results."""
        if function.name in self.stack or len(self.stack) > DEPTH:
            return [placeholder(function.name)]
        call = f"{function.name} {given}"
        if call not in self.known_results:
            before = self.record.made
            self.record.made = []
            results = self._followed(function, given)
            self.known_results[call] = results, self.record.made
            self.record.made = before
        results, made = self.known_results[call]
        for message in made:
            self.record.add(message)
        return results

    def _followed(self, function: ast.FunctionDef, given: Scope) -> list[Any]:
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        scope: Scope = {a.arg: given.get(a.arg, placeholder(a.arg)) for a in every}
        results: list[Any] = []
        self.stack.append(function.name)
        self.run(function.body, [scope], results)
        self.stack.pop()
        return distinct(results)

    def _of_call(self, node: ast.Call, scope: Scope) -> Splits:
        keywords = {k.arg: k.value for k in node.keywords if k.arg}
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        for after, arguments in self.product([*node.args, *keywords.values()], scope):
            positional = arguments[: len(arguments) - len(keywords)]
            named = dict(zip(keywords, arguments[len(positional) :], strict=True))
            self.record.calls.append((self.place, node.lineno))
            found = list(self._called(node, method, after, positional, named))
            self.record.calls.pop()
            yield from found

    def _called(
        self, node: ast.Call, method: str, scope: Scope, given: list[Any], named: Scope
    ) -> Splits:
        name = ast.unparse(node.func)
        if name in MAKERS:
            self.make(name, given)
            yield scope, placeholder(name)
            return
        if method in ("format", "strip", "get"):
            (_, owner), *_ = self.values(node.func.value, scope)  # type: ignore[attr-defined]
            if method == "format" and isinstance(owner, str):
                yield scope, re.sub(r"\{(\w+)\}", lambda m: placeholder(m[1]), owner)
                return
            if method == "strip" and isinstance(owner, str):
                yield scope, owner
                return
            if method == "get" and isinstance(owner, dict) and owner and len(given) == 2:
                for value in distinct([*owner.values(), given[1]]):
                    yield scope, value
                return
        if name == "Reader":
            keys = ("problems", "variable", "host")
            yield scope, dict(zip(keys, [*given, ""], strict=False))
            return
        reader, function = self.function(node.func, scope)
        if function is None:
            list(self.values(node.func, scope))
            yield scope, placeholder(name_of(node))
            return
        parameters = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
        if parameters[:1] == ["self"]:
            (_, owner), *_ = self.values(node.func.value, scope)  # type: ignore[attr-defined]
            given = [owner, *given]
        bound = dict(zip(parameters, given, strict=False)) | named
        bound = {k: placeholder(k) if is_bare(v) else v for k, v in bound.items()}
        for result in reader.follow(function, bound):
            plain = isinstance(result, str | tuple) and not is_bare(result)
            yield scope, result if plain else placeholder(name_of(node))

    def function(self, node: ast.expr, scope: Scope) -> tuple[Reader, ast.FunctionDef | None]:
        """The function that is called: of this module, or one of Cairn's that returns text."""
        last = name_of(node)
        target = None
        if isinstance(node, ast.Name):
            target = vars(self.module).get(node.id)
            inner = self.functions.get(node.id)  # inside another function, or a method
            if target is None and inner and [a.arg for a in inner.args.args][:1] != ["self"]:
                return self, inner
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = vars(self.module).get(node.value.id)
            target = getattr(owner, node.attr, None) if isinstance(owner, ModuleType) else None
            if isinstance(scope.get(node.value.id), dict) and last in self.functions:
                return self, self.functions[last]
        if not inspect.isfunction(target):
            return self, None
        if target.__module__ == self.module.__name__:
            return self, self.functions.get(target.__name__)
        returns = str(target.__annotations__.get("return", ""))
        if returns not in ("str", "tuple[str, str] | None"):
            return self, None
        other = self.record.reader(target.__module__)
        other.stack = self.stack
        return other, other.functions.get(target.__name__)

    def make(self, maker: str, given: list[Any]) -> None:
        """Record a message, by the arguments of its maker."""
        if maker == "Finding":
            severity, check, text, remedy, host = [*given, ""][:5]
            message = Message(severity, check, "host" if host else "site", text, remedy)
        elif maker == "Problem":
            variable, text = given[:2]
            message = Message("error", "planes", variable, text, "")
        elif maker == "SiteError":
            variable = str(given[0]).partition(" ")[0]
            variable = variable if variable.startswith("cairn_") else ""
            message = Message("error", "planes", variable, given[0], "")
        elif maker == "planned.wrong":
            message = Message("error", "disks", "host", *given)
        elif len(given) < 3:
            return
        else:
            severity = "error" if given[0] == "wrong" else "warning"
            message = Message(severity, "disks", "host", *given[1:])
        if PLACEHOLDER.fullmatch(message.text) or "\n" in message.text:
            return  # made elsewhere, and passed on
        self.record.add(message)
