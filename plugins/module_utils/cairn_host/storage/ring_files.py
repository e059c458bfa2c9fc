"""Rings on a host: read them, compute new ones with swift's own code, and write them.

`read` and `give` need the standard library only; `make` imports the packages of swift's virtualenv,
which has the same Python. `make` writes nothing: builder files travel as text, so that an
interrupted run changes nothing and the controllers' builders stay authoritative.
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
# As in swift-ring-builder: a rebalance that gains less is not worth its traffic.
WORTHWHILE = 1.0
REBALANCED = {"create", "replicas", "add", "place", "weight", "remove"}


# --- reading ----------------------------------------------------------------------------------


def ring_version(path: Path) -> int:
    """The version of a ring file, from its header; 0 if it is damaged."""
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
    """The host's builders (version, content), versions of rings, and partitions on disks."""
    present = {}
    for path in sorted(builders.glob("*.builder")):
        content = path.read_bytes()
        present[path.stem] = {
            "version": rings.builder_version(content),
            "content": wire.encode(content),
        }
    return {
        "builders": present,
        "rings": {
            path.name.removesuffix(".ring.gz"): ring_version(path)
            for path in sorted(ring_folder.glob("*.ring.gz"))
        },
        "disks": {
            path.name: partitions(path) for path in sorted(disks.glob("*")) if path.is_mount()
        },
    }


def partitions(disk: Path) -> dict[str, int]:
    """The number of partitions with data on a disk, by folder (accounts, containers, objects…)."""
    return {
        path.name: sum(1 for entry in path.iterdir() if entry.name.isdigit())
        for path in sorted(disk.iterdir())
        if path.is_dir() and path.name.partition("-")[0] in ("accounts", "containers", "objects")
    }


# --- making rings -----------------------------------------------------------------------------


@dataclass
class Made:
    """A computed ring: sentences, whether it changed, its files, when to continue (UTC)."""

    lines: list[str]
    changed: bool
    version: int
    builder: bytes
    ring: bytes
    due: str


def builder_class(venv: Path | None) -> Any:
    """Swift's RingBuilder, from a virtualenv of the same Python; HostError if it is missing."""
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
            rings.BuilderDevice(dev["id"], device_of(dev), dev["parts"]) for dev in devices(builder)
        ),
        assignments=assignments(builder),
        recent=frozenset(
            partition
            for partition, moved in enumerate(builder._last_part_moves)
            if moved + hours < builder.min_part_hours
        ),
    )


def carry_out(builder: Any, steps: Sequence[rings.Step]) -> None:
    """Apply steps to a builder, without a rebalance."""
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
    """A device's address, which replication uses as well."""
    where = {"ip": device.ip, "port": device.port}
    return where | {f"replication_{key}": value for key, value in where.items()}


def worthwhile(before: Any, after: Any) -> bool:
    """Whether a rebalance without other changes gains enough, or continues a drain."""
    if any(not dev["weight"] and dev["parts"] for dev in devices(before)):
        return True
    balance = before.get_balance() - after.get_balance()
    return bool(balance >= WORTHWHILE or before.dispersion - after.dispersion >= WORTHWHILE)


def rebalanced(ring: rings.Ring, builder: Any, leaving: Sequence[int]) -> tuple[Any, rings.Moves]:
    """A copy of a builder after one rebalance, and its moves; HostError if swift refuses.

    The seed depends on the ring's name and version, so that a plan and its run move the same.
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
    """Bring one ring closer to the wanted one; a list of refusals if that is not allowed.

    `circumstances` are the keyword arguments of `rings.decide`.
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
        lines.append(
            f"more partitions have to move, not before {due} ({after.min_part_hours} h between "
            "moves)"
        )
    saved, ring = save(after)
    if content and not changed:
        saved = content
    return Made(lines, changed, after.version, saved, ring, due)


def drains(builder: Any, holding: Mapping[str, int | None]) -> list[str]:
    """The progress of each device of weight 0, in the ring and on its disk."""
    lines = []
    for dev in devices(builder):
        name = device_of(dev).name
        left = holding.get(name)
        if dev["weight"]:
            continue
        if dev["parts"]:
            lines.append(f"{name} drains: {dev['parts']} partitions still to move")
        elif left:
            lines.append(f"{name} drains: data of {left} partitions still to be handed over")
        elif left == 0:
            lines.append(f"{name} is empty: remove it from swift_disks")
    return lines


def due_time(wanted: rings.Ring, builder: Any, circumstances: Mapping[str, Any]) -> str:
    """When the next increment may follow (UTC); empty if the change is finished."""
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
    """The contents of a builder's file and its ring's file."""
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
    """Compute all rings, each closer to the wanted one; HostError with every refusal.

    `contents`: the existing builder files. `holding`: by ring, the devices' partitions.
    """
    cls = builder_class(venv)
    made, refused = {}, []
    for name in sorted(set(contents) - set(wanted)):
        refused.append(
            f"ring {name}: its policy is no longer in swift_policies; keep a policy that was used, "
            "with deprecated: true"
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


# --- writing ----------------------------------------------------------------------------------


def give(
    builders: Mapping[str, bytes],
    ring_files: Mapping[str, bytes],
    records: Mapping[str, str],
    *,
    builder_folder: Path = BUILDERS,
    ring_folder: Path = RINGS,
) -> list[str]:
    """Write builders and rings, and back up replaced builders; returns the written files.

    HostError, before anything is written, if the host has a newer builder.
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
                f"{rings.builder_version(content)}: it was changed during the run, run again"
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
    """Back up a builder before it is replaced; keeps KEPT_BACKUPS copies."""
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
