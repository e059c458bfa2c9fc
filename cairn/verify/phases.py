"""The phases of verify.yml: each goes on from where the one before it stopped.

A phase takes a connection as the administrator, the path of the state file and the parameters of
the module cairn_verify, which documents them, and returns `lines` for people and `run`, what the
playbook needs of the run. It raises ProofError with what failed; what it has learnt by then is in
the state file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import (
    connectivity,
    evidence,
    meters,
    network,
    objects,
    playbook,
    stack,
    trace,
    volume,
    workers,
)
from . import run as runs
from .run import ProofError, Run
from .state import kept, load, refuse_second, save, write

Params = Mapping[str, Any]
# What removes the parts of a project that is left over; stacks first, for they own some of them.
FIRST = (stack.forget,)
SWEEPERS = (volume.forget, objects.forget, meters.forget)


def work(params: Params) -> dict[str, Any]:
    """Run one phase; returns its result. ProofError if it fails or another run goes on."""
    state = Path(params["state"])
    refuse_second(state)
    admin = runs.admin_cloud(Path(params["config"]), params["cloud"])
    with runs.explained(f"asking cloud {params['cloud']}"):
        return PHASES[params["phase"]](admin, state, params)


def known(params: Params) -> dict[str, Any]:
    """What a failed phase leaves for the playbook: `run`, if there is a state file."""
    state = Path(params["state"])
    return {"run": evidence.public(load(state))} if state.exists() else {}


def done(run: Run, *lines: str) -> dict[str, Any]:
    """The result of a phase."""
    return {"lines": list(lines), "run": evidence.public(run)}


def seen(state: Path, run: Run, prove: Callable[[], list[Any]]) -> dict[str, Any]:
    """The result of a phase that shows what it found, a line each."""
    findings = kept(state, run, prove)
    return done(run, *(f"✓ {one.title}: {one.text}" for one in findings))


def authority(admin: Any) -> str | None:
    """The file with the authority of the cloud's certificates, if its clouds.yaml names one."""
    path: str | None = admin.config.config.get("cacert")
    return path


def prepare(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Remove leftovers, make what an instance needs, wait for the services behind the APIs."""
    left = runs.sweep(admin, SWEEPERS, first=FIRST)
    lines = [f"removed from an earlier run: {', '.join(left)}"] if left else []
    run = runs.new_run()
    run.owner, run.wanted = playbook.owner(), params["services"]
    save(state, run)
    image, external, seconds = Path(params["image"]), params["external"], params["seconds"]
    text = kept(state, run, lambda: runs.prepare(admin, run, image, external))
    reported = kept(state, run, lambda: workers.settle(admin, seconds))
    disk = kept(state, run, lambda: volume.prepare(admin, run, seconds))
    return done(run, *lines, text, *reported, disk)


def boot(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Create the instance."""
    run = load(state)
    return done(run, kept(state, run, lambda: runs.boot(admin, run, params["seconds"])))


def reach_it(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Reach the instance."""
    run = load(state)
    ca_file, seconds = authority(admin), params["seconds"]
    return seen(state, run, lambda: connectivity.reach(admin, run, ca_file, seconds))


def networks(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Give the instance further networks."""
    run = load(state)
    return seen(state, run, lambda: network.networks(admin, run))


def volumes(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Use the instance's volume."""
    run = load(state)
    return seen(state, run, lambda: volume.volumes(admin, run, params["seconds"]))


def store_objects(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Store and read objects."""
    run = load(state)
    dispersion, location = params["dispersion"], params["location"]
    return seen(state, run, lambda: objects.objects(admin, run, dispersion, location))


def create_stack(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Ask for a stack, to be made while other things are proved."""
    run = load(state)
    ca_file, seconds = authority(admin), params["seconds"]
    return done(run, kept(state, run, lambda: stack.create(admin, run, ca_file, seconds)))


def prove_stack(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Wait for the stack, change and delete it."""
    run = load(state)
    ca_file, seconds = authority(admin), params["seconds"]
    return seen(state, run, lambda: stack.stack(admin, run, ca_file, seconds))


def pause(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Pause the instance for a moment."""
    run = load(state)
    return done(run, kept(state, run, lambda: meters.pause(admin, run, params["seconds"])))


def read_meters(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Read meters of what was made."""
    run = load(state)
    heard, event, seconds = params["heard"], params["event"], params["seconds"]
    return seen(state, run, lambda: meters.meters(admin, run, heard, event, seconds))


def follow(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Follow the creation through its steps; ProofError with the table and the reason."""
    run = load(state) if state.exists() else None
    if run is None or "began" not in run.times:
        raise ProofError(params["problem"] or "no instance was asked for")
    hosts, problem = params["hosts"], params["problem"]
    creation = evidence.trace_of(run, hosts)
    outcomes = trace.follow(creation)
    write(Path(params["report"]), evidence.report_of(run, outcomes, problem), 0o644)
    errors = trace.gathered(hosts, "errors")
    lines = [*trace.table(outcomes, run.times["began"]), *trace.complaints(errors)]
    silent = [host for host, answer in hosts.items() if "lines" not in answer]
    if reason := trace.failure(outcomes, creation, errors, silent, problem):
        raise ProofError("\n".join([*lines, "", reason]))
    return done(run, *lines)


def clean(admin: Any, state: Path, params: Params) -> dict[str, Any]:
    """Remove everything, of this run and of earlier ones, and the state file."""
    removed = runs.sweep(admin, SWEEPERS, first=FIRST)
    state.unlink(missing_ok=True)
    return {"lines": [f"removed: {', '.join(removed) or 'nothing was left'}"], "run": {}}


PHASES: dict[str, Callable[[Any, Path, Params], dict[str, Any]]] = {
    "prepare": prepare,
    "boot": boot,
    "reach": reach_it,
    "networks": networks,
    "create_stack": create_stack,
    "volumes": volumes,
    "objects": store_objects,
    "stack": prove_stack,
    "pause": pause,
    "meters": read_meters,
    "trace": follow,
    "clean": clean,
}
