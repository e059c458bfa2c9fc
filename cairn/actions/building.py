"""What the actions share that have virtualenvs made on hosts. Controller only."""

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
    """The version of the controller's uv, which is what hosts get."""
    if not UV.exists():
        raise CairnError(f"{UV} is missing; the controller's tools are set up by: make setup")
    return subprocess.run(
        [str(UV), "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[1]


class BuildingAction(CairnAction):
    """An action that brings files to hosts, among them uv."""

    def transfer(self, source: Path, name: str) -> str:
        """Bring a file to the host; its path there.

        It lies in Ansible's own folder for this task: closed to other users, removed after it.
        """
        folder = self._connection._shell.tmpdir or self._make_tmp_path()
        place: str = self._connection._shell.join_path(folder, name)
        self._transfer_file(str(source), place)
        return place

    def fetch(self, path: str, target: Path) -> None:
        """Bring a file from the host.

        Files go over the connection of the login user, never through `become`: modules leave what
        is fetched readable for that user. CairnError when it is not.
        """
        try:
            self._connection.fetch_file(path, str(target))
        except (AnsibleError, OSError) as error:
            raise CairnError(f"{path} could not be fetched as the login user: {error}") from error

    def transfer_uv(self, state: dict[str, Any]) -> dict[str, str]:
        """Bring the controller's uv to a host that has not got this version."""
        version = uv_version()
        missing = version not in state.get("uv", []) and not self.check_mode
        return {"version": version, "transferred": self.transfer(UV, "uv") if missing else ""}

    def environment(self, task_vars: dict[str, Any]) -> dict[str, str]:
        """Environment by which uv reaches packages: the site's index and proxies, if it has any."""
        given = {name: task_vars[name] for name in proxies.VARIABLES if name in task_vars}
        variables = self._templar.template(given)
        index = proxies.index(str(variables.get("cairn_pypi_index") or ""))
        return index | proxies.environment(variables, task_vars["cairn_site"])
