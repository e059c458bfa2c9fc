"""Rings of the object store: the steps from a builder's state to the ring of the inventory.

Pure functions on plain data, used on the control node and on hosts. A ring maps each partition to
the devices of its copies; its builder file is state that only changes incrementally. Changes that
could lose the last copy of a partition are refused here, before a builder is touched.
"""

from __future__ import annotations

import io
import math
import pickle
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PORTS = {"account": 6202, "container": 6201, "object": 6200}
"""Ports of the servers; all object rings use the object server's port."""


@dataclass(frozen=True)
class Device:
    """A disk in a ring; `weight` is its relative share of the partitions."""

    host: str
    disk: str
    region: int
    zone: int
    ip: str
    port: int
    weight: float

    @property
    def name(self) -> str:
        """Its name in inventories and messages: host/disk."""
        return f"{self.host}/{self.disk}"


@dataclass(frozen=True)
class Ring:
    """A ring of the inventory; data is readable from `least` copies of a partition."""

    name: str
    part_power: int
    replicas: float
    min_part_hours: int
    devices: tuple[Device, ...]
    least: int = 1


@dataclass(frozen=True)
class BuilderDevice:
    """A device in a builder: its id and the number of partition copies assigned to it."""

    ident: int
    device: Device
    copies: int


@dataclass(frozen=True)
class Builder:
    """A ring in its builder.

    `assignments` has, for each replica, the device id of every partition; `recent` the partitions
    of which a copy moved within min_part_hours and may still be in transit.
    """

    name: str
    part_power: int
    replicas: float
    min_part_hours: int
    devices: tuple[BuilderDevice, ...]
    assignments: Sequence[Sequence[int]] = ()
    recent: Collection[int] = frozenset()

    def by_name(self) -> dict[str, BuilderDevice]:
        """Its devices by host/disk."""
        return {entry.device.name: entry for entry in self.devices}


@dataclass(frozen=True)
class Step:
    """One change of a builder. `verb` is one of create, replicas, hours, add, address, place,
    weight, remove; `device` is the new or changed device, `ident` the id of an existing one.
    """

    verb: str
    text: str
    device: Device | None = None
    ident: int | None = None
    value: float = 0


@dataclass
class Decision:
    """The steps to change a ring, and all reasons to refuse them."""

    ring: str
    steps: list[Step] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def refuse(self, text: str) -> None:
        """Add a reason to refuse the change."""
        self.refusals.append(f"ring {self.ring}: {text}")


def folder(ring: str) -> str:
    """A disk's folder with a ring's data: accounts, containers, objects, objects-1."""
    kind, _, index = ring.partition("-")
    return f"{kind}s-{index}" if index else f"{kind}s"


def port(ring: str) -> int:
    """The port of a ring's servers."""
    return PORTS[ring.partition("-")[0]]


class BuilderFile(pickle.Unpickler):
    """Reads a builder file: plain data and arrays, without running code that a pickle may name.

    The control node reads files that come from hosts, which it must not trust.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Allow arrays only."""
        if (module, name) in (("array", "array"), ("array", "_array_reconstructor")):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a builder file must not contain {module}.{name}")


def builder_version(content: bytes) -> int:
    """The version of a builder file, which rises with every change. UnpicklingError otherwise."""
    return int(BuilderFile(io.BytesIO(content)).load()["version"])


# --- what the inventory wants -----------------------------------------------------------------


def ring_names(policies: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any] | None]:
    """Every ring's name with its policy; accounts and containers have none."""
    rings: dict[str, Mapping[str, Any] | None] = {"account": None, "container": None}
    for policy in policies:
        rings["object" if policy["index"] == 0 else f"object-{policy['index']}"] = policy
    return rings


def policy_replicas(policy: Mapping[str, Any] | None, default: float) -> float:
    """How many copies (fragments, with erasure coding) a ring has of each partition."""
    if policy is None:
        return default
    if policy.get("type") == "erasure_coding":
        factor = int(policy.get("duplication") or 1)
        return (int(policy["data_fragments"]) + int(policy["parity_fragments"])) * factor
    return float(policy.get("replicas") or default)


def policy_least(policy: Mapping[str, Any] | None, default: float) -> int:
    """How many copies are needed to read data: one, or all fragments minus the parity."""
    if policy is None or policy.get("type") != "erasure_coding":
        return 1
    return int(policy_replicas(policy, default)) - int(policy["parity_fragments"])


def policy_problems(policies: Sequence[Mapping[str, Any]]) -> list[str]:
    """The problems of the inventory's storage policies, as sentences."""
    problems = []
    indices = [policy["index"] for policy in policies]
    names = [str(policy["name"]).lower() for policy in policies]
    problems += [f"two policies have index {i}" for i, n in Counter(indices).items() if n > 1]
    problems += [f"two policies are named {name}" for name, n in Counter(names).items() if n > 1]
    if 0 not in indices:
        problems.append("no policy has index 0, which swift requires")
    defaults = [policy["name"] for policy in policies if policy.get("default")]
    if len(defaults) != 1:
        problems.append(f"exactly one policy must be the default, not {len(defaults)}")
    for policy in policies:
        if policy.get("default") and policy.get("deprecated"):
            problems.append(f"policy {policy['name']} is deprecated and cannot be the default")
        coded = policy.get("type") == "erasure_coding"
        missing = [k for k in ("data_fragments", "parity_fragments") if coded and not policy.get(k)]
        problems += [f"policy {policy['name']} has erasure coding but no {key}" for key in missing]
    return [f"swift_policies: {text}" for text in problems]


def wanted_rings(
    hosts: Mapping[str, Mapping[str, Any]],
    policies: Sequence[Mapping[str, Any]],
    *,
    part_power: int,
    replicas: float,
    min_part_hours: int,
) -> dict[str, dict[str, Any]]:
    """Every ring of the inventory, as plain data; `ring_of` makes a Ring of it.

    `hosts`: host name to `address`, `region`, `zone` and `disks`, each with `name`, and optionally
    `weight` (100) and `holds`: account, container and names of policies (default all).
    """
    rings = {}
    for name, policy in ring_names(policies).items():
        kind = str(policy["name"]) if policy else name
        rings[name] = {
            "part_power": int(part_power),
            "replicas": policy_replicas(policy, replicas),
            "min_part_hours": int(min_part_hours),
            "least": policy_least(policy, replicas),
            "devices": [
                {
                    "host": host,
                    "disk": str(disk["name"]),
                    "region": int(variables["region"]),
                    "zone": int(variables["zone"]),
                    "ip": str(variables["address"]),
                    "port": port(name),
                    "weight": float(100 if disk.get("weight") is None else disk["weight"]),
                }
                for host, variables in hosts.items()
                for disk in variables["disks"]
                if not disk.get("holds") or kind in disk["holds"]
            ],
        }
    return rings


def ring_of(name: str, wanted: Mapping[str, Any]) -> Ring:
    """A Ring from plain data."""
    devices = tuple(Device(**device) for device in wanted["devices"])
    rest = {key: value for key, value in wanted.items() if key != "devices"}
    return Ring(name=name, devices=devices, **rest)


# --- decisions --------------------------------------------------------------------------------


def decide(
    ring: Ring,
    builder: Builder | None,
    *,
    lost: Collection[str] = (),
    holding: Mapping[str, int | None] | None = None,
    share: float = 100,
) -> Decision:
    """The steps from a builder (None if there is none yet) to a ring, or reasons to refuse them.

    `lost`: host/disk, or a host, that is gone for good. `holding`: the number of partitions with
    data on each device (None or absent if unknown). `share`: the percentage of its full weight by
    which a device's weight may change at once.
    """
    decision = Decision(ring.name)
    _check_wanted(ring, decision)
    if builder is None:
        decision.steps.append(
            Step(
                "create",
                f"new: 2^{ring.part_power} partitions, {ring.replicas:g} copies, "
                f"{ring.min_part_hours} h between moves",
            )
        )
        decision.steps += [_adding(device, device.weight) for device in ring.devices]
        return decision
    if builder.part_power != ring.part_power:
        decision.refuse(
            f"has 2^{builder.part_power} partitions, but swift_part_power is {ring.part_power}: "
            "it is fixed for the life of a ring, restore its value"
        )
    _settings(ring, builder, decision)
    there, wanted = builder.by_name(), {device.name: device for device in ring.devices}
    gone = {name for name in there if is_lost(name, lost)}
    for name in sorted(gone & set(wanted)):
        decision.refuse(f"{name} is in swift_lost and in swift_disks: remove it from one of them")
    for name, device in wanted.items():
        if name not in there:
            decision.steps.append(_adding(device, _towards(0, device.weight, share)))
        else:
            decision.steps += _changing(there[name], device, share)
    for name in sorted(set(there) - set(wanted)):
        if name not in gone:
            _leaving(there[name], (holding or {}).get(name), decision)
        text = f"remove {name}" + (", which is lost" if name in gone else "")
        decision.steps.append(Step("remove", text, ident=there[name].ident))
    _check_copies(ring, builder, {there[name].ident for name in gone - set(wanted)}, decision)
    _check_amount(ring, builder, decision)
    return decision


def is_lost(name: str, lost: Collection[str]) -> bool:
    """Whether a device, or its host, is named as lost."""
    return name in lost or name.partition("/")[0] in lost


def _check_wanted(ring: Ring, decision: Decision) -> None:
    doubled = [name for name, n in Counter(d.name for d in ring.devices).items() if n > 1]
    for name in doubled:
        decision.refuse(f"{name} is in swift_disks twice")
    taking = [device for device in ring.devices if device.weight > 0]
    if len(taking) < ring.replicas:
        names = ", ".join(device.name for device in taking) or "none"
        decision.refuse(
            f"{ring.replicas:g} copies need {math.ceil(ring.replicas)} disks of weight above 0, "
            f"and there would be {len(taking)} ({names})"
        )
    if ring.min_part_hours < 1:
        decision.refuse("swift_min_part_hours must be at least 1: copies need time to arrive")


def _settings(ring: Ring, builder: Builder, decision: Decision) -> None:
    if builder.min_part_hours != ring.min_part_hours:
        text = f"{builder.min_part_hours} h between moves become {ring.min_part_hours} h"
        decision.steps.append(Step("hours", text, value=ring.min_part_hours))
    if builder.replicas == ring.replicas:
        return
    if ring.least > 1:
        decision.refuse(
            f"{builder.replicas:g} fragments cannot become {ring.replicas:g}: existing data cannot "
            "be re-encoded; create another policy"
        )
    elif ring.replicas < builder.replicas and (
        ring.replicas < 2 or builder.replicas - ring.replicas > 1
    ):
        decision.refuse(
            f"{builder.replicas:g} copies cannot become {ring.replicas:g}: one less at a time, "
            "and never fewer than 2"
        )
    text = f"{builder.replicas:g} copies become {ring.replicas:g}"
    decision.steps.append(Step("replicas", text, value=ring.replicas))


def _adding(device: Device, weight: float) -> Step:
    text = f"add {device.name} (region {device.region}, zone {device.zone}, weight {weight:g}"
    text += f" of {device.weight:g})" if weight != device.weight else ")"
    return Step("add", text, device=device, value=weight)


def _towards(now: float, target: float, share: float) -> float:
    """The weight after one change of at most `share` percent of the larger weight."""
    most = max(now, target) * share / 100
    return target if abs(target - now) <= most else now + math.copysign(most, target - now)


def _changing(entry: BuilderDevice, device: Device, share: float) -> list[Step]:
    steps, now = [], entry.device
    if (now.ip, now.port) != (device.ip, device.port):
        text = f"{now.name} is at {device.ip}:{device.port}, no longer at {now.ip}:{now.port}"
        steps.append(Step("address", text, device=device, ident=entry.ident))
    if (now.region, now.zone) != (device.region, device.zone):
        text = (
            f"{now.name} from region {now.region} zone {now.zone} "
            f"to region {device.region} zone {device.zone}"
        )
        steps.append(Step("place", text, device=device, ident=entry.ident))
    weight = _towards(now.weight, device.weight, share)
    if weight != now.weight:
        text = f"weight of {now.name} from {now.weight:g} to {weight:g}"
        text += f" on its way to {device.weight:g}" if weight != device.weight else ""
        text += ", to be drained" if device.weight == 0 else ""
        steps.append(Step("weight", text, device=device, ident=entry.ident, value=weight))
    return steps


def _leaving(entry: BuilderDevice, partitions: int | None, decision: Decision) -> None:
    """Refuse to remove a device that has partitions in the ring or data on its disk."""
    name = entry.device.name
    remedy = f"if the disk is gone for good, put {name} into swift_lost"
    if entry.copies:
        decision.refuse(
            f"{name} still has {entry.copies} partitions: put it back into swift_disks with "
            f"weight 0 and remove it when it is empty; {remedy}"
        )
    elif partitions is None:
        decision.refuse(
            f"it is unknown whether {name} is empty: its host is not in the inventory or its "
            f"disk is not mounted; {remedy}"
        )
    elif partitions:
        decision.refuse(
            f"{name} still has data of {partitions} partitions that it has not handed over: wait "
            f"for the replicators (playbooks/swift-rings.yml --check shows it); {remedy}"
        )


def _check_copies(
    ring: Ring, builder: Builder, leaving: Collection[int], decision: Decision
) -> None:
    """Refuse to lose the last copy of a partition; copies in transit do not count.

    With erasure coding that is the last fragment needed to read the data.
    """
    if not leaving:
        return
    bare = 0
    for partition, holders in enumerate(rows(builder.assignments)):
        staying = sum(holder not in leaving for holder in holders)
        on_its_way = partition in builder.recent
        if staying < len(holders) and staying - on_its_way < ring.least:
            bare += 1
    if bare:
        names = sorted(h.device.name for h in builder.devices if h.ident in leaving)
        decision.refuse(
            f"{bare} partitions would lose their last reliable copy with {', '.join(names)}: "
            "reconnect one of these disks, or wait until the moves of the last hours have ended"
        )


def _check_amount(ring: Ring, builder: Builder, decision: Decision) -> None:
    """Refuse to remove more than the weight of one copy at once."""
    weights = {entry.ident: entry.device.weight for entry in builder.devices}
    losing = {
        step.ident: weights[step.ident] - (step.value if step.verb == "weight" else 0)
        for step in decision.steps
        if step.verb in ("weight", "remove") and step.ident is not None
    }
    losing = {ident: weight for ident, weight in losing.items() if weight > 0}
    most = sum(weights.values()) / builder.replicas
    if len(losing) > 1 and sum(losing.values()) > most * (1 + 1e-9):
        names = sorted(h.device.name for h in builder.devices if h.ident in losing)
        decision.refuse(
            f"{', '.join(names)} would give up {sum(losing.values()):g} of "
            f"{sum(weights.values()):g} in weight at once; the limit is {most:g}, the weight of "
            "one copy: remove fewer disks at a time"
        )


# --- what a rebalance did ---------------------------------------------------------------------


def rows(assignments: Sequence[Sequence[int]]) -> list[list[int]]:
    """The devices of each partition; with 2.5 copies the last replica has only half of them."""
    partitions = range(len(assignments[0])) if assignments else range(0)
    return [[replica[p] for replica in assignments if p < len(replica)] for p in partitions]


@dataclass(frozen=True)
class Moves:
    """Which copies a rebalance moves: how many of how many, and each device's balance."""

    moved: int
    copies: int
    by_device: Mapping[int, int]
    unsafe: tuple[str, ...]


def moves(
    before: Sequence[Sequence[int]],
    after: Sequence[Sequence[int]],
    leaving: Collection[int] = (),
    least: int = 1,
) -> Moves:
    """Compare two assignments; `unsafe` says if more than one reliable copy moves at once.

    Of each partition one copy may move, and every copy on a device that leaves; `least` copies must
    stay if there were more.
    """
    balance: Counter[int] = Counter()
    moved = hurt = bare = 0
    grown = max(0, len(after) - len(before))
    old_rows = rows(before)
    for partition, holders in enumerate(rows(after)):
        old = old_rows[partition] if old_rows else []
        come = Counter(holders) - Counter(old)
        gone = Counter(old) - Counter(holders)
        balance.update(come)
        balance.subtract(gone)
        moved += sum(come.values())
        if not old:
            continue
        doomed = sum(holder in leaving for holder in old)
        hurt += sum(come.values()) > max(1, doomed) + grown
        stay = (Counter(old) & Counter(holders)).total()
        bare += len(old) > least and stay < least
    copies = sum(len(replica) for replica in after)
    unsafe = []
    if hurt:
        unsafe.append(f"more than one copy of {hurt} partitions would move at once")
    if bare:
        unsafe.append(f"too few copies of {bare} partitions would stay where they are")
    return Moves(moved, copies, {k: v for k, v in balance.items() if v}, tuple(unsafe))


def moves_text(found: Moves, names: Mapping[int, str]) -> str:
    """A sentence on what moves, with each device's balance, largest first."""
    share = 100 * found.moved / found.copies if found.copies else 0
    text = f"{found.moved} of {found.copies} partition copies move ({share:.1f} %)"
    shown = sorted(found.by_device.items(), key=lambda item: (-item[1], names.get(item[0], "")))
    parts = [f"{names.get(ident, ident)} {count:+d}" for ident, count in shown]
    return text + (f": {', '.join(parts)}" if parts else "")


# --- who has the newest -----------------------------------------------------------------------


def newest(known: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Ring name to the host with its newest builder; `known` maps hosts to their rings' state."""
    best: dict[str, tuple[int, str]] = {}
    for host, state in known.items():
        for name, builder in state.get("builders", {}).items():
            if name not in best or builder["version"] > best[name][0]:
                best[name] = (builder["version"], host)
    return {name: host for name, (_, host) in best.items()}


def stranded(known: Mapping[str, Mapping[str, Any]], versions: Mapping[str, int]) -> list[str]:
    """Sentences on rings in use that are newer than their newest builder, or have none.

    Such a ring must not be created again: its data would be looked up on the wrong devices.
    """
    rings: dict[str, tuple[int, str]] = {}
    for host, state in known.items():
        for name, version in state.get("rings", {}).items():
            if version > versions.get(name, 0):
                rings[name] = max(rings.get(name, (0, "")), (version, host))
    return [
        f"{host} has ring {name} of version {version}, and "
        + (
            f"the newest builder is of version {versions[name]}"
            if name in versions
            else "no controller has its builder"
        )
        for name, (version, host) in sorted(rings.items())
    ]


def holding(
    known: Mapping[str, Mapping[str, Any]], names: Iterable[str]
) -> dict[str, dict[str, int | None]]:
    """By ring, the number of partitions with data on each mounted disk (host/disk)."""
    return {
        name: {
            f"{host}/{disk}": partitions.get(folder(name), 0)
            for host, state in known.items()
            for disk, partitions in state.get("disks", {}).items()
        }
        for name in names
    }
