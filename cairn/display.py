"""Masking of Ansible's display and log, through which all output of a run passes.

Control node only. Callbacks call `mask_display` before anything is shown; it masks the output of
all modules, templates and errors on the screen and in the log.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.template import Templar

from cairn_host.masking import PATH

from .masking import Masker, secret_values

KNOWN = Masker()
"""The secrets of this run. Callbacks add them at the start of a play, before Ansible forks."""


def learn(variables: Mapping[str, Any], template: Callable[[Any], Any]) -> None:
    """Add the secrets among a host's variables; `template` renders Jinja."""
    KNOWN.learn(_plain(variables, template))


def _plain(variables: Mapping[str, Any], template: Callable[[Any], Any]) -> Iterator[str]:
    for value in secret_values(variables):
        text = str(value)
        yield text  # a password may hold two braces
        if "{{" in text or "{%" in text:
            with contextlib.suppress(Exception):  # a value that cannot be rendered is not used
                rendered = str(template(value))
                if not PATH.fullmatch(rendered):
                    yield rendered


_seen: set[str] = set()  # hosts whose variables were read


def mask_display(display: Any) -> None:
    """Make this Display, the only one of the process, mask its output and log."""
    if getattr(display, "_cairn_masks", False):
        return

    def masked(show: Callable[..., Any]) -> Callable[..., Any]:
        def one(msg: Any, *arguments: Any, **keywords: Any) -> Any:
            return show(KNOWN.text(msg) if isinstance(msg, str) else msg, *arguments, **keywords)

        return one

    display.display = masked(display.display)
    display._log = masked(display._log)
    display._cairn_masks = True


def learn_of_play(play: Any) -> None:
    """Add the secrets of a play's first host, and the site's."""
    # If variables cannot be read (a wrong vault password), the play itself fails with the reason.
    with contextlib.suppress(AnsibleError):
        _learn_of_play(play)


def _learn_of_play(play: Any) -> None:
    manager = play.get_variable_manager()
    hosts = manager._inventory.get_hosts(play.hosts) or manager._inventory.get_hosts("all")
    if not hosts or hosts[0].name in _seen:
        return
    variables = manager.get_vars(play=play, host=hosts[0])
    _seen.add(hosts[0].name)
    templar = Templar(loader=manager._loader, variables=variables)
    learn(variables, templar.template)
