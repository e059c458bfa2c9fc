"""Bare commands that any deployment runs on a host, each timed. Sent to a host's own Python.

Standard library only. `bench.py` puts one of the calls at the end and reads the JSON it prints:
{name: seconds}.
"""

import contextlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SERVICES = Path("/var/lib/cairn/services")
VENVS = Path("/opt/cairn/venvs")


def timed(command: list[str], **how: Any) -> float:
    """Run a command that has to succeed; seconds it took."""
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, **how)
    if done.returncode:
        sys.exit(
            f"{' '.join(command)}: exit {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}"
        )
    return time.monotonic() - start


def current() -> list[dict[str, Any]]:
    """Manifests of all services on this host."""
    return [
        json.loads(path.read_text()) for path in sorted(SERVICES.glob("*/current/manifest.json"))
    ]


def needs() -> None:
    """Print which packages, locks and virtualenvs this host has, from its manifests."""
    made = current()
    packages = sorted({name for one in made for name in one["packages"]})
    locks = sorted({one["venv"]["lock"] for one in made if one["venv"]})
    venvs = sorted({one["venv"]["name"] for one in made if one["venv"]})
    print(json.dumps({"packages": packages, "locks": locks, "venvs": venvs}))


def install(packages: list[str]) -> None:
    """Time apt on a bare host: {packages: s}. Services do not start, as in a deployment."""
    apt = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    Path("/usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    Path("/usr/sbin/policy-rc.d").chmod(0o755)
    seconds = timed(["apt-get", "-q", "update"], env=apt)
    if packages:
        options = ["--no-install-recommends", "-o", "Dpkg::Options::=--force-unsafe-io"]
        seconds += timed(["apt-get", "-qy", "install", *options, *packages], env=apt)
    print(json.dumps({"packages": seconds}))


def unpack(folder: str) -> None:
    """Time tar for every archive in a folder of a host: {virtualenvs: s}."""
    seconds = 0.0
    for archive in sorted(Path(folder).glob("*.tar.gz")):
        target = archive.with_suffix("").with_suffix("")
        target.mkdir()
        seconds += timed(["tar", "-xzf", str(archive), "-C", str(target)])
    print(json.dumps({"virtualenvs": seconds}))


def build(locks: dict[str, str], build_lock: str, environment: dict[str, str]) -> None:
    """Time uv on a host: {virtualenvs: s}. `locks` and `build_lock` are texts."""
    seconds = 0.0
    folder = Path("/var/cache/floor")
    folder.mkdir(exist_ok=True)
    (folder / "build.lock").write_text(build_lock)
    uv = {**os.environ, **environment, "UV_SYSTEM_CERTS": "true"}
    for name, text in locks.items():
        (folder / f"{name}.lock").write_text(text)
        venv = str(folder / name)
        seconds += timed(["uv", "venv", "-q", "--python", "/usr/bin/python3", venv])
        sync = ["uv", "pip", "sync", "-q", "--require-hashes", "--compile-bytecode"]
        sync += ["--build-constraints", str(folder / "build.lock")]
        sync += ["--python", f"{venv}/bin/python", str(folder / f"{name}.lock")]
        seconds += timed(sync, env=uv)
    print(json.dumps({"virtualenvs": seconds}))


def schemas() -> None:
    """Time every schema from nothing, in databases made for it beside the real ones: {role: s}."""
    result: dict[str, float] = {}
    for made in current():
        role, venv = made["role"], made["venv"]
        commands = [one["command"] for one in made["migrations"]]
        # What is not a service's own tool is wiring (cells), not schema.
        commands = [one for one in commands if re.search(r"\S+-manage\s", one)]
        if not commands:
            continue
        etc = Path(f"/run/floor-{role}")
        shutil.rmtree(etc, ignore_errors=True)
        with contextlib.ExitStack() as undo:
            shutil.copytree(SERVICES / role / "current/etc", etc)
            undo.callback(shutil.rmtree, etc)
            names: set[str] = set()
            for path in etc.rglob("*.conf"):
                text, found = bench_urls(path.read_text())
                path.write_text(text)
                names |= found
            account = pwd.getpwnam(made["user"]["name"])
            for path in [etc, *etc.rglob("*")]:
                os.chown(path, account.pw_uid, account.pw_gid)
            user = database_user(role)
            for name in names:
                timed(["mariadb", "-e", f"CREATE OR REPLACE DATABASE `{name}`"])
                undo.callback(timed, ["mariadb", "-e", f"DROP DATABASE `{name}`"])
                timed(["mariadb", "-e", f"GRANT ALL ON `{name}`.* TO {user}"])
                undo.callback(timed, ["mariadb", "-e", f"REVOKE ALL ON `{name}`.* FROM {user}"])
            result[role] = 0.0
            for command in commands:
                words = command.replace("{etc}", str(etc))
                words = words.replace("{venv}", str(VENVS / venv["name"]))
                result[role] += timed(["runuser", "-u", account.pw_name, "--", *words.split()])
    print(json.dumps(result))


def database_user(role: str) -> str:
    """Return a service's account in the database, as SQL: it may come from one plane only."""
    query = ["--skip-column-names", "--batch", "-e", "SELECT User, Host FROM mysql.user"]
    shown = subprocess.run(["mariadb", *query], capture_output=True, text=True, check=True).stdout
    hosts = dict(line.split("\t") for line in shown.splitlines())
    return f"`{role}`@`{hosts[role]}`"


def bench_urls(text: str) -> tuple[str, set[str]]:
    """Return a configuration with its databases renamed to bench_<name>, and their new names."""
    names = set()

    def rename(match: re.Match[str]) -> str:
        names.add(f"bench_{match.group(2)}")
        return f"{match.group(1)}bench_{match.group(2)}"

    return re.sub(r"(mysql\+pymysql://[^/\s]+/)(\w+)", rename, text), names


def starts() -> None:
    """Time one start of all of this host's services, until systemd calls them started.

    They are stopped first, which a first deployment does not do: that time is not counted.
    """
    units = [
        unit["unit"] for made in current() for unit in made["units"] if unit["state"] == "started"
    ]
    seconds = 0.0
    if units:
        timed(["systemctl", "stop", *units])
        seconds = timed(["systemctl", "start", *units])
    print(json.dumps({"starts": seconds}))
