"""The file that holds a run between the phases of verify.yml, for its owner only."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from . import playbook
from .run import ProofError, Run


def load(path: Path) -> Run:
    """The run of the state file; ProofError if no run was prepared."""
    try:
        return Run(**json.loads(path.read_text()))
    except FileNotFoundError:
        raise ProofError(f"{path}: no run was prepared") from None


def save(path: Path, run: Run) -> None:
    """Write the state file, for its owner only: it has the run's password."""
    write(path, run.as_dict(), 0o600)


def write(path: Path, data: object, mode: int) -> None:
    """Write JSON at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        json.dump(data, file, indent=1)
    new.replace(path)


def kept[Result](path: Path, run: Run, work: Callable[[], Result]) -> Result:
    """Do a part of the run and save what is known of it, even if the part fails."""
    try:
        return work()
    finally:
        save(path, run)


def refuse_second(path: Path) -> None:
    """ProofError while another playbook's run goes on: it would lose what it has made."""
    # Not the whole run: an older Cairn may have left one of another shape.
    other = json.loads(path.read_text()).get("owner", "") if path.exists() else ""
    if other != playbook.owner() and playbook.lives(other):
        number = other.partition(".")[0]
        raise ProofError(
            f"another run of verify.yml goes on (process {number}): wait for its end, or end it"
        )
