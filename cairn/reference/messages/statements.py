"""The scopes in which statements end."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from itertools import chain
from typing import Any

from .expressions import Expressions
from .scopes import Scope, bind, merged


@cache
def sum_of(node: ast.AugAssign) -> ast.BinOp:
    """The expression whose value an augmented assignment assigns."""
    target = ast.parse(ast.unparse(node.target), mode="eval").body
    return ast.fix_missing_locations(
        ast.copy_location(ast.BinOp(target, node.op, node.value), node)
    )


class Statements(Expressions):
    """Follows statements through their branches."""

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
            bind(node.targets[0], value, after) for after, value in self.parts(node.value, scope)
        ]

    def _annassign(self, node: ast.AnnAssign, scope: Scope, results: list[Any]) -> list[Scope]:
        if node.value is None:
            return [scope]
        return [bind(node.target, value, after) for after, value in self.values(node.value, scope)]

    def _augassign(self, node: ast.AugAssign, scope: Scope, results: list[Any]) -> list[Scope]:
        pairs = self.values(sum_of(node), scope)
        return [bind(node.target, value, after) for after, value in pairs]

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
                    ends += self.run(node.body, [bind(node.target, item, after)], results)
                ends.append(after)
                continue
            bound = bind(node.target, None, after)
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
