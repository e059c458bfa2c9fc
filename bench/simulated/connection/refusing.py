"""A connection to hosts that are not there: an unchanged run must ask for none."""

from __future__ import annotations

from typing import Any, NoReturn

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: refusing
short_description: Refuses everything
description: For simulated hosts.
author: Cairn
"""


class Connection(ConnectionBase):  # type: ignore[misc]
    """Refuses everything."""

    transport = "refusing"

    def _connect(self) -> NoReturn:
        raise AnsibleConnectionFailure("a simulated host was to be changed")

    def exec_command(self, *_args: Any, **_keywords: Any) -> NoReturn:
        """Refuse."""
        self._connect()

    def put_file(self, *_args: Any, **_keywords: Any) -> NoReturn:
        """Refuse."""
        self._connect()

    def fetch_file(self, *_args: Any, **_keywords: Any) -> NoReturn:
        """Refuse."""
        self._connect()

    def close(self) -> None:
        """Nothing is open."""
