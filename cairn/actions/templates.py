"""A cache of compiled Jinja that all tasks share. Control node only.

Ansible compiles a template each time it renders one, in a separate process for each host and task.
Templates that are compiled before Ansible forks are available in all of these. The compiled code
depends only on the template's text and its environment's settings, not on variables.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any

from ansible._internal._templating._jinja_bits import AnsibleEnvironment
from ansible.plugins.loader import filter_loader, test_loader
from jinja2 import TemplateError

SETTINGS = (
    *("block_start_string", "block_end_string", "variable_start_string", "variable_end_string"),
    *("comment_start_string", "comment_end_string", "line_statement_prefix"),
    *("line_comment_prefix", "trim_blocks", "lstrip_blocks", "newline_sequence"),
    *("keep_trailing_newline", "optimized", "autoescape"),
)
COMPILED: dict[tuple[Any, ...], CodeType] = {}


def keep_compiled(environment: Any = AnsibleEnvironment) -> None:
    """Make `environment`, a class of Jinja environments, compile each text once; idempotent."""
    compile_source = environment.compile
    if getattr(compile_source, "keeps", False):
        return

    def compile_once(
        self: Any,
        source: Any,
        name: str | None = None,
        filename: str | None = None,
        *args: Any,
        **keywords: Any,
    ) -> Any:
        # Named templates are not cached: errors would name another file with the same text.
        if not isinstance(source, str) or name or filename or args or any(keywords.values()):
            return compile_source(self, source, name, filename, *args, **keywords)
        key = (str(source), *(getattr(self, setting) for setting in SETTINGS))
        if key not in COMPILED:
            COMPILED[key] = compile_source(self, source)
        return COMPILED[key]

    compile_once.keeps = True  # type: ignore[attr-defined]
    environment.compile = compile_once


def texts(value: Any) -> Iterator[str]:
    """Yield every text with Jinja in `value`, at any depth."""
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from texts(key)
            yield from texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one)


def warm(value: Any, **settings: Any) -> None:
    """Compile every template in `value`; errors appear when the template is used."""
    environment = AnsibleEnvironment()
    if settings:
        environment = environment.overlay(**settings)
    for text in texts(value):
        with contextlib.suppress(TemplateError):
            environment.compile(text)


def load_plugins() -> None:
    """Load all filters and tests; otherwise each worker would import them one by one."""
    environment = AnsibleEnvironment()
    for loader, intercept in (
        (filter_loader, environment.filters),
        (test_loader, environment.tests),
    ):
        for _plugin in loader.all():
            pass
        know_missing(loader, intercept._jinja_builtins)


def know_missing(loader: Any, names: Iterable[str]) -> None:
    """Make `loader` remember which of Jinja's own `names` are no plugins; idempotent.

    Otherwise Ansible searches its collections for `min` or `join` each time before it uses Jinja's.
    """
    find = loader.get
    if getattr(find, "knows", False):
        return
    missing = set()
    for name in names:
        try:
            if find(name) is None:
                missing.add(name)
        except KeyError:
            missing.add(name)

    def get(name: str, *args: Any, **keywords: Any) -> Any:
        if name in missing:
            raise KeyError(name)
        return find(name, *args, **keywords)

    get.knows = True  # type: ignore[attr-defined]
    loader.get = get
