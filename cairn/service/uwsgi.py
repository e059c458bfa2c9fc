"""uWSGI's configuration for WSGI applications and folders of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UWSGI: dict[str, Any] = {
    "master": True,
    "thunder-lock": True,
    "die-on-term": True,
    # SIGTERM: a graceful stop. gracefully_kill_them_all, which is meant for this, waits for a stuck
    # worker without limit and ignores worker-reload-mercy, until systemd kills all workers
    # (uWSGI 2.0: core/uwsgi.c).
    "hook-master-start": "unix_signal:15 grace_them_all",
    "exit-on-reload": True,
    # Otherwise a worker that is still loading its code loses the signal and continues.
    "hook-post-fork": "unix_signal:1 _exit",
    "buffer-size": 65535,
    "add-header": "Connection: close",
    "worker-reload-mercy": 60,
    "log-x-forwarded-for": True,
    # The caller's request id and the service's own: verify.yml traces an instance by them.
    "collect-header": "X-Openstack-Request-Id OS_REQUEST_ID",
    "log-format": (
        '%(addr) "%(method) %(uri)" status: %(status) len: %(rsize) time: %(msecs) ms '
        '[%(var.HTTP_X_OPENSTACK_REQUEST_ID) %(var.OS_REQUEST_ID)] agent: "%(uagent)"'
    ),
}


WSGI: dict[str, Any] = {
    "enable-threads": True,
    "lazy-apps": True,
    "need-app": True,
    # A client may pause during an upload of an image; the default fails after 4 seconds.
    "socket-timeout": 80,
    "http-chunked-input": True,
    # glanceclient, and thus horizon, sends images in chunks of 1 MiB, which with their two trailing
    # bytes exceed the default of 1 MiB (uWSGI 2.0: core/chunked.c).
    "chunked-input-limit": 16 * 2**20,
    "http-raw-body": True,
    "http-auto-chunked": True,
}


def file(
    role: str,
    name: str,
    unit: Mapping[str, Any],
    me: Mapping[str, Any],
    user: Mapping[str, Any],
) -> dict[str, Any]:
    """uWSGI's file for a unit, as an entry of a manifest."""
    address = me["addresses"][unit.get("plane", "management")]
    application = {"module": unit["wsgi"], **WSGI} if unit.get("wsgi") else {}
    files = {"static-map": f"/={unit['static']}"} if unit.get("static") else {}
    options: dict[str, Any] = {
        "http-socket": f"{address}:{unit['port']}",
        "processes": unit.get("processes", 2 if application else 1),
        "threads": unit.get("threads", 4),
        "procname-prefix": f"{name} ",
        **UWSGI,
        **application,
        **files,
        **unit.get("uwsgi", {}),
    }
    lines = ["[uwsgi]"]
    for key, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            text = str(item).lower() if isinstance(item, bool) else item
            lines.append(f"{key} = {text}")
    return {
        "path": f"uwsgi-{name}.ini",
        "content": "\n".join(lines) + "\n",
        "mode": "0640",
        "owner": "root",
        "group": user.get("name", "root"),
        "secret": False,
    }
