"""What is known of the variables at a place in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .placeholders import PLACEHOLDER, placeholder

Scope = dict[str, Any]
Splits = Iterator[tuple[Scope, Any]]


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


def bind(target: ast.expr, value: Any, scope: Scope) -> Scope:
    """The scope in which a target has a value; an unknown one gets the target's name."""
    if isinstance(target, ast.Tuple):
        known = isinstance(value, list | tuple) and len(value) == len(target.elts)
        parts = value if known else [None] * len(target.elts)
        for element, part in zip(target.elts, parts, strict=True):
            scope = bind(element, part, scope)
        return scope
    if not isinstance(target, ast.Name):
        return scope
    bare = isinstance(value, str) and PLACEHOLDER.fullmatch(value)
    if value is None or bare or value in ([], {}):  # the latter are filled later
        value = placeholder(target.id)
    word = re.compile(rf"\b{target.id}\b")
    kept = {k: v for k, v in scope.items() if not (k.startswith("if ") and word.search(k))}
    return kept | {target.id: value}
