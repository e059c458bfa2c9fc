"""systemd units derived from service descriptions. Pure functions on plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cairn_host import paths

from ..errors import DescriptionError
from . import uwsgi
from .blocks import MOUNT
from .description import KINDS, by_uwsgi

BACKENDS = (
    "mariadb.service",
    "rabbitmq-server.service",
    "memcached.service",
    "haproxy.service",
    "keepalived.service",
    "ovn-ovsdb-server-nb.service",
    "ovn-ovsdb-server-sb.service",
)
"""Units on the same host that a service may depend on. Services start after and stop before them:
a stopping service finishes its work, and without its backends would wait until systemd kills it."""

SANDBOX: dict[str, Any] = {
    "NoNewPrivileges": True,
    "ProtectSystem": "strict",
    "ProtectHome": True,
    "PrivateTmp": True,
    "PrivateDevices": True,
    "ProtectKernelTunables": True,
    "ProtectKernelModules": True,
    "ProtectKernelLogs": True,
    "ProtectControlGroups": True,
    "ProtectClock": True,
    "ProtectHostname": True,
    # Hides other users' commands: cinder and os-brick pass CHAP passwords as arguments. Without
    # ProcSubset=pid, which would hide /proc/meminfo, loadavg and net from swift's recon, and
    # /proc/sys and /proc/net from uWSGI and oslo.utils.
    "ProtectProc": "invisible",
    "RestrictSUIDSGID": True,
    "RestrictRealtime": True,
    "RestrictNamespaces": True,
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "LockPersonality": True,
    "SystemCallArchitectures": "native",
    "CapabilityBoundingSet": "",
}
"""The sandbox of a service that needs only the network and its own state."""


# Units that may have files open on a service's mounts stop before these.
LAST_TO_GO = {"LazyUnmount": True, "DirectoryMode": "0755"}


@dataclass
class Built:
    """Units of one host, and uWSGI's files for them."""

    units: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)


def section_text(name: str, options: Mapping[str, Any]) -> str:
    """One section of a unit file; a list becomes one line per value."""
    lines = [f"[{name}]"]
    for key, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            text = {True: "yes", False: "no"}.get(item, item) if isinstance(item, bool) else item
            lines.append(f"{key}={text}")
    return "\n".join(lines) + "\n"


def unit_text(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """A unit file from its sections, in the order given."""
    return "\n".join(section_text(name, options) for name, options in sections.items() if options)


def build(
    role: str,
    description: Mapping[str, Any],
    default_groups: list[str],
    *,
    me: Mapping[str, Any],
    user: Mapping[str, Any],
) -> Built:
    """All units of a description on the host `me`, in its order; mounts come last."""
    built = Built()
    for name, unit in (description.get("units") or {}).items():
        where = f"{role}_service.units.{name}"
        groups = unit.get("groups", default_groups)
        if "all" not in groups and not set(groups) & set(me["groups"]):
            continue
        kinds = [key for key in KINDS if unit.get(key)]
        if len(kinds) != 1:
            raise DescriptionError(f"{where}: needs exactly one of {', '.join(KINDS)}")
        text = None
        if by_uwsgi(unit):
            built.files.append(uwsgi.file(role, name, unit, me, user))
        if not unit.get("distro"):
            text = _service_text(role, name, unit, description, user)
        built.units.append(
            {
                "name": name,
                "unit": name if "." in name else f"{name}.service",
                "text": text,
                "dropin": unit_text(unit["dropin"]) if unit.get("dropin") else None,
                "enabled": unit.get("enabled", True),
                "state": unit.get("state", "started"),
                "on_change": unit.get("on_change", "restart"),
                "config_files": _inputs(name, unit),
                "health": _health(unit, me),
            }
        )
        if unit.get("timer"):
            built.units.append(_timer(name, unit))
            built.units[-2].update(state="idle", enabled=False, health={})
    servers = [unit["unit"] for unit in built.units if unit["text"]]
    built.units += [_mount(role, mount, servers) for mount in description.get("mounts") or []]
    return built


def health_path(unit: Mapping[str, Any], frontend: Mapping[str, Any]) -> str | None:
    """The path of a load balancer's health check; None if checking the port is enough."""
    if frontend.get("mode") == "tcp":
        return "/" if frontend.get("check_port") else None
    health = unit.get("health") or {}
    return health.get("http", None if "tcp" in health else "/")


def _mount(role: str, mount: Mapping[str, Any], servers: list[str]) -> dict[str, Any]:
    """The mount of a file system with a service's files, before its units start."""
    if set(mount) != set(MOUNT.known) or not re.fullmatch(r"(/[A-Za-z0-9_.]+)+", mount["where"]):
        raise DescriptionError(
            f"{role}_service.mounts {mount.get('where')}: needs {sorted(MOUNT.known)}, and a path "
            "of letters, digits, _ and ."
        )
    name = mount["where"].strip("/").replace("/", "-")
    text = unit_text(
        {
            "Unit": {
                "Description": f"Cairn: {mount['where']} for {role}",
                "Before": " ".join(servers),
            },
            "Mount": {
                "What": mount["what"],
                "Where": mount["where"],
                "Type": mount["type"],
                "Options": mount["options"],
                **LAST_TO_GO,
            },
            "Install": {"WantedBy": "multi-user.target"},
        }
    )
    return {
        "name": name,
        "unit": f"{name}.mount",
        "text": text,
        "dropin": None,
        "enabled": True,
        "state": "started",
        # New options apply at the next mount: files are open on this one.
        "on_change": "none",
        "config_files": [],
        "health": {},
    }


def _inputs(name: str, unit: Mapping[str, Any]) -> list[str] | None:
    """The files whose changes restart a unit; None means all files of the service."""
    named = unit.get("config_files")
    if named is None:
        return None
    return [*named, *([f"uwsgi-{name}.ini"] if by_uwsgi(unit) else [])]


def _timer(name: str, unit: Mapping[str, Any]) -> dict[str, Any]:
    text = unit_text(
        {
            "Unit": {"Description": f"Cairn: run {name} on schedule"},
            "Timer": dict(unit["timer"]),
            "Install": {"WantedBy": "timers.target"},
        }
    )
    return {
        "name": f"{name}-timer",
        "unit": f"{name}.timer",
        "text": text,
        "dropin": None,
        "enabled": True,
        "state": "started",
        "on_change": "restart",
        "config_files": [],
        "health": {},
    }


def _health(unit: Mapping[str, Any], me: Mapping[str, Any]) -> dict[str, Any]:
    """The health check of a unit, with its timeout."""
    health = dict(unit.get("health") or {})
    address = me["addresses"].get(unit.get("plane", "management"))
    if by_uwsgi(unit) and not health.keys() & {"http", "tcp", "command", "active"}:
        health["http"] = "/"
    if "command" in health:
        # Words of a command are strings; the inventory may have numbers.
        health["command"] = [str(word) for word in health["command"]]
    if "http" in health:
        health = {"port": unit.get("port"), **health}
    if unit.get("command") and not health and unit.get("type") != "oneshot":
        health["active"] = 5
    if health.keys() & {"http", "tcp"}:
        health.setdefault("address", address)
    if health:
        health.setdefault("timeout", 240)
    return health


def _service_text(
    role: str,
    name: str,
    unit: Mapping[str, Any],
    description: Mapping[str, Any],
    user: Mapping[str, Any],
) -> str:
    venv = str(paths.current(role) / "venv")
    account = user.get("name", "root")
    fill = {"{venv}": venv, "{etc}": str(paths.etc(role))}
    command = unit.get("command") or f"{{venv}}/bin/uwsgi --ini {{etc}}/uwsgi-{name}.ini"
    for key, value in fill.items():
        command = command.replace(key, value)
    oneshot = unit.get("type") == "oneshot"
    environment = {
        "PATH": f"{venv}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt",
        **unit.get("environment", {}),
    }
    service: dict[str, Any] = {
        "Type": "oneshot" if oneshot else ("notify" if by_uwsgi(unit) else "simple"),
        "User": account,
        "Environment": [f'"{key}={value}"' for key, value in environment.items()],
        "ExecStart": command,
        "KillMode": "mixed",
        "TimeoutStartSec": 300,
        "TimeoutStopSec": 90,
        "UMask": "0027",
        "LimitNOFILE": 65535,
        "SyslogIdentifier": name,
    }
    if by_uwsgi(unit):
        service["NotifyAccess"] = "all"
    if not oneshot:
        # Increasing pauses: a service survives a database outage without overloading the host.
        service |= {
            "Restart": "always",
            "RestartSec": 5,
            "RestartSteps": 5,
            "RestartMaxDelaySec": 60,
        }
    if description.get("lock") or account != "root":
        service["StateDirectory"] = account if account != "root" else role
        service["RuntimeDirectory"] = name
    sandbox = unit.get("sandbox", True)
    if sandbox is True:
        service |= SANDBOX
    elif sandbox:
        service |= {k: v for k, v in (SANDBOX | dict(sandbox)).items() if v is not None}
    service |= unit.get("service", {})
    sections = {
        "Unit": {
            "Description": f"Cairn: {description.get('summary', role)} ({name})",
            "Wants": "network-online.target",
            "After": " ".join(("network-online.target", *BACKENDS)),
            "StartLimitIntervalSec": 0,
            **unit.get("unit", {}),
        },
        "Service": service,
    }
    if not unit.get("timer"):
        sections["Install"] = {"WantedBy": "multi-user.target"}
    return unit_text(sections)
