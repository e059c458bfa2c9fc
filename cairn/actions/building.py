"""The base of actions that send files to hosts and build virtualenvs there. Control node only."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError

from ..errors import CairnError
from ..site import proxies
from .base import CairnAction

UV = Path(sys.executable).with_name("uv")


@functools.cache
def uv_version() -> str:
    """The version of the control node's uv, which is copied to hosts."""
    if not UV.exists():
        raise CairnError(f"{UV} is missing; install the control node's tools: make setup")
    return subprocess.run(
        [str(UV), "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[1]


class BuildingAction(CairnAction):
    """An action that transfers files to and from hosts, among them uv."""

    def transfer(self, source: Path, name: str) -> str:
        """Copy a file to the host; returns its path there.

        It is in Ansible's temporary folder for this task, which is private and removed afterwards.
        """
        folder = self._connection._shell.tmpdir or self._make_tmp_path()
        place: str = self._connection._shell.join_path(folder, name)
        self._transfer_file(str(source), place)
        return place

    def fetch(self, path: str, target: Path) -> None:
        """Copy a file from the host.

        The connection belongs to the login user, without `become`: modules make such files readable
        for that user. CairnError if it is not readable.
        """
        try:
            self._connection.fetch_file(path, str(target))
        except (AnsibleError, OSError) as error:
            raise CairnError(f"{path} could not be fetched as the login user: {error}") from error

    def transfer_uv(self, state: dict[str, Any]) -> dict[str, str]:
        """Copy the control node's uv to a host without this version."""
        version = uv_version()
        missing = version not in state.get("uv", []) and not self.check_mode
        return {"version": version, "transferred": self.transfer(UV, "uv") if missing else ""}

    def environment(self, task_vars: dict[str, Any]) -> dict[str, str]:
        """The environment for uv: the site's package index and proxies, if it has any."""
        given = {name: task_vars[name] for name in proxies.VARIABLES if name in task_vars}
        variables = self._templar.template(given)
        index = proxies.index(str(variables.get("cairn_pypi_index") or ""))
        return index | proxies.environment(variables, task_vars["cairn_site"])
