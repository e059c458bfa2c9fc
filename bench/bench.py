"""Measure Cairn in its lab: `bench.py [MEASUREMENT…]`, all without one.

    lab       wall time and memory of the last `make lab`, phase by phase, as it was recorded
    again     site.yml over an unchanged lab
    option    one option of nova changed, and changed back
    instance  from `openstack server create` to ACTIVE and to a ping, as verify.yml last saw it
    many      site.yml over 10, 50 and 100 simulated compute hosts that lack nothing
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

from cairn import archives

from bench import many

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
RESULT = ROOT / "bench/last.json"
LAB = ROOT / "inventories/lab"
FLOOR = "floor"  # name of the lab that the floor is measured in
OPTION = {"nova_config": {"nova.conf": {"api": {"max_limit": 999}}}}
Row = tuple[str, str, str]


class BenchError(Exception):
    """What is missing for a measurement, for the person at the terminal."""


def recorded(name: str, maker: str) -> Any:
    """Return a JSON file that another command left in .cache."""
    path = CACHE / name
    if not path.exists():
        raise BenchError(f"{path.relative_to(ROOT)} is not there: run `{maker}` first")
    return json.loads(path.read_text())


def site(*arguments: str) -> dict[str, Any]:
    """Run site.yml; return wall seconds, changes, restarts and remote calls by host."""
    command = ["ansible-playbook", "-i", str(LAB), "playbooks/site.yml", *arguments]
    begin = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    seconds = time.monotonic() - begin
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
    """Return the phases of the last `make lab`."""
    phases = recorded("phases.json", "make lab")
    return {"phases": phases, "seconds": round(sum(phase["seconds"] for phase in phases), 1)}


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
        told = done.stderr.decode(errors="replace").strip()[-2000:]
        raise BenchError(f"{host}: {command}: {told}")
    return done.stdout


def on_host(lab: str, host: str, call: str) -> dict[str, Any]:
    """Run a call of on_host.py on a host of a lab; return what it prints."""
    script = (ROOT / "bench/on_host.py").read_text() + f"\n\n{call}\n"
    try:
        answer: dict[str, Any] = json.loads(ssh(lab, host, "python3 -", script.encode()))
    except BenchError as error:
        raise BenchError(f"{call.partition('(')[0]}: {error}") from None
    return answer


def lab_command(lab: str, *words: str) -> None:
    """Run a command of the lab, told but not shown."""
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
    return float(on_host(FLOOR, host, call)["virtualenvs"])


def unpack_virtualenvs(host: str, needs: Mapping[str, Any]) -> float:
    """Return the seconds in which a host's virtualenvs are sent as archives and unpacked."""
    begin = time.monotonic()
    for name in needs["venvs"]:
        found = sorted(archives.folder().glob(f"{name}_*.{archives.FORM}.tar.gz"))
        if not found:
            raise BenchError(f"there is no archive of {name}: `make lab` makes it")
        put(host, found[-1].read_bytes(), f"/var/cache/floor/{name}.tar.gz")
    sent = time.monotonic() - begin
    return sent + float(on_host(FLOOR, host, "unpack('/var/cache/floor')")["virtualenvs"])


def measure_floor(
    virtualenvs: Callable[[str, Mapping[str, Any]], float] = unpack_virtualenvs,
) -> dict[str, Any]:
    """Return seconds of bare package installs, virtualenvs, schemas and service starts.

    Schemas and starts run on the deployed machines, installs on fresh ones, for which the others
    are shut down meanwhile: both together are more than one computer's memory. Hosts work side by
    side, as in a deployment. Virtualenvs come from archives, as in a deployment that finds them.
    """
    lab = os.environ.get("CAIRN_LAB") or "lab"
    first, hosts = lab_hosts()

    def each(work: Callable[[str], Any]) -> dict[str, Any]:
        with ThreadPoolExecutor(len(hosts)) as pool:
            return dict(zip(hosts, pool.map(work, hosts), strict=True))

    schemas = on_host(lab, first, "schemas()")
    starts = each(lambda host: on_host(lab, host, "starts()"))
    needs = each(lambda host: on_host(lab, host, "needs()"))
    with contextlib.ExitStack() as undo:
        undo.callback(lab_command, lab, "start", *hosts)
        lab_command(lab, "stop")
        undo.callback(lab_command, FLOOR, "destroy")
        lab_command(FLOOR, "up")
        packages = each(lambda host: on_host(FLOOR, host, f"install({needs[host]['packages']!r})"))
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


def measure_many() -> dict[str, dict[str, float]]:
    """Return the controller's cost of idle hosts, by their number."""
    try:
        return many.measure()
    except RuntimeError as error:
        raise BenchError(str(error)) from error


MEASURES: dict[str, Callable[[], dict[str, Any]]] = {
    "lab": measure_lab,
    "again": measure_again,
    "option": measure_option,
    "instance": measure_instance,
    "many": measure_many,
    "floor": measure_floor,
    "floor-built": measure_floor_built,
}
FLOORS = ("floor", "floor-built")


def rows(result: Mapping[str, Any]) -> list[Row]:
    """Return the table: (what, figure, budget)."""
    table: list[Row] = []
    phases = result.get("lab", {}).get("phases", [])
    for phase in phases:
        figure = f"{phase['seconds']} s, {phase['memory_mb']} MiB"
        table.append((f"make lab: {phase['name']}", figure, ""))
    if phases:
        table.append(("make lab", f"{result['lab']['seconds']} s", ""))
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
    for number, cost in result.get("many", {}).items():
        figure = (
            f"{cost['seconds']} s, {cost['processor_seconds']} s of processor, "
            f"{cost['memory_mb']} MiB"
        )
        table.append((f"{number} idle compute hosts", figure, "≤ 60 s for 100, linear"))
    deployed = [phase["seconds"] for phase in phases if phase["name"] == "site"]
    for name in FLOORS:
        if not (floor := result.get(name)):
            continue
        for part in ("packages", "virtualenvs", "schemas", "starts"):
            table.append((f"{name}: {part}", f"{floor[part]} s", ""))
        table.append((name, f"{floor['seconds']} s", ""))
        if deployed:
            table.append((f"site.yml / {name}", f"{deployed[0] / floor['seconds']:.2f}", "≤ 1.5"))
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
            result[name] = MEASURES[name]()
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
