"""The findings that preflight's code can make, read from the code.

A small interpreter follows each check through its branches and keeps the texts. What depends on a
site becomes a placeholder with the name that the code has for it. Messages are collected where one
of MAKERS is called. Functions of the same module and functions that return text are followed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from .. import PROJECT
from ..site import variable_types

PREFLIGHT = "cairn/preflight"
SITE = ("cairn/site/planes.py", "cairn/site/fact.py")
TYPES = "cairn/site/variable_types.py"
STORAGE = "plugins/module_utils/cairn_host/storage"
OPEN, CLOSE = "\x01", "\x02"  # around the name of a placeholder
MAYBE, END = "\x03", "\x04"  # around a part that some findings lack
# What the page calls values whose names in the code say too little.
NAMES = {
    "addresses": "address",
    "api": "name",
    "arch": "architecture",
    "attachments": "planes",
    "beyond": "address",
    "bond_of": "bond",
    "call": "seconds",
    "changes": "services",
    "choice": "services",
    "contained": "contents",
    "count": "number",
    "count - 1": "one less",
    "cpus": "number",
    "end": "date",
    "first": "services",
    "flats": "names",
    "forks": "number",
    "former": "former name",
    "found": "device",
    "free": "number",
    "fronts": "public address",
    "gateway": "address",
    "host_range": "range",
    "id": "system",
    "instead": "other path",
    "internal": "internal name",
    "keepers": "hosts",
    "known": "names",
    "label": "part",
    "leader": "first controller",
    "len": "number",
    "lent": "address",
    "mac": "MAC address",
    "match": "similar name",
    "max_mtu": "MTU",
    "members": "value",
    "memory_mb": "number",
    "mended": "network",
    "missing": "names",
    "mode": "value",
    "mount": "mount point",
    "moves": "services",
    "mtu": "MTU",
    "near": "similar name",
    "needed": "minimum",
    "needing": "group",
    "nic name": "NIC name",
    "nic_name": "NIC name",
    "offset": "seconds",
    "own": "interface",
    "own_mtu": "MTU",
    "parent_mtu": "MTU",
    "part": "range",
    "pid": "process id",
    "place": "file and line",
    "point": "address",
    "proposal": "valid name",
    "public": "public name",
    "python": "version",
    "qualified": "controllers",
    "rest": "controllers",
    "same": "other host",
    "seen": "other plane",
    "shown": "characters",
    "side": "internal or public",
    "since": "time",
    "some": "names",
    "start": "date",
    "subjects": "names",
    "there": "names",
    "until": "version",
    "url": "URL",
    "used": "reason",
    "vip": "VIP",
    "vips": "VIP",
    "vlan": "VLAN id",
    "wanted": "value",
    "what": "entry",
    "why": "reason",
    "window": "seconds",
}
MAKERS = ("Finding", "Problem", "SiteError", "Judgement", "planned.wrong")
DEPTH = 8
PLACEHOLDER = re.compile(f"{OPEN}[^{OPEN}{CLOSE}]*{CLOSE}")
OPTIONAL = re.compile(f"{MAYBE}[^{MAYBE}{END}]*{END}")
VERBS = ("is", "are", "does", "do")
PURE = ("join", "strip", "startswith", "get")  # methods that are called on constants

Place = tuple[str, int]
Scope = dict[str, Any]
Splits = Iterator[tuple[Scope, Any]]


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


@cache
def names_of(node: ast.AST) -> frozenset[str] | None:
    """The names of an expression that can be evaluated as soon as they have values, else None."""
    if not isinstance(node, ast.expr) or isinstance(node, ast.Starred):
        return None
    if isinstance(getattr(node, "ctx", None), ast.Store):
        return None
    parts = list(ast.walk(node))
    for part in parts:
        if isinstance(part, ast.Call):
            function = part.func
            if not isinstance(function, ast.Attribute) or function.attr not in PURE:
                return None
        if isinstance(part, ast.NamedExpr | ast.comprehension | ast.Lambda):
            return None
    return frozenset(part.id for part in parts if isinstance(part, ast.Name))


@cache
def compiled(node: ast.expr) -> CodeType:
    """The code of an expression."""
    return compile(ast.Expression(node), "expression", "eval")


def placeholder(name: str) -> str:
    """A value that only a run knows."""
    return f"{OPEN}{NAMES.get(name, name.strip('_').replace('_', ' '))}{CLOSE}"


def is_unknown(value: Any) -> bool:
    """Whether a value, or a part of it, depends on a run."""
    if isinstance(value, str):
        return OPEN in value
    if isinstance(value, Mapping):
        return any(map(is_unknown, (*value, *value.values())))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(is_unknown, value))
    return False


def name_of(node: ast.AST) -> str:
    """The name under which a reader recognises the value of an expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        key = node.slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            return key.value
        container = name_of(node.value)
        return container if container in NAMES else container.removesuffix("s")
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id == "len":
            return "len"
        if node.args:
            return name_of(node.args[0])
        return name_of(getattr(node.func, "value", node.func))
    if isinstance(node, ast.BinOp):
        return ast.unparse(node) if isinstance(node.left, ast.Name) else "number"
    if isinstance(node, ast.BoolOp):
        return name_of(node.values[0])
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return name_of(node.generators[0].iter)
    if isinstance(node, ast.Starred | ast.FormattedValue):
        return name_of(node.value)
    return "…"


class Reader:
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

    # --- functions and statements -----------------------------------------------------------

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

    def run(self, body: Iterable[ast.stmt], scopes: list[Scope], results: list[Any]) -> list[Scope]:
        """Run statements from each scope; returns the scopes that reach their end."""
        for statement in body:
            step = getattr(self, f"_{type(statement).__name__.lower()}", self._other)
            scopes = merged(chain.from_iterable(step(statement, s, results) for s in scopes))
        return scopes

    def _other(self, node: ast.stmt, scope: Scope, results: list[Any]) -> list[Scope]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                list(self.values(child, scope))
        return [scope]

    def _functiondef(self, node: ast.stmt, scope: Scope, results: list[Any]) -> list[Scope]:
        return [scope]

    def _assign(self, node: ast.Assign, scope: Scope, results: list[Any]) -> list[Scope]:
        return [
            self.bind(node.targets[0], value, after)
            for after, value in self.parts(node.value, scope)
        ]

    def _annassign(self, node: ast.AnnAssign, scope: Scope, results: list[Any]) -> list[Scope]:
        if node.value is None:
            return [scope]
        return [
            self.bind(node.target, value, after) for after, value in self.values(node.value, scope)
        ]

    def _augassign(self, node: ast.AugAssign, scope: Scope, results: list[Any]) -> list[Scope]:
        pairs = self.values(sum_of(node), scope)
        return [self.bind(node.target, value, after) for after, value in pairs]

    def _if(self, node: ast.If, scope: Scope, results: list[Any]) -> list[Scope]:
        ends: list[Scope] = []
        for after, holds in self.holds(node.test, scope):
            ends += self.run(node.body if holds else node.orelse, [after], results)
        return ends

    def _for(self, node: ast.For, scope: Scope, results: list[Any]) -> list[Scope]:
        ends: list[Scope] = []
        for after, value in self.values(node.iter, scope):
            if isinstance(value, list | tuple):
                for item in value:
                    ends += self.run(node.body, [self.bind(node.target, item, after)], results)
                ends.append(after)
                continue
            bound = self.bind(node.target, None, after)
            ends += [*self.run(node.body, [bound], results), after]
        return ends

    def _while(self, node: ast.While, scope: Scope, results: list[Any]) -> list[Scope]:
        return [*self.run(node.body, [scope], results), scope]

    def _with(self, node: ast.With, scope: Scope, results: list[Any]) -> list[Scope]:
        return self.run(node.body, [scope], results)

    def _try(self, node: ast.Try, scope: Scope, results: list[Any]) -> list[Scope]:
        ends = self.run([*node.body, *node.orelse], [scope], results)
        for handler in node.handlers:
            ends += self.run(handler.body, [scope], results)
        return self.run(node.finalbody, ends, results)

    def _return(self, node: ast.Return, scope: Scope, results: list[Any]) -> list[Scope]:
        if node.value is None:
            results.append(None)
        else:
            results += [value for _, value in self.values(node.value, scope)]
        return []

    def _end(self, node: ast.stmt, scope: Scope, results: list[Any]) -> list[Scope]:
        return []

    _continue = _break = _end

    def _raise(self, node: ast.Raise, scope: Scope, results: list[Any]) -> list[Scope]:
        self._other(node, scope, results)
        return []

    def bind(self, target: ast.expr, value: Any, scope: Scope) -> Scope:
        """The scope in which a target has a value; an unknown one gets the target's name."""
        if isinstance(target, ast.Tuple):
            known = isinstance(value, list | tuple) and len(value) == len(target.elts)
            parts = value if known else [None] * len(target.elts)
            for element, part in zip(target.elts, parts, strict=True):
                scope = self.bind(element, part, scope)
            return scope
        if not isinstance(target, ast.Name):
            return scope
        bare = isinstance(value, str) and PLACEHOLDER.fullmatch(value)
        if value is None or bare or value in ([], {}):  # the latter are filled later
            value = placeholder(target.id)
        word = re.compile(rf"\b{target.id}\b")
        kept = {k: v for k, v in scope.items() if not (k.startswith("if ") and word.search(k))}
        return kept | {target.id: value}

    # --- conditions and expressions ---------------------------------------------------------

    def holds(self, test: ast.expr, scope: Scope) -> Iterator[tuple[Scope, bool]]:
        """The scopes in which a condition holds or does not."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            for after, holds in self.holds(test.operand, scope):
                yield after, not holds
            return
        for after, value in list(self.values(test, scope)):
            if isinstance(value, bool):
                yield after, value
                continue
            if not is_unknown(value) and value is not None:
                yield after, bool(value)
                continue
            name = f"if {condition(test)}"
            if condition(test) not in self.repeated[self.stack[-1]]:
                yield after, True
                yield after, False
                continue
            if name in after:
                yield after, after[name]
                continue
            yield after | {name: True}, True
            yield after | {name: False}, False

    def values(self, node: ast.AST, scope: Scope) -> Splits:
        """What an expression may be, each with the scope in which it is that."""
        step: Callable[[Any, Scope], Splits] | None
        step = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if (known := self.known(node, scope)) is not None:
            yield scope, known
        elif step:
            yield from step(node, scope)
        else:
            for child in ast.iter_child_nodes(node):
                list(self.values(child, scope))
            yield scope, placeholder(name_of(node))

    def parts(self, node: ast.AST, scope: Scope) -> Splits:
        """What an expression may be; a text that may be empty is one that may be left out."""
        found = list(self.values(node, scope))
        texts = distinct(value for _, value in found)
        free = all(after == scope for after, _ in found)
        if free and len(texts) > 1 and all(t in VERBS for t in texts):
            yield scope, "/".join(texts)
            return
        if free and len(texts) > 1 and "" in texts and all(isinstance(t, str) for t in texts):
            yield scope, "".join(f"{MAYBE}{t.strip(MAYBE + END)}{END}" for t in texts if t)
        else:
            yield from found

    def known(self, node: ast.AST, scope: Scope) -> Any:
        """The value of an expression over constants; None if it depends on a run."""
        if isinstance(node, ast.Constant):
            return node.value
        used = names_of(node)
        if used is None:
            return None
        names: Scope = {}
        for name in used:
            value = scope.get(name, vars(self.module).get(name))
            plain = isinstance(value, str | int | float | tuple | list | dict | frozenset)
            if is_unknown(value) or not (plain or isinstance(value, ModuleType)):
                return None
            names[name] = value
        try:
            value = eval(compiled(node), {"__builtins__": {}}, names)  # noqa: S307
        except (LookupError, TypeError, AttributeError, ValueError):
            return None
        return value if isinstance(value, str | int | float | tuple | list | dict) else None

    def _of_name(self, node: ast.Name, scope: Scope) -> Splits:
        yield scope, scope.get(node.id, placeholder(node.id))

    def _of_namedexpr(self, node: ast.NamedExpr, scope: Scope) -> Splits:
        for after, value in self.values(node.value, scope):
            bound = self.bind(node.target, value, after)
            yield bound, value if value in ("", ()) else bound[node.target.id]

    def _of_ifexp(self, node: ast.IfExp, scope: Scope) -> Splits:
        for after, holds in self.holds(node.test, scope):
            yield from self.values(node.body if holds else node.orelse, after)

    def _of_tuple(self, node: ast.Tuple, scope: Scope) -> Splits:
        for after, values in self.product(node.elts, scope):
            yield after, tuple(values)

    def _of_list(self, node: ast.List, scope: Scope) -> Splits:
        for after, values in self.product(node.elts, scope):
            yield after, list(values)

    def _of_joinedstr(self, node: ast.JoinedStr, scope: Scope) -> Splits:
        for after, values in self.product(node.values, scope, self.parts):
            yield after, "".join(map(str, values))

    def _of_formattedvalue(self, node: ast.FormattedValue, scope: Scope) -> Splits:
        for after, value in self.parts(node.value, scope):
            texts = isinstance(value, str | int | float) and not isinstance(value, bool)
            shown = value if texts else placeholder(name_of(node.value))
            if node.conversion == ord("r") and not is_unknown(shown):
                shown = repr(shown)
            yield after, shown

    def _of_binop(self, node: ast.BinOp, scope: Scope) -> Splits:
        step = self.parts if isinstance(node.op, ast.Add) else self.values
        for after, (left, right) in self.product([node.left, node.right], scope, step):
            texts = isinstance(left, str) and isinstance(right, str)
            if texts and isinstance(node.op, ast.Add):
                yield after, left + right
            elif isinstance(left, str) and isinstance(node.op, ast.Mult):
                yield after, ""
                yield after, left
            else:
                yield after, placeholder(name_of(node))

    def _of_compare(self, node: ast.Compare, scope: Scope) -> Splits:
        """`"text" in value` is decided by the parts of a value that are known."""
        if isinstance(node.ops[0], ast.In) and isinstance(node.left, ast.Constant):
            for after, value in self.values(node.comparators[0], scope):
                known = isinstance(value, str) and not is_bare(value)
                yield after, node.left.value in value if known else placeholder(name_of(node))
            return
        list(self.product([node.left, *node.comparators], scope))
        yield scope, placeholder(name_of(node))

    def _of_boolop(self, node: ast.BoolOp, scope: Scope) -> Splits:
        list(self.product(node.values, scope))
        yield scope, placeholder(name_of(node))

    def _of_subscript(self, node: ast.Subscript, scope: Scope) -> Splits:
        for after, value in self.values(node.value, scope):
            key = self.known(node.slice, after)
            if isinstance(value, dict | list | tuple) and key is not None:
                try:
                    yield after, value[key]
                    continue
                except (LookupError, TypeError):
                    pass
            yield after, placeholder(name_of(node))

    def _of_attribute(self, node: ast.Attribute, scope: Scope) -> Splits:
        for after, value in self.values(node.value, scope):
            made = isinstance(value, dict) and node.attr in value
            yield after, value[node.attr] if made else placeholder(node.attr)

    def _of_listcomp(self, node: ast.ListComp, scope: Scope) -> Splits:
        scopes = [scope]
        for part in node.generators:
            bound: list[Scope] = []
            for one in scopes:
                for after, value in self.values(part.iter, one):
                    items = value if isinstance(value, list | tuple) else [None]
                    bound += [self.bind(part.target, item, after) for item in items]
            for test in part.ifs:
                bound = [a for one in bound for a, holds in self.holds(test, one) if holds]
            scopes = bound
        for one in scopes:
            list(self.values(node.elt, one))
        yield scope, placeholder(name_of(node))

    _of_generatorexp = _of_listcomp

    def product(
        self,
        nodes: Iterable[ast.AST],
        scope: Scope,
        step: Callable[[ast.AST, Scope], Splits] | None = None,
    ) -> Iterator[tuple[Scope, list[Any]]]:
        """The values of several expressions; a starred one adds its elements."""
        nodes, step = list(nodes), step or self.values
        if not nodes:
            yield scope, []
            return
        first, *rest = nodes
        starred = isinstance(first, ast.Starred)
        for after, value in step(first.value if starred else first, scope):  # type: ignore[attr-defined]
            own = list(value) if starred and isinstance(value, list | tuple) else [value]
            for last, others in self.product(rest, after, step):
                yield last, own + others

    # --- calls ------------------------------------------------------------------------------

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


@cache
def sum_of(node: ast.AugAssign) -> ast.BinOp:
    """The expression whose value an augmented assignment assigns."""
    target = ast.parse(ast.unparse(node.target), mode="eval").body
    return ast.fix_missing_locations(
        ast.copy_location(ast.BinOp(target, node.op, node.value), node)
    )


@cache
def condition(test: ast.expr) -> str:
    """A condition without `not`, as text."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return condition(test.operand)
    return ast.unparse(test)


def is_bare(value: Any) -> bool:
    """Whether a text consists of placeholders, punctuation and parts that may be left out."""
    if not isinstance(value, str) or not is_unknown(value):
        return False
    return not re.search(r"\w", PLACEHOLDER.sub("", OPTIONAL.sub("", value)).replace("_", ""))


def distinct(values: Iterable[Any]) -> list[Any]:
    """Values without those that are equal to an earlier one."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def merged(scopes: Iterable[Scope]) -> list[Scope]:
    """Scopes without those that are equal to an earlier one."""
    return distinct(scopes)


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
