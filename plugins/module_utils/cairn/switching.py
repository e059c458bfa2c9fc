"""The switch of a service to a staged generation, and the way back.

Standard library only, on the managed host.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import health, hoststate, hostwork, paths

STARTING = ("start-pre", "start", "start-post")
AHEAD = 1800.0  # seconds that switches wait for others which were begun before them
PAUSE = 1.0  # seconds between looks at units that start


def install_links(role: str, manifest: Mapping[str, Any]) -> tuple[set[str], bool]:
    """Put absolute files, the /etc link, units and drop-ins in place.

    Returns the units that got a link or a drop-in of another content, and whether systemd's other
    files changed.
    """
    base = paths.current(role)
    touched: set[str] = set()
    other = False
    for file in manifest["files"]:
        if not file["path"].startswith("/"):
            continue
        place = Path(file["path"])
        if hoststate.sha256_file(place) != file["sha256"]:
            content = (paths.generation(role, manifest["id"]) / file["kept"]).read_bytes()
            hostwork.write_atomic(
                place, content, int(file["mode"], 8), file["owner"], file["group"]
            )
            other |= str(place).startswith("/etc/systemd/")
    if manifest["etc"]:
        etc = paths.etc(role)
        if etc.is_dir() and not etc.is_symlink():
            aside = etc.with_name(f"{etc.name}.before-cairn")
            if aside.exists():
                raise hostwork.HostError(
                    f"{etc} is a folder and {aside} exists: move one of them away"
                )
            etc.rename(aside)
        hostwork.link_atomic(etc, base / "etc")
    for unit in manifest["units"]:
        name = unit["unit"]
        if unit["text"] and hostwork.link_atomic(paths.UNITS / name, base / "units" / name):
            touched.add(name)
        dropin = paths.UNITS / f"{name}.d" / "90-cairn.conf"
        wanted = unit["dropin"]
        found = dropin.read_text() if dropin.exists() else None
        if wanted and found != wanted:
            hostwork.write_atomic(dropin, wanted.encode(), 0o644, "root", "root")
            touched.add(name)
        elif not wanted and found is not None:
            dropin.unlink()
            touched.add(name)
    return touched, other


def remove_leftovers(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """Stop and take away units and files that the new generation no longer has."""
    if not old:
        return []
    removed = []
    kept = {unit["unit"] for unit in new["units"]}
    for unit in old["units"]:
        if unit["unit"] in kept:
            continue
        hostwork.run(["systemctl", "disable", "--now", "--quiet", unit["unit"]])
        if unit["text"]:
            (paths.UNITS / unit["unit"]).unlink(missing_ok=True)
        (paths.UNITS / f"{unit['unit']}.d" / "90-cairn.conf").unlink(missing_ok=True)
        removed.append(f"unit {unit['unit']}")
    files = {file["path"] for file in new["files"]}
    for file in old["files"]:
        if file["path"].startswith("/") and file["path"] not in files:
            hostwork.remove(Path(file["path"]))
            removed.append(f"file {file['path']}")
    return removed


def enable(units: list[Mapping[str, Any]], states: Mapping[str, Mapping[str, str]]) -> None:
    """Make units start at boot, or not; generated ones by their own link, others by systemd.

    `states` are hoststate's of the same units. systemd is asked only where it has something to
    change: each time it reads all units again, once more for every unit that has an init script.
    """
    ask: dict[str, list[str]] = {"enable": [], "disable": []}
    for unit in units:
        name = unit["unit"]
        verb = "enable" if unit["enabled"] else "disable"
        if unit["text"] and "WantedBy=" in unit["text"]:
            target = "timers.target" if name.endswith(".timer") else "multi-user.target"
            wants = paths.UNITS / f"{target}.wants" / name
            if unit["enabled"]:
                hostwork.link_atomic(wants, paths.UNITS / name)
            else:
                wants.unlink(missing_ok=True)
        elif not unit["text"] and states.get(name, {}).get("UnitFileState") != f"{verb}d":
            ask[verb].append(name)
    for verb, names in ask.items():
        if names:
            hostwork.must(["systemctl", verb, "--quiet", *names], f"{verb} units")


def journal(unit: str, lines: int = 25) -> str:
    """The last lines that a unit wrote, for an error message."""
    done = hostwork.run(
        ["journalctl", "--unit", unit, "--lines", str(lines), "--no-pager", "--output=cat"]
    )
    return hostwork.tail(done.stdout, lines)


def wait_healthy(unit: Mapping[str, Any]) -> float:
    """Wait until a started unit serves; seconds it took. HostError with its journal otherwise."""
    started = time.monotonic()
    problem = health.wait(unit["unit"], unit["health"])
    if problem:
        raise hostwork.HostError(
            f"{unit['unit']} is not healthy: {problem}\nlast lines of its journal:\n"
            f"{journal(unit['unit'])}"
        )
    return time.monotonic() - started


@hostwork.refusals()
def apply(role: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Make the host run a generation: links, then only the units whose inputs changed.

    Before a unit is touched, even in its text, it is struck off what is known to run, and comes
    back when it is healthy: whatever ends a switch early, the next one, or the return, has systemd
    read the unit again and starts it.
    Returns restarted, reloaded, stopped, removed and seconds by unit.
    """
    old_ident = hoststate.link_name(paths.current(role))
    old = hoststate.load_manifest(role, old_ident) if old_ident else None
    target = paths.generation(role, manifest["id"])
    running = hoststate.load_running(role)
    if old_ident and old_ident != manifest["id"] and old:
        hostwork.link_atomic(paths.previous(role), paths.generation(role, old_ident))
        for name in rewritten(old, manifest) & running.keys():
            del running[name]
        save_running(role, running)
    hostwork.link_atomic(paths.current(role), target)
    result: dict[str, Any] = {
        "removed": remove_leftovers(old, manifest) if old_ident != manifest["id"] else [],
        "seconds": {},
        "from": old_ident,
    }
    touched, reload_needed = install_links(role, manifest)
    # A link that is what it was leads to another text now; a switch that was cut off may have
    # written a drop-in that systemd has not read.
    touched |= {
        u["unit"]
        for u in manifest["units"]
        if (u["text"] or u["dropin"]) and u["unit"] not in running
    }
    if reload_needed or result["removed"] or hoststate.loaded_units(sorted(touched)):
        hostwork.must(["systemctl", "daemon-reload"], "daemon-reload")
    states = settled_states([unit["unit"] for unit in manifest["units"]])
    enable(manifest["units"], states)
    plan = {unit["unit"]: deed(unit, running, states) for unit in manifest["units"]}
    busy = [u for u in manifest["units"] if plan[u["unit"]] in ("reload", "restart")]
    for unit in busy:
        running.pop(unit["unit"], None)
    save_running(role, running)
    for verb, key in (("stop", "stopped"), ("reload", "reloaded"), ("restart", "restarted")):
        result[key] = [name for name, wanted in plan.items() if wanted == verb]
        act(verb, result[key])
    with ThreadPoolExecutor(max_workers=max(1, len(busy))) as pool:
        waits = {unit["unit"]: pool.submit(wait_healthy, unit) for unit in busy}
    problems = []
    for unit in manifest["units"]:
        name = unit["unit"]
        if name in waits and (error := waits[name].exception()):
            problems.append(str(error))
            continue
        if name in waits:
            result["seconds"][name] = round(waits[name].result(), 1)
        running[name] = unit["fingerprint"]
    for name in set(running) - set(plan):
        del running[name]
    save_running(role, running)
    if problems:
        raise hostwork.HostError("\n".join(problems))
    return result


def rewritten(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """Return the units whose text or drop-in is not what it was in the generation before."""
    before = {unit["unit"]: (unit["text"], unit["dropin"]) for unit in old["units"]}
    return {
        unit["unit"]
        for unit in new["units"]
        if (unit["text"], unit["dropin"]) != before.get(unit["unit"])
    }


def deed(
    unit: Mapping[str, Any], running: Mapping[str, str], states: Mapping[str, Mapping[str, str]]
) -> str:
    """What is to be done to a unit: restart, reload, stop or nothing (an empty string)."""
    state = states.get(unit["unit"], {}).get("ActiveState")
    if unit["state"] == "stopped":
        return "stop" if state in ("active", "activating", "reloading") else ""
    if unit["state"] == "idle":
        return ""
    if state not in ("active", "reloading"):
        return "restart"
    if running.get(unit["unit"]) == unit["fingerprint"] or unit["on_change"] == "none":
        return ""
    return str(unit["on_change"])


def act(verb: str, names: list[str]) -> None:
    """Stop, reload or restart units at once; HostError with the journals of those that failed."""
    if not names:
        return
    if verb == "restart":
        hostwork.run(["systemctl", "reset-failed", *names])
    done = hostwork.run(["systemctl", verb, *names])
    if not done.returncode:
        return
    states = hoststate.unit_states(names)
    broken = [n for n in names if states.get(n, {}).get("ActiveState") not in ("active",)]
    journals = "\n".join(f"journal of {name}:\n{journal(name)}" for name in broken or names)
    raise hostwork.HostError(f"systemctl {verb} failed: {hostwork.tail(done.stderr)}\n{journals}")


def settled_states(names: list[str], seconds: float = 300) -> dict[str, dict[str, str]]:
    """hoststate's states of units, once none is in the middle of its start; or after so long.

    After a power cut a run may come while a server is still on its way: it is left to arrive. Told
    to end, it might never do so (MariaDB, while it recovers).
    """
    deadline = time.monotonic() + seconds
    while True:
        states = hoststate.unit_states(names)
        starting = any(state.get("SubState") in STARTING for state in states.values())
        if not starting or time.monotonic() > deadline:
            return states
        time.sleep(PAUSE)


def save_running(role: str, running: Mapping[str, str]) -> None:
    """Write down with which inputs each unit was last started."""
    content = json.dumps(running, indent=1, sort_keys=True).encode()
    path = paths.running(role)
    if not path.exists() or path.read_bytes() != content:
        hostwork.write_atomic(path, content, 0o644, "root", "root")


def switch(role: str, ident: str) -> dict[str, Any]:
    """Switch a service to a staged generation; on failure go back to the one before and say so."""
    manifest = hoststate.load_manifest(role, ident)
    if manifest is None:
        raise hostwork.HostError(f"{role}: generation {ident} is not staged on this host")
    old_ident = hoststate.link_name(paths.current(role))
    before = hoststate.link_name(paths.previous(role))
    try:
        return apply(role, manifest)
    except hostwork.HostError as error:
        old = hoststate.load_manifest(role, old_ident) if old_ident else None
        if old is None or old_ident == ident:
            raise
        try:
            apply(role, old)
        except hostwork.HostError as second:
            raise hostwork.HostError(
                f"{role}: generation {ident} failed, and so did the return to {old_ident}\n"
                f"{error}\n--- the return:\n{second}"
            ) from None
        if before and before != old_ident:
            hostwork.link_atomic(paths.previous(role), paths.generation(role, before))
        raise hostwork.HostError(
            f"{role}: generation {ident} failed; the service runs {old_ident} again\n{error}"
        ) from None


def switch_ahead(services: Mapping[str, str]) -> None:
    """Switch services, {role: generation}, one after the other; ends at the first that fails.

    Leaves what `switch` returned for `switched_ahead`. The error of one that failed comes again
    when it is switched for good.
    """
    with contextlib.suppress(hostwork.HostError), hostwork.host_lock(AHEAD):
        for role, ident in services.items():
            done = {**switch(role, ident), "generation": ident}
            hostwork.write_atomic(
                paths.ahead(role), json.dumps(done).encode(), 0o600, "root", "root"
            )


def switched_ahead(role: str, ident: str) -> dict[str, Any]:
    """What `switch_ahead` did when it came to this generation, to be told once; else nothing."""
    path = paths.ahead(role)
    try:
        done = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    path.unlink()
    return done if done.pop("generation") == ident else {}
