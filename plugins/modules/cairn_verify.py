#!/usr/bin/python
"""Module: prove a cloud by an instance, one phase at a time."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_verify
short_description: Prove a cloud by creating and reaching an instance
description:
  - Each phase goes on from where the one before it stopped; what it needs for that is in O(state),
    a file that only its owner can read.
  - What any run has made and not removed, for example because it was killed, is removed by the
    phases V(prepare) and V(clean).
options:
  phase:
    description:
      - V(prepare) makes a project with a user, image, network and floating IP, and waits until the
        services behind the APIs have reported.
      - V(boot) creates an instance as that user and waits until it is active.
      - V(reach) reaches it over its floating IP and its console.
      - V(networks) has the instance look its own name up, and gives it two further networks, in
        which the agent of its host must answer for metadata.
      - V(volumes) uses the volume that it was created with, if the cloud has volumes.
      - V(objects) stores and reads objects by swift's API and by S3's.
      - V(create_stack) asks for a stack with an instance, if the cloud has stacks; V(stack) waits
        until its instance answers, changes and deletes it.
      - V(pause) pauses the instance for a moment, so that there is an event to be heard.
      - V(meters) reads meters of what was made, in gnocchi and as heard on the message queue.
      - V(trace) follows the creation through its 24 steps and fails if one lacks evidence.
      - V(clean) removes everything.
    type: str
    choices:
      - prepare
      - boot
      - reach
      - networks
      - create_stack
      - volumes
      - objects
      - stack
      - pause
      - meters
      - trace
      - clean
    required: true
  config:
    description: The clouds.yaml with the administrator's cloud.
    type: path
    required: true
  cloud:
    description: Its name in O(config).
    type: str
    required: true
  state:
    description: File that holds the run between phases.
    type: path
    required: true
  report:
    description: JSON file for the times and steps, written by V(trace).
    type: path
  image:
    description: Raw disk of the test guest, for V(prepare).
    type: path
  services:
    description:
      - For V(prepare), the types that the catalog should have, each with the role whose service it
        is. What it lacks comes back as C(run.missing).
    type: dict
    default: {}
  external:
    description:
      - Where floating IPs come from, for V(prepare); physical_network, cidr, gateway, allocation
        and keep, the name of the network if it is to stay.
    type: dict
  problem:
    description: For V(trace), what made an earlier phase fail, if one did.
    type: str
    default: ""
  seconds:
    description:
      - How long V(boot) waits for the instance, V(reach) for a ping, V(prepare), V(volumes),
        V(stack) and V(pause) for each change of theirs, V(meters) for them.
    type: int
    default: 300
  heard:
    description: For V(meters), a line that ceilometer's listen.py printed.
    type: str
    default: ""
  event:
    description: For V(meters), a line that it printed with C(--events).
    type: str
    default: ""
  dispersion:
    description: For V(objects), what swift-dispersion-report printed.
    type: str
    default: ""
  location:
    description: For V(objects), the region that S3 requests are signed for.
    type: str
    default: us-east-1
  hosts:
    description: For V(trace), what M(cairn_verify_host) returned, by host.
    type: dict
    default: {}
author: [Cairn]
"""

EXAMPLES = r"""
- name: Create an instance as a user
  cairn_verify:
    phase: boot
    config: /etc/cairn/clouds.yaml
    cloud: cairn
    state: /run/cairn/verify.json
"""

RETURN = r"""
lines:
  description: What happened, for people.
  returned: always
  type: list
  elements: str
run:
  description:
    - Ids, host and services of the run, what the catalog lacks (C(missing), in sentences), and
      where its traces are.
  returned: success
  type: dict
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from cairn.verify import meters as verify_meters
    from cairn.verify import network, playbook, steps
    from cairn.verify import objects as verify_objects
    from cairn.verify import reach as verify_reach
    from cairn.verify import run as verify_run
    from cairn.verify import stack as verify_stack
    from cairn.verify import trace as verify_trace
    from cairn.verify import volume as verify_volume
    from cairn.verify import workers as verify_workers
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None

FIRST = () if MISSING else (verify_stack.forget,)
SWEEPERS = () if MISSING else (verify_volume.forget, verify_objects.forget, verify_meters.forget)
SHOWN = ("name", "host", "ids", "services", "floating_ip")


def load(path: Path) -> Any:
    """The run of the state file; ProofError if no run was begun."""
    try:
        return verify_run.Run(**json.loads(path.read_text()))
    except FileNotFoundError:
        raise verify_run.ProofError(f"{path}: no run was prepared") from None


def save(path: Path, run: Any) -> None:
    """Write the state file, for its owner only."""
    write(path, run.as_dict(), 0o600)


def write(path: Path, data: Any, mode: int) -> None:
    """Write JSON at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        json.dump(data, file, indent=1)
    new.replace(path)


def public(run: Any) -> dict[str, Any]:
    """What the playbook needs of a run, and the window of its journal lines; no secret."""
    shown = {key: value for key, value in run.as_dict().items() if key in SHOWN}
    began = run.times.get("began", time.time())
    margin = verify_trace.CLOCK_TOLERANCE
    return shown | {
        "missing": verify_run.missing(run),
        "since": began - margin,
        "until": time.time() + margin,
        "units": list(steps.UNITS),
        "wanted": [*requests_of(run), *filter(None, [run.ids.get("server")])],
        "patterns": [steps.SIGN_INS],
    }


def requests_of(run: Any) -> list[str]:
    """The ids that lines of this creation carry: the client's request id and nova-api's own."""
    return [one for one in (run.request, run.ids.get("request")) if one]


def trace_of(run: Any, hosts: dict[str, Any]) -> verify_trace.Trace:
    """Everything known of the run's creation, from APIs and from hosts."""
    facts = {name: verify_trace.Fact(**fact) for name, fact in run.facts.items()}
    for host, result in hosts.items():
        domain = result.get("domain") or {}
        if domain.get("state") == "running":
            text = (
                f"{domain['name']} is running on {host}: "
                f"{domain['vcpus']} processor, {domain['memory_mb']} MB"
            )
            facts["domain"] = verify_trace.Fact(
                "domain", run.times.get("active", time.time()), text
            )
    return verify_trace.Trace(
        began=run.times["began"],
        accepted=run.times.get("accepted", time.time()),
        ids=run.ids,
        requests=requests_of(run),
        facts=facts,
        lines=verify_trace.gathered(hosts),
        services=frozenset(run.services),
    )


def report_of(run: Any, outcomes: list[verify_trace.Outcome], problem: str) -> dict[str, Any]:
    """The run for `make bench`: seconds from the request for a token, and the steps."""
    began = run.times.get("began", 0.0)
    return {
        "run": run.name,
        "host": run.host,
        "problem": problem,
        "seconds": {
            name: round(when - began, 2) for name, when in run.times.items() if name != "began"
        },
        "steps": [
            {
                "number": one.step.number,
                "title": one.step.title,
                "state": one.state,
                "seconds": round(one.time - began, 2) if one.time else None,
                "where": one.where,
                "evidence": one.text,
            }
            for one in outcomes
        ],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "phase": {
                "type": "str",
                "choices": list(PHASES),
                "required": True,
            },
            "config": {"type": "path", "required": True},
            "cloud": {"type": "str", "required": True},
            "state": {"type": "path", "required": True},
            "report": {"type": "path"},
            "image": {"type": "path"},
            "services": {"type": "dict", "default": {}},
            "external": {"type": "dict"},
            "problem": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 300},
            "heard": {"type": "str", "default": ""},
            "event": {"type": "str", "default": ""},
            "dispersion": {"type": "str", "default": ""},
            "location": {"type": "str", "default": "us-east-1"},
            "hosts": {"type": "dict", "default": {}},
        },
        required_if=[
            ("phase", "prepare", ("image", "external")),
            ("phase", "trace", ("report",)),
        ],
        supports_check_mode=False,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib("openstacksdk"), exception=str(MISSING))
    phase = PHASES[module.params["phase"]]
    state = Path(module.params["state"])
    try:
        refuse_second(state)
        admin = verify_run.admin_cloud(Path(module.params["config"]), module.params["cloud"])
        with verify_run.explained(f"asking cloud {module.params['cloud']}"):
            result = phase(admin, state, module.params)
    except verify_run.ProofError as error:
        run = {"run": public(load(state))} if state.exists() else {}
        module.fail_json(msg=str(error), **run)
    module.exit_json(changed=False, **result)


def prepare(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Remove leftovers, make what an instance needs."""
    left = verify_run.sweep(admin, SWEEPERS, first=FIRST)
    lines = [f"removed from an earlier run: {', '.join(left)}"] if left else []
    run = verify_run.new_run()
    run.owner, run.wanted = playbook.owner(), wanted["services"]
    save(state, run)
    image = Path(wanted["image"])
    text = kept(state, run, lambda: verify_run.prepare(admin, run, image, wanted["external"]))
    workers = kept(state, run, lambda: verify_workers.settle(admin, wanted["seconds"]))
    volume = kept(state, run, lambda: verify_volume.prepare(admin, run, wanted["seconds"]))
    return {"lines": [*lines, text, *workers, volume], "run": public(run)}


def refuse_second(state: Path) -> None:
    """ProofError while another playbook's run goes on, which would lose what it has made."""
    # Not the whole run: an older Cairn may have left one of another shape.
    other = json.loads(state.read_text()).get("owner", "") if state.exists() else ""
    if other != playbook.owner() and playbook.lives(other):
        number = other.partition(".")[0]
        raise verify_run.ProofError(
            f"another run of verify.yml goes on (process {number}): wait for its end, or end it"
        )


def kept(state: Path, run: Any, work: Callable[[], Any]) -> Any:
    """Do a part of the run and keep what it learnt, even if it failed."""
    try:
        return work()
    finally:
        save(state, run)


def seen(state: Path, run: Any, work: Callable[[], list[Any]]) -> dict[str, Any]:
    """Do a part of the run that tells what it found, a line each."""
    findings = kept(state, run, work)
    return {"lines": [f"✓ {one.title}: {one.text}" for one in findings], "run": public(run)}


def boot(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Create the instance."""
    run = load(state)
    text = kept(state, run, lambda: verify_run.boot(admin, run, wanted["seconds"]))
    return {"lines": [text], "run": public(run)}


def reach(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Reach the instance."""
    run = load(state)
    ca_file = admin.config.config.get("cacert")
    return seen(state, run, lambda: verify_reach.reach(admin, run, ca_file, wanted["seconds"]))


def networks(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Give the instance further networks."""
    run = load(state)
    return seen(state, run, lambda: network.networks(admin, run))


def volumes(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Use the instance's volume."""
    run = load(state)
    return seen(state, run, lambda: verify_volume.volumes(admin, run, wanted["seconds"]))


def objects(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Store and read objects."""
    run = load(state)
    dispersion, location = wanted["dispersion"], wanted["location"]
    return seen(state, run, lambda: verify_objects.objects(admin, run, dispersion, location))


def create_stack(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Ask for a stack, to be made while other things are proved."""
    run = load(state)
    ca_file = admin.config.config.get("cacert")
    text = kept(state, run, lambda: verify_stack.create(admin, run, ca_file, wanted["seconds"]))
    return {"lines": [text], "run": public(run)}


def stack(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Wait for the stack, change and delete it."""
    run = load(state)
    ca_file = admin.config.config.get("cacert")
    return seen(state, run, lambda: verify_stack.stack(admin, run, ca_file, wanted["seconds"]))


def pause(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Pause the instance for a moment."""
    run = load(state)
    text = kept(state, run, lambda: verify_meters.pause(admin, run, wanted["seconds"]))
    return {"lines": [text], "run": public(run)}


def meters(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Read meters of what was made."""
    run = load(state)
    heard, event, seconds = wanted["heard"], wanted["event"], wanted["seconds"]
    return seen(state, run, lambda: verify_meters.meters(admin, run, heard, event, seconds))


def trace(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Follow the creation through its steps; ProofError with the table and the reason."""
    run = load(state) if state.exists() else None
    if run is None or "began" not in run.times:
        raise verify_run.ProofError(wanted["problem"] or "no instance was asked for")
    known = trace_of(run, wanted["hosts"])
    outcomes = verify_trace.follow(known)
    write(Path(wanted["report"]), report_of(run, outcomes, wanted["problem"]), 0o644)
    errors = verify_trace.gathered(wanted["hosts"], "errors")
    lines = [*verify_trace.table(outcomes, run.times["began"]), *verify_trace.complaints(errors)]
    silent = [host for host, answer in wanted["hosts"].items() if "lines" not in answer]
    if reason := verify_trace.failure(outcomes, known, errors, silent, wanted["problem"]):
        raise verify_run.ProofError("\n".join([*lines, "", reason]))
    return {"lines": lines, "run": public(run)}


def clean(admin: Any, state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Remove everything."""
    removed = verify_run.sweep(admin, SWEEPERS, first=FIRST)
    state.unlink(missing_ok=True)
    return {"lines": [f"removed: {', '.join(removed) or 'nothing was left'}"], "run": {}}


PHASES = {
    "prepare": prepare,
    "boot": boot,
    "reach": reach,
    "networks": networks,
    "create_stack": create_stack,
    "volumes": volumes,
    "objects": objects,
    "stack": stack,
    "pause": pause,
    "meters": meters,
    "trace": trace,
    "clean": clean,
}

if __name__ == "__main__":
    main()
