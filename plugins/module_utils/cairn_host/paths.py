"""Where Cairn keeps things on a managed host; the one place that knows these paths."""

from __future__ import annotations

from pathlib import Path

STATE = Path("/var/lib/cairn")
SERVICES = STATE / "services"
RECORDS = STATE / "records"
LEASE = STATE / "run.json"
VENVS = Path("/opt/cairn/venvs")
UV = Path("/opt/cairn/uv")
UV_CACHE = Path("/var/cache/cairn/uv")
ARCHIVES = Path("/var/cache/cairn/archives")
UNITS = Path("/etc/systemd/system")
SUDOERS = Path("/etc/sudoers.d")
POLICY = Path("/usr/sbin/policy-rc.d")
"""Keeps daemons from starting while packages are installed; Ansible's apt writes it."""

VENV_COMPLETE = ".cairn-complete"
"""Written last into a virtualenv: without it the virtualenv is half-made and is made anew."""


def service(role: str) -> Path:
    """The folder that holds all generations of a service."""
    return SERVICES / role


def generation(role: str, ident: str) -> Path:
    """The folder of one generation, named by the hash of its manifest."""
    return SERVICES / role / "generations" / ident


def current(role: str) -> Path:
    """The symlink to the generation in force; flipping it is the switch."""
    return SERVICES / role / "current"


def previous(role: str) -> Path:
    """The symlink to the generation that a rollback returns to."""
    return SERVICES / role / "previous"


def running(role: str) -> Path:
    """JSON of unit name to the fingerprint it was last started with."""
    return SERVICES / role / "running.json"


def ahead(role: str) -> Path:
    """JSON of what a switch did that went on while the run was busy elsewhere."""
    return SERVICES / role / "ahead.json"


def etc(role: str) -> Path:
    """Where a service looks for its configuration: a link into the current generation."""
    return Path("/etc") / role
