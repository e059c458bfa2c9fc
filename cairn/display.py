"""The one place where text leaves a run: Ansible's display, and its log.

Control node only. Callbacks call `mask_display` before anything is shown; what any module, template
or error of Ansible's own says goes through it, as far as the screen and the log are concerned.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.template import Templar

from .masking import Masker, secret_values

KNOWN = Masker()
"""The secrets of this run. Callbacks teach it at the begin of a play, before Ansible forks."""


def learn(variables: Mapping[str, Any], template: Callable[[Any], Any]) -> None:
    """Know the secrets among a host's variables; `template` makes plain text of Jinja."""
    KNOWN.learn(_plain(variables, template))


def _plain(variables: Mapping[str, Any], template: Callable[[Any], Any]) -> Iterator[str]:
    for value in secret_values(variables):
        text = str(value)
        yield text  # a password may hold two braces
        if "{{" in text or "{%" in text:
            with contextlib.suppress(Exception):  # what cannot be made out is used nowhere
                yield str(template(value))


_seen: set[str] = set()  # hosts whose variables were read


def mask_display(display: Any) -> None:
    """Have this Display (there is one in a process) mask whatever it prints and logs."""
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
    """Know the secrets that the hosts of a play have: those of its first host, and the site's."""
    # Where variables cannot be read (a wrong vault password), the play itself ends with the reason.
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
