"""The frame of filter plugins: a CairnError of a function is Ansible's error. Control node only."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ansible.errors import AnsibleFilterError

from .errors import CairnError

Filter = Callable[..., Any]


def guarded(*functions: Filter, **named: Filter) -> dict[str, Filter]:
    """Filters by name, `functions` by their own names; a CairnError is an AnsibleFilterError."""
    by_name = {function.__name__: function for function in functions} | named
    return {name: _guarded(function) for name, function in by_name.items()}


def _guarded(function: Filter) -> Filter:
    @wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except CairnError as error:
            raise AnsibleFilterError(str(error)) from None

    return call
