"""What an expression may be, in each scope in which it is that."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import CodeType, ModuleType
from typing import Any

from .placeholders import END, MAYBE, is_bare, is_unknown, name_of, placeholder
from .scopes import Scope, Splits, bind, distinct

VERBS = ("is", "are", "does", "do")
PURE = ("join", "strip", "startswith", "get")  # methods that are called on constants


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


@cache
def condition(test: ast.expr) -> str:
    """A condition without `not`, as text."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return condition(test.operand)
    return ast.unparse(test)


class Expressions:
    """Follows expressions of a module. A subclass adds calls, as `_of_call`."""

    module: ModuleType  # its constants are known
    stack: list[str]  # names of the functions being followed
    repeated: dict[str, set[str]]  # by function, conditions that it tests more than once

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
            bound = bind(node.target, value, after)
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
                    bound += [bind(part.target, item, after) for item in items]
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
