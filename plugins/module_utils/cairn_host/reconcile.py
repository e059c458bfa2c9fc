"""The frame of modules that keep in one system what all services declare there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from . import errors, records


def keep(module: Any, name: str, work: Callable[[dict[str, Any], bool], list[str]]) -> None:
    """Do a module's work, note its success under the record `name`, and end the module.

    `work` takes the module's parameters and whether it is only to tell; it returns the changes as
    sentences. The parameter `record` says what to note; the next run then need not ask.
    """
    try:
        changes = work(module.params, module.check_mode)
        if not module.check_mode and module.params["record"]:
            records.record(name, module.params["record"])
    except (errors.HostError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), changes=changes)
