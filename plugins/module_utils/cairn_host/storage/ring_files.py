"""Rings on a host: reading what is there, making new ones with swift's own code, handing them out.

`read` and `give` need the standard library only; `make` needs the virtualenv of swift, whose
packages it takes in (it was made of the system's own Python). `make` writes nothing: builder files
come and go as text, so that a run that is cut off has changed nothing, and the truth is whatever
controllers hold.
"""

from __future__ import annotations

import copy
import gzip
import importlib
import io
import json
import shutil
import site
import struct
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import errors, files, wire
from ..records import record
from . import rings

BUILDERS = Path("/var/lib/cairn/rings")
RINGS = Path("/var/lib/swift/rings")
DISKS = Path("/srv/node")
KEPT_BACKUPS = 50
# As swift-ring-builder has it: a rebalance that gains less than this much is not worth its traffic.
WORTHWHILE = 1.0
REBALANCED = {"create", "replicas", "add", "place", "weight", "remove"}


# --- what a host has --------------------------------------------------------------------------


def ring_version(path: Path) -> int:
    """The version of a ring file, from its head; 0 for one that is damaged."""
    try:
        with gzip.open(path) as file:
            magic, _ = struct.unpack("!4sH", file.read(6))
            (length,) = struct.unpack("!I", file.read(4))
            head = json.loads(file.read(length))
    except (OSError, EOFError, struct.error, ValueError):
        return 0
    return int(head.get("version") or 0) if magic == b"R1NG" else 0


def read(
    builders: Path = BUILDERS, ring_folder: Path = RINGS, disks: Path = DISKS
) -> dict[str, Any]:
    """What the host has: builders (version, content), versions of rings, partitions on disks."""
    found = {}
    for path in sorted(builders.glob("*.builder")):
        content = path.read_bytes()
        found[path.stem] = {
            "version": rings.builder_version(content),
            "content": wire.encode(content),
        }
    return {
        "builders": found,
        "rings": {
            path.name.removesuffix(".ring.gz"): ring_version(path)
            for path in sorted(ring_folder.glob("*.ring.gz"))
        },
        "disks": {
            path.name: partitions(path) for path in sorted(disks.glob("*")) if path.is_mount()
        },
    }


def partitions(disk: Path) -> dict[str, int]:
    """How many partitions a disk has data of, by folder (accounts, containers, objects…)."""
    return {
        path.name: sum(1 for entry in path.iterdir() if entry.name.isdigit())
        for path in sorted(disk.iterdir())
        if path.is_dir() and path.name.partition("-")[0] in ("accounts", "containers", "objects")
    }


# --- making rings -----------------------------------------------------------------------------


@dataclass
class Made:
    """What became of one ring: sentences, whether it changed, its files, when to go on (UTC)."""

    lines: list[str]
    changed: bool
    version: int
    builder: bytes
    ring: bytes
    due: str


def builder_class(venv: Path | None) -> Any:
    """Swift's RingBuilder, from a virtualenv of the same Python; HostError without it."""
    if venv:
        for folder in sorted(venv.glob("lib/python3*/site-packages")):
            site.addsitedir(str(folder))
    try:
        return importlib.import_module("swift.common.ring.builder").RingBuilder
    except ImportError as error:
        raise errors.HostError(f"swift's code is not in {venv}: {error}") from None


def device_of(dev: Mapping[str, Any]) -> rings.Device:
    """A builder's device; its host's name is kept in `meta`."""
    return rings.Device(
        host=dev.get("meta") or dev["ip"],
        disk=dev["device"],
        region=dev["region"],
        zone=dev["zone"],
        ip=dev["ip"],
        port=dev["port"],
        weight=float(dev["weight"]),
    )


def devices(builder: Any) -> Iterator[dict[str, Any]]:
    """A builder's devices; its list has holes where devices were removed."""
    return (dev for dev in builder.devs if dev)


def assignments(builder: Any) -> list[list[int]]:
    """For each replica the device id of every partition; empty before the first rebalance."""
    return [list(replica) for replica in builder._replica2part2dev or []]


def describe(name: str, builder: Any) -> rings.Builder:
    """A builder as plain data, for decisions."""
    hours = int(time.time() - builder._last_part_moves_epoch) // 3600
    return rings.Builder(
        name=name,
        part_power=builder.part_power,
        replicas=builder.replicas,
        min_part_hours=builder.min_part_hours,
        devices=tuple(
            rings.Held(dev["id"], device_of(dev), dev["parts"]) for dev in devices(builder)
        ),
        assignments=assignments(builder),
        recent=frozenset(
            partition
            for partition, moved in enumerate(builder._last_part_moves)
            if moved + hours < builder.min_part_hours
        ),
    )


def carry_out(builder: Any, steps: Sequence[rings.Step]) -> None:
    """Change a builder, step by step, without moving anything yet."""
    for step in steps:
        device = step.device
        if step.verb == "replicas":
            builder.set_replicas(step.value)
            builder.version += 1
        elif step.verb == "hours":
            builder.change_min_part_hours(int(step.value))
            builder.version += 1
        elif step.verb == "remove":
            builder.remove_dev(step.ident)
        elif step.verb == "weight":
            builder.set_dev_weight(step.ident, step.value)
        elif step.verb == "place" and device:
            builder.set_dev_region(step.ident, device.region)
            builder.set_dev_zone(step.ident, device.zone)
        elif step.verb == "address" and device:
            builder.devs[step.ident].update(address(device))
            builder.version += 1
        elif step.verb == "add" and device:
            builder.add_dev(
                {
                    **address(device),
                    "region": device.region,
                    "zone": device.zone,
                    "device": device.disk,
                    "weight": step.value,
                    "meta": device.host,
                }
            )


def address(device: rings.Device) -> dict[str, Any]:
    """Where a device is reached; replication takes the same way."""
    where = {"ip": device.ip, "port": device.port}
    return where | {f"replication_{key}": value for key, value in where.items()}


def worthwhile(before: Any, after: Any) -> bool:
    """Whether a rebalance without any other change gains enough, or goes on with a drain."""
    if any(not dev["weight"] and dev["parts"] for dev in devices(before)):
        return True
    balance = before.get_balance() - after.get_balance()
    return bool(balance >= WORTHWHILE or before.dispersion - after.dispersion >= WORTHWHILE)


def rebalanced(ring: rings.Ring, builder: Any, leaving: Sequence[int]) -> tuple[Any, rings.Moves]:
    """A copy of a builder after one rebalance, and what moved; HostError if swift refuses.

    The seed follows from the ring's name and version: a plan and its execution move the same.
    """
    after = copy.deepcopy(builder)
    before = assignments(builder)
    try:
        after.rebalance(seed=f"{ring.name} {builder.version}")
        after.validate()
    except Exception as error:  # swift's errors have no common class but Exception
        raise errors.HostError(f"ring {ring.name}: swift's builder refuses: {error}") from None
    return after, rings.moves(before, assignments(after), leaving, ring.least)


def make_ring(
    cls: Any,
    wanted: rings.Ring,
    content: bytes | None,
    **circumstances: Any,
) -> Made | list[str]:
    """One ring brought nearer to what is wanted; a list of refusals when it may not be.

    `circumstances` are those of `rings.decide`.
    """
    name = wanted.name
    builder = load(cls, content) if content else None
    decision = rings.decide(wanted, describe(name, builder) if builder else None, **circumstances)
    if decision.refusals:
        return decision.refusals
    changed = bool(decision.steps)
    if builder is None:
        builder = cls(wanted.part_power, wanted.replicas, wanted.min_part_hours)
    after = copy.deepcopy(builder)
    carry_out(after, decision.steps)
    lines = [step.text for step in decision.steps]
    verbs = {step.verb for step in decision.steps}
    names = {dev["id"]: device_of(dev).name for dev in devices(after)}
    leaving = [
        step.ident for step in decision.steps if step.verb == "remove" and step.ident is not None
    ]
    if not decision.steps or verbs & REBALANCED:
        first = not builder.ever_rebalanced
        new, found = rebalanced(wanted, after, leaving)
        if decision.steps or (found.moved and worthwhile(after, new)):
            if found.unsafe:
                return [f"ring {name}: {text}" for text in found.unsafe]
            after, changed = new, True
            lines.append(
                f"{found.copies} partition copies placed" if first
                else rings.moves_text(found, names)
            )  # fmt: skip
    lines += drains(after, circumstances.get("holding") or {})
    due = due_time(wanted, after, circumstances)
    if due:
        lines.append(f"more is to move, not before {due} ({after.min_part_hours} h between moves)")
    saved, ring = save(after)
    if content and not changed:
        saved = content
    return Made(lines, changed, after.version, saved, ring, due)


def drains(builder: Any, holding: Mapping[str, int | None]) -> list[str]:
    """How far each device of weight 0 has come: in the ring, and on the disk itself."""
    lines = []
    for dev in devices(builder):
        name = device_of(dev).name
        left = holding.get(name)
        if dev["weight"]:
            continue
        if dev["parts"]:
            lines.append(f"{name} drains: {dev['parts']} partitions still to move")
        elif left:
            lines.append(f"{name} drains: data of {left} partitions still to be handed on")
        elif left == 0:
            lines.append(f"{name} is empty: take it out of swift_disks")
    return lines


def due_time(wanted: rings.Ring, builder: Any, circumstances: Mapping[str, Any]) -> str:
    """When the next increment may follow (UTC); empty if this one has finished the change."""
    later = copy.deepcopy(builder)
    later.pretend_min_part_hours_passed()
    decision = rings.decide(wanted, describe(wanted.name, later), **circumstances)
    if not decision.steps:
        new, found = rebalanced(wanted, later, ())
        if not found.moved or not worthwhile(later, new):
            return ""
    passed = builder._last_part_moves_epoch + builder.min_part_hours * 3600
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(passed))


def load(cls: Any, content: bytes) -> Any:
    """A builder from its file's content."""
    with tempfile.NamedTemporaryFile(suffix=".builder") as file:
        file.write(content)
        file.flush()
        return cls.load(file.name)


def save(builder: Any) -> tuple[bytes, bytes]:
    """A builder's file and its ring's."""
    with tempfile.TemporaryDirectory() as folder:
        saved, ring = Path(folder) / "ring.builder", Path(folder) / "ring.gz"
        builder.save(str(saved))
        builder.get_ring().save(str(ring))
        return saved.read_bytes(), ring.read_bytes()


def make(
    venv: Path | None,
    wanted: Mapping[str, Mapping[str, Any]],
    contents: Mapping[str, bytes],
    *,
    lost: Sequence[str] = (),
    holding: Mapping[str, Mapping[str, int | None]] | None = None,
    share: float = 100,
) -> dict[str, Made]:
    """All rings, each nearer to what is wanted; HostError with every refusal, if there is any.

    `contents`: the builder files that there are. `holding`: by ring, what devices still hold.
    """
    cls = builder_class(venv)
    made, refused = {}, []
    for name in sorted(set(contents) - set(wanted)):
        refused.append(
            f"ring {name}: its policy is no longer in swift_policies; a policy that has been used "
            "stays, with deprecated: true"
        )
    for name, ring in wanted.items():
        done = make_ring(
            cls,
            rings.ring_of(name, ring),
            contents.get(name),
            lost=lost,
            holding=(holding or {}).get(name, {}),
            share=share,
        )
        if isinstance(done, list):
            refused += done
        else:
            made[name] = done
    if refused:
        raise errors.HostError(
            "the rings are refused, nothing was changed:\n  " + "\n  ".join(refused)
        )
    return made


# --- handing them out -------------------------------------------------------------------------


def give(
    builders: Mapping[str, bytes],
    ring_files: Mapping[str, bytes],
    records: Mapping[str, str],
    *,
    builder_folder: Path = BUILDERS,
    ring_folder: Path = RINGS,
) -> list[str]:
    """Have these builders and rings, with a copy of each builder that was there; what was done.

    HostError, before anything is written, when the host has a newer ring or builder.
    """
    fresh_rings, fresh_builders = [], []
    for name, content in ring_files.items():
        path = ring_folder / f"{name}.ring.gz"
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as unpacked:
            same = path.exists() and gzip.decompress(path.read_bytes()) == unpacked.read()
        if not same:
            fresh_rings.append((path, content))
    for name, content in builders.items():
        path = builder_folder / f"{name}.builder"
        there = path.read_bytes() if path.exists() else None
        if there and rings.builder_version(there) > rings.builder_version(content):
            raise errors.HostError(
                f"{path} is of version {rings.builder_version(there)}, newer than "
                f"{rings.builder_version(content)}: somebody changed it meanwhile, run again"
            )
        if there != content:
            fresh_builders.append((path, content))
    done = []
    for path, content in fresh_builders:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        back_up(path)
        files.write_atomic(path, content, 0o600, "root", "root")
        done.append(path.name)
    for path, content in fresh_rings:
        files.write_atomic(path, content, 0o644, "root", "root")
        done.append(path.name)
    for name, value in records.items():
        record(name, value)
    return done


def back_up(path: Path) -> None:
    """Keep a copy of a builder that is about to be replaced, and no more than so many of them."""
    if not path.exists():
        return
    folder = path.parent / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(path.stat().st_mtime))
    version = rings.builder_version(path.read_bytes())
    shutil.copy2(path, folder / f"{path.stem}-{version}-{stamp}.builder")
    kept = sorted(folder.glob(f"{path.stem}-[0-9]*.builder"), key=lambda p: p.stat().st_mtime)
    for old in kept[:-KEPT_BACKUPS]:
        old.unlink()
