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


FORMER = {"pki": "trust"}
"""Services that the last release of Cairn knew by another name, each with that name."""


def service(role: str) -> Path:
    """The folder that holds all generations of a service: under its former name until it moves."""
    folder = SERVICES / role
    former = SERVICES / FORMER.get(role, role)
    return former if former.is_dir() and not folder.is_dir() else folder


def due(role: str) -> str:
    """The record of the time from which a service has something to renew."""
    return f"due-{role}"


def generation(role: str, ident: str) -> Path:
    """The folder of one generation, named by the hash of its manifest."""
    return service(role) / "generations" / ident


def current(role: str) -> Path:
    """The symlink to the generation in force; flipping it is the switch."""
    return service(role) / "current"


def previous(role: str) -> Path:
    """The symlink to the generation that a rollback returns to."""
    return service(role) / "previous"


def rolled_back(role: str) -> Path:
    """`TO FROM`, the generations of the last rollback, valid while both links agree with it."""
    return service(role) / "rolled-back"


def running(role: str) -> Path:
    """JSON of unit name to the fingerprint it was last started with."""
    return service(role) / "running.json"


def ahead(role: str) -> Path:
    """JSON of what a switch did that went on while the run was busy elsewhere."""
    return service(role) / "ahead.json"


def etc(role: str) -> Path:
    """Where a service looks for its configuration: a link into the current generation."""
    return Path("/etc") / role
