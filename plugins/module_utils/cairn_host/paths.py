"""Cairn's paths on a managed host."""

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
"""Prevents daemons from starting while packages are installed; Ansible's apt module writes it."""

VENV_COMPLETE = ".cairn-complete"
"""Written last into a virtualenv: a virtualenv without it is incomplete and is rebuilt."""

FORMER = {"pki": "trust"}
"""Services that were renamed since the previous release: name to former name."""


def service(role: str) -> Path:
    """The folder of all generations of a service; a former name's folder until it is moved."""
    folder = SERVICES / role
    former = SERVICES / FORMER.get(role, role)
    return former if former.is_dir() and not folder.is_dir() else folder


def due(role: str) -> str:
    """The name of the record with the time from which a service has something to renew."""
    return f"due-{role}"


def generation(role: str, ident: str) -> Path:
    """The folder of one generation, named by the hash of its manifest."""
    return service(role) / "generations" / ident


def current(role: str) -> Path:
    """The symlink to the generation in force; a switch replaces it."""
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
    """JSON with the result of a switch that ran in the background."""
    return service(role) / "ahead.json"


def etc(role: str) -> Path:
    """The link through which a service reads the configuration of its current generation."""
    return Path("/etc") / role
