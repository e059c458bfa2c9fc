"""Measure Cairn in its lab: `bench.py [MEASUREMENT…]`, all without one.

    lab       wall time and memory of the last `make lab`, phase by phase, as it was recorded; by
              what it found, so that one from nothing and one with caches stand side by side
    again     site.yml over an unchanged lab
    option    one option of nova changed, and changed back
    instance  from `openstack server create` to ACTIVE and to a ping, as verify.yml last saw it
    scale     site.yml over 10, 100 and 300 simulated compute hosts that lack nothing
    floor     the bare commands that no deployment can avoid, in the same kind of machines, with
              archives of the virtualenvs at hand; the deployed lab is shut down meanwhile
    floor-built  the same where virtualenvs have to be made

Prints a table with the budgets of the design and writes `bench/last.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import scale
from cairn.service import venv_cache

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
RESULT = ROOT / "bench/last.json"
LAB = ROOT / "inventories/lab"
FLOOR = "floor"  # name of the lab that the floor is measured in
LAST_PHASE = "verify"  # of `make lab`
KERNELS = {"kernel", "debian-kernel"}  # as the lab's cache names them
OPTION = {"nova_config": {"nova.conf": {"api": {"max_limit": 999}}}}
IDLE_BUDGETS = {"100": "≤ 15 s", "300": "≤ 45 s"}
Row = tuple[str, str, str]


class BenchError(Exception):
    """What is missing for a measurement, for the person at the terminal."""


def lab_name() -> str:
    """Return the lab that is measured."""
    return os.environ.get("CAIRN_LAB") or "lab"


def recorded(name: str, maker: str) -> Any:
    """Return a JSON file that another command left in .cache."""
    path = CACHE / name
    if not path.exists():
        raise BenchError(f"{path.relative_to(ROOT)} is not there: run `{maker}` first")
    return json.loads(path.read_text())


def site(*arguments: str) -> dict[str, Any]:
    """Run site.yml; return wall seconds, changes, restarts and remote calls by host."""
    command = ["ansible-playbook", "-i", str(LAB), "playbooks/site.yml", *arguments]
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    seconds = time.monotonic() - start
    if done.returncode:
        raise BenchError(f"{' '.join(command)} failed: run it by hand")
    return figures(recorded("last-run.json", "make site"), seconds)


def figures(run: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Return what counts of a run's summary (.cache/last-run.json)."""
    hosts = run["hosts"]
    return {
        "seconds": round(seconds, 1),
        "changed": sum(len(host["changed"]) for host in hosts.values()),
        "restarted": {name: host["restarted"] for name, host in hosts.items() if host["restarted"]},
        "remote_calls": {name: host["remote_calls"] for name, host in hosts.items()},
        "plays": run["plays"],
    }


def measure_lab() -> dict[str, Any]:
    """Return the phases of the last `make lab`, under what it found."""
    phases = recorded(f"phases-{lab_name()}.json", "make lab")
    seconds = round(sum(phase["seconds"] for phase in phases), 1)
    return {found(phases): {"phases": phases, "seconds": seconds}}


def found(phases: Sequence[Mapping[str, Any]]) -> str:
    """Return what a `make lab` started from, which its figures depend on."""
    if any(phase["status"] for phase in phases):
        return "failed"
    if not phases or phases[-1]["name"] != LAST_PHASE:
        return "unfinished"
    run = site_phase(phases).get("run")
    if not run:
        return "over an unknown state"
    if not run["bare"]:
        return "over a deployed cloud"
    parts = {part["name"] for phase in phases for part in phase.get("parts", ())}
    made = [bool(parts & KERNELS), "image" in parts, bool(run["built"])]
    if all(made) and not run["unpacked"]:
        return "from nothing"
    return "with some caches" if any(made) else "with caches"


def site_phase(phases: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the phase in which site.yml ran; an empty one where it did not."""
    return next((phase for phase in phases if phase["name"] == "site"), {})


def objection(floor: str, phases: Sequence[Mapping[str, Any]]) -> str:
    """Return why a `make lab` cannot be compared with a floor; empty where it can.

    The floor is what a deployment on bare hosts cannot avoid. Hosts that were not bare had less to
    do, and so had bare ones that took virtualenvs from archives which the floor built.
    """
    phase = site_phase(phases)
    run = phase.get("run")
    if not phase or phase["status"]:
        return "site.yml failed" if phase else "site.yml did not run"
    if not run:
        return "its record does not say what site.yml found"
    if not run["bare"]:
        return f"site.yml found hosts that were not bare, and changed {run['changed']} things"
    if floor == "floor" and run["built"]:
        return f"it built {run['built']} virtualenvs"
    if floor == "floor-built" and (run["unpacked"] or not run["built"]):
        return f"it took {run['unpacked']} virtualenvs from archives"
    return ""


def measure_again() -> dict[str, Any]:
    """Return the figures of a run over an unchanged lab."""
    return site()


def measure_option() -> dict[str, Any]:
    """Return the figures of one changed option; the lab has its own again afterwards."""
    try:
        return site("-e", json.dumps(OPTION))
    finally:
        site()


def measure_instance() -> dict[str, Any]:
    """Return seconds from the request for an instance, as verify.yml saw them."""
    seconds: dict[str, Any] = recorded("verify.json", "make verify")["seconds"]
    return seconds


def ssh(lab: str, host: str, command: str, data: bytes) -> bytes:
    """Run a command on a host of a lab with `data` as its input; return what it prints."""
    words = [sys.executable, "-m", "lab", "--name", lab, "ssh", host, "--", command]
    done = subprocess.run(words, cwd=ROOT, input=data, capture_output=True, check=False)
    if done.returncode:
        error = done.stderr.decode(errors="replace").strip()[-2000:]
        raise BenchError(f"{host}: {command}: {error}")
    return done.stdout


def on_floor(lab: str, host: str, call: str) -> dict[str, Any]:
    """Run a call of floor.py on a host of a lab; return what it prints."""
    script = (ROOT / "bench/floor.py").read_text() + f"\n\n{call}\n"
    try:
        answer: dict[str, Any] = json.loads(ssh(lab, host, "python3 -", script.encode()))
    except BenchError as error:
        raise BenchError(f"{call.partition('(')[0]}: {error}") from None
    return answer


def lab_command(lab: str, *words: str) -> None:
    """Run a command of the lab; show the command but not its output."""
    command = [sys.executable, "-m", "lab", "--name", lab, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command[1:])}: {done.stderr.strip()}")


def slowest(answers: Mapping[str, Mapping[str, float]], name: str) -> float:
    """Return the time of the host that took longest: hosts work at the same time."""
    return max((answer[name] for answer in answers.values()), default=0.0)


def lab_hosts() -> tuple[str, list[str]]:
    """Return the lab's first controller and all its hosts."""
    inventory = subprocess.run(
        ["ansible-inventory", "-i", str(LAB), "--list"], capture_output=True, text=True, check=True
    )
    groups = json.loads(inventory.stdout)
    names = ("controller", "network", "compute", "storage")
    hosts = sorted({host for name in names for host in groups[name]["hosts"]})
    return groups["controller"]["hosts"][0], hosts


def put(host: str, data: bytes, path: str) -> None:
    """Write a program or another file of a host of the floor's lab."""
    command = f"mkdir -p {Path(path).parent} && cat > {path} && chmod 755 {path}"
    ssh(FLOOR, host, command, data)


def build_virtualenvs(host: str, needs: Mapping[str, Any]) -> float:
    """Return the seconds in which uv makes a host's virtualenvs from their locks."""
    release = ROOT / "releases/2026.1"
    mirror = {k: v for k, v in os.environ.items() if k in ("UV_DEFAULT_INDEX", "UV_INDEX")}
    put(host, (Path(sys.executable).parent / "uv").read_bytes(), "/usr/local/bin/uv")
    locks = {name: (release / f"{name}.lock").read_text() for name in needs["locks"]}
    own = (release / "build.lock").read_text()
    call = f"build({locks!r}, {own!r}, {mirror!r})"
    return float(on_floor(FLOOR, host, call)["virtualenvs"])


def unpack_virtualenvs(host: str, needs: Mapping[str, Any]) -> float:
    """Return the seconds in which a host's virtualenvs are sent as archives and unpacked."""
    start = time.monotonic()
    for name in needs["venvs"]:
        found = sorted(venv_cache.folder().glob(f"{name}_*.{venv_cache.FORM}.tar.gz"))
        if not found:
            raise BenchError(f"there is no archive of {name}: `make lab` makes it")
        put(host, found[-1].read_bytes(), f"/var/cache/floor/{name}.tar.gz")
    sent = time.monotonic() - start
    return sent + float(on_floor(FLOOR, host, "unpack('/var/cache/floor')")["virtualenvs"])


def measure_floor(
    virtualenvs: Callable[[str, Mapping[str, Any]], float] = unpack_virtualenvs,
) -> dict[str, Any]:
    """Return seconds of bare package installs, virtualenvs, schemas and service starts.

    Schemas and starts run on the deployed machines, installs on fresh ones, for which the others
    are shut down meanwhile: both together are more than one computer's memory. Hosts work side by
    side, as in a deployment. Virtualenvs come from archives, as in a deployment that finds them.
    """
    lab = lab_name()
    first, hosts = lab_hosts()

    def each(work: Callable[[str], Any]) -> dict[str, Any]:
        with ThreadPoolExecutor(len(hosts)) as pool:
            return dict(zip(hosts, pool.map(work, hosts), strict=True))

    schemas = on_floor(lab, first, "schemas()")
    starts = each(lambda host: on_floor(lab, host, "starts()"))
    needs = each(lambda host: on_floor(lab, host, "needs()"))
    with contextlib.ExitStack() as undo:
        undo.callback(lab_command, lab, "start", *hosts)
        lab_command(lab, "stop")
        undo.callback(lab_command, FLOOR, "destroy")
        lab_command(FLOOR, "up")
        packages = each(lambda host: on_floor(FLOOR, host, f"install({needs[host]['packages']!r})"))
        installs = each(lambda host: virtualenvs(host, needs[host]))
    parts = {
        "packages": slowest(packages, "packages"),
        "virtualenvs": max(installs.values()),
        "schemas": sum(schemas.values()),
        "starts": slowest(starts, "starts"),
    }
    parts = {name: round(seconds, 1) for name, seconds in parts.items()}
    return {**parts, "seconds": round(sum(parts.values()), 1), "by_schema": schemas}


def measure_floor_built() -> dict[str, Any]:
    """Return the floor of a first deployment, for which virtualenvs have to be made."""
    return measure_floor(build_virtualenvs)


def measure_scale() -> dict[str, dict[str, float]]:
    """Return what idle hosts cost the control node, by their number."""
    try:
        return scale.measure()
    except RuntimeError as error:
        raise BenchError(str(error)) from error


MEASURES: dict[str, Callable[[], dict[str, Any]]] = {
    "lab": measure_lab,
    "again": measure_again,
    "option": measure_option,
    "instance": measure_instance,
    "scale": measure_scale,
    "floor": measure_floor,
    "floor-built": measure_floor_built,
}
FLOORS = ("floor", "floor-built")


def lab_rows(start: str, lab: Mapping[str, Any]) -> list[Row]:
    """Return the rows of one `make lab`: its phases, and what was built in them."""
    table: list[Row] = []
    what = f"make lab, {start}"
    for phase in lab["phases"]:
        name = f"{what}: {phase['name']}"
        failed = f", FAILED (exit {phase['status']})" if phase["status"] else ""
        table.append((name, f"{phase['seconds']} s, {phase['memory_mb']} MiB{failed}", ""))
        parts = phase.get("parts", [])
        table += [(f"{name}: {part['name']}", f"{part['seconds']} s", "") for part in parts]
        if parts:
            rest = phase["seconds"] - sum(part["seconds"] for part in parts)
            table.append((f"{name}: the rest", f"{rest:.1f} s", ""))
    failed = "".join(f" until {p['name']} failed" for p in lab["phases"] if p["status"])
    return [*table, (what, f"{lab['seconds']} s{failed}", "")]


def ratio_rows(name: str, floor: Mapping[str, Any], labs: Mapping[str, Any]) -> list[Row]:
    """Return deployments divided by a floor, or why none can be compared with it."""
    objections = {start: objection(name, lab["phases"]) for start, lab in labs.items()}
    table = [
        (
            f"site.yml, {start} / {name}",
            f"{site_phase(labs[start]['phases'])['seconds'] / floor['seconds']:.2f}",
            "≤ 1.5",
        )
        for start, why in objections.items()
        if not why
    ]
    return table or [
        (f"site.yml / {name}", f"not measured by make lab, {start}: {why}", "≤ 1.5")
        for start, why in objections.items()
    ]


def rows(result: Mapping[str, Any]) -> list[Row]:
    """Return the table: (what, figure, budget)."""
    table: list[Row] = []
    labs = result.get("lab", {})
    for start, lab in labs.items():
        table += lab_rows(start, lab)
    for name, what, budget in (
        ("again", "second site.yml", "≤ 60 s, 0 changed, 0 restarts"),
        ("option", "one nova option", "≤ 90 s, nova alone restarts"),
    ):
        if name in result:
            run = result[name]
            restarts = sum(len(units) for units in run["restarted"].values())
            figure = f"{run['seconds']} s, {run['changed']} changed, {restarts} restarts"
            table.append((what, figure, budget))
            units = sorted({unit for units in run["restarted"].values() for unit in units})
            if units:
                table.append((f"{what}: restarted", " ".join(units), ""))
            calls = " ".join(f"{host}={count}" for host, count in run["remote_calls"].items())
            table.append((f"{what}: remote calls", calls, "≤ 15 a compute host, unchanged"))
    for name, seconds in result.get("instance", {}).items():
        table.append((f"server create to {name}", f"{seconds} s", ""))
    for number, cost in result.get("scale", {}).items():
        figure = (
            f"{cost['seconds']} s, {cost['processor_seconds']} s of processor, "
            f"{cost['memory_mb']} MiB"
        )
        budget = IDLE_BUDGETS.get(number, "")
        table.append((f"{number} idle compute hosts", figure, budget))
    for name in FLOORS:
        if not (floor := result.get(name)):
            continue
        for part in ("packages", "virtualenvs", "schemas", "starts"):
            table.append((f"{name}: {part}", f"{floor[part]} s", ""))
        table.append((name, f"{floor['seconds']} s", ""))
        table += ratio_rows(name, floor, labs)
    return table


def show(table: Sequence[Row]) -> str:
    """Return the table as text."""
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    """Run the measurements named, or all; return the exit code."""
    unknown = sorted(set(words) - set(MEASURES))
    if unknown:
        print(f"error: {', '.join(unknown)}: use {', '.join(MEASURES)}", file=sys.stderr)
        return 2
    result = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    failed = False
    for name in words or MEASURES:
        print(f"-- {name}", flush=True)
        try:
            measured = MEASURES[name]()
            if name == "lab":  # one that found other things leaves the figures of those before
                before = result.get(name, {}).items()
                measured = {**{k: v for k, v in before if isinstance(v, dict)}, **measured}
            result[name] = measured
        except BenchError as error:
            print(f"error: {error}", file=sys.stderr)
            result.pop(name, None)
            failed = True
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    table = rows(result)
    print(show([("what", "measured", "budget"), *table]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
