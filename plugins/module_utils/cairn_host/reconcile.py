"""The frame of modules that reconcile a system with what all services declare in it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from . import errors, records


def keep(module: Any, name: str, work: Callable[[dict[str, Any], bool], list[str]]) -> None:
    """Run a module's work, write the record `name` on success, and end the module.

    `work` takes the module's parameters and check mode, and returns the changes as sentences. The
    parameter `record` is the record's value; while it is unchanged, runs skip the call.
    """
    try:
        changes = work(module.params, module.check_mode)
        if not module.check_mode and module.params["record"]:
            records.record(name, module.params["record"])
    except (errors.HostError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), changes=changes)
