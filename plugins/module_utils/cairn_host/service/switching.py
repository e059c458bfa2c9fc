"""The switch of a service to a staged generation, and the return if it fails.

Runs on the managed host, with the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .. import errors, files, lock, paths, system
from ..probe import generations
from . import health, staging, transition
from .transition import Decision

STARTING = ("start-pre", "start", "start-post")
PAUSE = 1.0  # seconds between looks at units that start


def install(role: str, manifest: Mapping[str, Any], made: Decision) -> bool:
    """Write absolute files, the link in /etc, units, drop-ins and links for the boot.

    Returns whether files below /etc/systemd changed that are neither units nor drop-ins.
    """
    base = paths.current(role)
    reload = False
    for file in manifest["files"]:
        if file["path"] not in made.files:
            continue
        place = Path(file["path"])
        content = (paths.generation(role, manifest["id"]) / file["kept"]).read_bytes()
        files.write_atomic(place, content, int(file["mode"], 8), file["owner"], file["group"])
        reload |= str(place).startswith("/etc/systemd/")
    if made.etc:
        etc = paths.etc(role)
        if etc.is_dir() and not etc.is_symlink():
            aside = etc.with_name(f"{etc.name}.before-cairn")
            if aside.exists():
                raise errors.HostError(
                    f"{etc} is a folder, and {aside} exists: move one of them away"
                )
            etc.rename(aside)
        files.link_atomic(etc, base / "etc")
    for unit in manifest["units"]:
        name = unit["unit"]
        if name in made.unit_links:
            files.link_atomic(paths.UNITS / name, base / "units" / name)
        if name in made.dropins and unit["dropin"]:
            text = unit["dropin"].encode()
            files.write_atomic(generations.dropin(name), text, 0o644, "root", "root")
        elif name in made.dropins:
            generations.dropin(name).unlink(missing_ok=True)
    return reload


def remove_leftovers(made: Decision, old: Mapping[str, Any] | None) -> None:
    """Stop and remove units and files that the new generation no longer has."""
    for unit in (old or {"units": []})["units"]:
        if unit["unit"] not in made.removed_units:
            continue
        system.run(["systemctl", "disable", "--now", "--quiet", unit["unit"]])
        if unit["text"]:
            (paths.UNITS / unit["unit"]).unlink(missing_ok=True)
        generations.dropin(unit["unit"]).unlink(missing_ok=True)
    for path in made.removed_files:
        files.remove(Path(path))


def enable(manifest: Mapping[str, Any], made: Decision) -> None:
    """Enable or disable units at boot: generated units by their own link, others by systemctl.

    systemctl is called only if something changes: each call makes systemd reload all units, once
    more for every unit with an init script.
    """
    for unit in manifest["units"]:
        link = generations.wants(unit)
        if unit["unit"] not in made.wants or link is None:
            continue
        if unit["enabled"]:
            files.link_atomic(link, paths.UNITS / unit["unit"])
        else:
            link.unlink(missing_ok=True)
    for verb, names in (("enable", made.enable), ("disable", made.disable)):
        if names:
            system.must(["systemctl", verb, "--quiet", *names], f"{verb} units")


def journal(unit: str, lines: int = 25) -> str:
    """The last lines of a unit's journal, for an error message."""
    done = system.run(
        ["journalctl", "--unit", unit, "--lines", str(lines), "--no-pager", "--output=cat"]
    )
    return system.tail(done.stdout, lines)


def wait_healthy(unit: Mapping[str, Any]) -> float:
    """Wait until a unit is healthy; returns the seconds. Otherwise HostError with its journal."""
    started = time.monotonic()
    problem = health.wait(unit["unit"], unit["health"])
    if problem:
        raise errors.HostError(
            f"{unit['unit']} is not healthy: {problem}\nlast lines of its journal:\n"
            f"{journal(unit['unit'])}"
        )
    return time.monotonic() - started


@errors.refusals()
def apply(
    role: str, manifest: Mapping[str, Any], back_to: tuple[str | None] | None = None
) -> dict[str, Any]:
    """Put a generation in force: links first, then only the units whose inputs changed.

    `back_to` is set for the return from a failed switch: the target of a rollback before the
    switch, if there was one.
    Before a unit or its file is touched, it is removed from `running.json`; it is added back once
    the unit is healthy. If the switch is interrupted, the next switch, or the return, makes systemd
    reload the unit and restarts it.
    Returns the Decision's report, `from`, `changed`, and the seconds by unit.
    """
    old_ident, old = in_force(role)
    made, seen = decide(role, old, manifest, returning=back_to is not None)
    running = staging.strike(seen.running, made)
    if running != seen.running:
        staging.save_running(role, running)
    staging.repair(role, manifest)
    remove_leftovers(made, old)
    if old_ident != manifest["id"]:
        flip(role, manifest["id"], old_ident if old else None, back_to)
    reload = install(role, manifest, made)
    # An unchanged link may lead to a changed text; an interrupted switch may have written a
    # drop-in that systemd has not read.
    touched = {*made.rewritten, *made.unit_links} | {
        unit["unit"]
        for unit in manifest["units"]
        if (unit["text"] or unit["dropin"])
        and running.get(unit["unit"]) in (None, transition.RESTART)
    }
    if (
        reload
        or made.removed_units
        or made.removed_files
        or generations.loaded_units(sorted(touched))
    ):
        system.must(["systemctl", "daemon-reload"], "daemon-reload")
    enable(manifest, made)
    busy = made.chosen("reload", "restart")
    for name in busy:
        running.pop(name, None)
    staging.save_running(role, running)
    for verb in ("stop", "reload", "restart"):
        act(verb, made.chosen(verb))
    seconds, problems = wait_all([u for u in manifest["units"] if u["unit"] in busy])
    running = {unit["unit"]: unit["fingerprint"] for unit in manifest["units"]}
    staging.save_running(role, {n: value for n, value in running.items() if n not in problems})
    if problems:
        raise errors.HostError("\n".join(problems.values()))
    changed = old_ident != manifest["id"] or made.changes()
    return {**made.report(), "seconds": seconds, "from": old_ident, "changed": changed}


def in_force(role: str) -> tuple[str | None, dict[str, Any] | None]:
    """The generation in force and its manifest; None for what does not exist."""
    ident = generations.link_name(paths.current(role))
    return ident, generations.load_manifest(role, ident) if ident else None


def decide(
    role: str,
    old: Mapping[str, Any] | None,
    manifest: Mapping[str, Any],
    *,
    returning: bool = False,
) -> tuple[Decision, transition.Seen]:
    """What a switch to this generation does, and the state it is based on. Changes nothing."""
    states = settled_states([unit["unit"] for unit in manifest["units"]])
    seen = generations.look(role, old, manifest, states)
    where = generations.places(role)
    return transition.decide(old, manifest, seen, where, returning=returning), seen


def plan(
    role: str, ident: str, manifest: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The result of `switch` in advance, and the differences of files. Changes nothing.

    `manifest` is for a generation that is not staged yet.
    """
    new = generations.load_manifest(role, ident) or manifest or staged(role, ident)
    old_ident, old = in_force(role)
    made, _seen = decide(role, old, new)
    changed = old_ident != ident or made.changes()
    result = {**made.report(), "from": old_ident, "changed": changed}
    return result, staging.show_difference(new, old)


def staged(role: str, ident: str) -> dict[str, Any]:
    """The manifest of a staged generation; HostError if it is not staged."""
    manifest = generations.load_manifest(role, ident)
    if manifest is None:
        raise errors.HostError(f"{role}: generation {ident} is not staged on this host")
    return manifest


def flip(role: str, ident: str, before: str | None, back_to: tuple[str | None] | None) -> None:
    """Set the link `current`, and `previous` to the generation before.

    On the return from a failed switch (`back_to`) `previous` is restored, and never points at the
    generation that failed.
    """
    current, previous = paths.current(role), paths.previous(role)
    if back_to is None and before:
        files.link_atomic(previous, paths.generation(role, before))
    files.link_atomic(current, paths.generation(role, ident))
    if back_to is not None:
        (kept,) = back_to
        if kept and kept != ident:
            files.link_atomic(previous, paths.generation(role, kept))
        else:
            previous.unlink(missing_ok=True)


def wait_all(units: list[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, str]]:
    """Wait for units in parallel; returns the seconds of healthy units and others' problems."""
    seconds, problems = {}, {}
    with ThreadPoolExecutor(max_workers=max(1, len(units))) as pool:
        waits = {unit["unit"]: pool.submit(wait_healthy, unit) for unit in units}
    for name, waited in waits.items():
        if error := waited.exception():
            problems[name] = str(error)
        else:
            seconds[name] = round(waited.result(), 1)
    return seconds, problems


def act(verb: str, names: list[str]) -> None:
    """Stop, reload or restart units together; HostError with the journals of failed units."""
    if not names:
        return
    if verb == "restart":
        system.run(["systemctl", "reset-failed", *names])
    done = system.run(["systemctl", verb, *names])
    if not done.returncode:
        return
    states = generations.unit_states(names)
    broken = [n for n in names if states.get(n, {}).get("ActiveState") not in ("active",)]
    journals = "\n".join(f"journal of {name}:\n{journal(name)}" for name in broken or names)
    raise errors.HostError(f"systemctl {verb} failed: {system.tail(done.stderr)}\n{journals}")


def settled_states(names: list[str], seconds: float = 300) -> dict[str, dict[str, str]]:
    """States of units (see generations) once none of them is starting, or after `seconds`.

    After a power cut a server may still be starting. It is left alone: stopped now, MariaDB might
    hang in its recovery.
    """
    deadline = time.monotonic() + seconds
    while True:
        states = generations.unit_states(names)
        starting = any(state.get("SubState") in STARTING for state in states.values())
        if not starting or time.monotonic() > deadline:
            return states
        time.sleep(PAUSE)


def take_new_name(role: str) -> None:
    """Move a renamed service to its new folder, and link the former name to it."""
    folder, former = paths.SERVICES / role, paths.service(role)
    if former != folder:
        former.rename(folder)
        former.symlink_to(role)


def switch(role: str, ident: str, *, rollback: bool = False) -> dict[str, Any]:
    """Switch a service to a staged generation; on failure return to the previous one.

    A rollback is noted, so that a rollback that failed on other hosts can be repeated without this
    host. A rollback of a rollback is not: it leads to the newer generation.
    """
    manifest = staged(role, ident)
    take_new_name(role)
    old_ident = generations.link_name(paths.current(role))
    before = generations.link_name(paths.previous(role))
    if rollback and old_ident and not generations.is_rolled_back(role):
        # Before the links change: the note counts only if it matches both links.
        note = f"{ident} {old_ident}\n".encode()
        files.write_atomic(paths.rolled_back(role), note, 0o644, "root", "root")
    try:
        return apply(role, manifest)
    except errors.HostError as error:
        old = generations.load_manifest(role, old_ident) if old_ident else None
        if old is None or old_ident == ident:
            raise
        try:
            apply(role, old, (before,))
        except errors.HostError as second:
            raise errors.HostError(
                f"{role}: generation {ident} failed, and the return to {old_ident} failed as "
                f"well\n{error}\n--- the return:\n{second}"
            ) from None
        raise errors.HostError(
            f"{role}: generation {ident} failed; the service runs {old_ident} again\n{error}"
        ) from None


def switch_ahead(services: Mapping[str, str]) -> None:
    """Switch services, {role: generation}, in turn; stops at the first failure.

    Saves the results of `switch` for `switched_ahead`. An error is not saved: it occurs again when
    the service is switched in its turn.
    """
    with contextlib.suppress(errors.HostError), lock.host_lock(background=True):
        for role, ident in services.items():
            result = {**switch(role, ident), "generation": ident}
            text = json.dumps(result).encode()
            files.write_atomic(paths.ahead(role), text, 0o600, "root", "root")


def switched_ahead(role: str, ident: str) -> dict[str, Any]:
    """The saved result of `switch_ahead` for this generation, and remove it; else empty."""
    path = paths.ahead(role)
    try:
        result = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    path.unlink()
    return result if result.pop("generation") == ident else {}
