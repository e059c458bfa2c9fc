"""Volumes as a user uses them: attached at boot, extended in use, snapshotted, reattached."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from openstack import exceptions

from .connectivity import disk_sizes, fetch
from .finding import Finding, Findings
from .run import DELETE_SECONDS, ProofError, Run, endpoint, explained, user_cloud, wait

SERVICE = "block-storage"
HELD = ("in-use", "attaching", "detaching", "reserved")
EXTEND_VERSION = "3.42"  # extends what is attached


def deployed(cloud: Any) -> bool:
    """Whether the cloud has volumes."""
    return endpoint(cloud, SERVICE) is not None


def available(user: Any, kind: str, one: Any, seconds: float) -> Any:
    """Wait until a volume or snapshot is available; ProofError if it fails instead."""

    def ready() -> bool:
        found = getattr(user.block_storage, f"get_{kind}")(one.id)
        if "error" in found.status:
            raise ProofError(f"{kind} {one.id} went to {found.status}")
        return bool(found.status == "available")

    with explained(f"waiting for a {kind}"):
        return wait(f"{kind} {one.id} available", seconds, ready)


def prepare(admin: Any, run: Run, seconds: float) -> str:
    """Create the instance's volume within `seconds`, if the cloud has volumes."""
    if not deployed(admin):
        return "no volume: the cloud has none"
    user = user_cloud(admin, run)
    began = time.monotonic()
    with explained("making a volume"):
        volume = user.block_storage.create_volume(name=run.name, size=1)
    run.ids["volume"] = volume.id
    available(user, "volume", volume, seconds)
    return f"a volume of 1 GiB after {time.monotonic() - began:.1f} s"


def disks(run: Run) -> dict[str, int] | None:
    """The guest's disks without its first: name to GiB; None while it does not answer."""
    page = fetch(run.floating_ip, "/cgi-bin/disks")
    return None if page is None else disk_sizes(page)


def seen(run: Run, wanted: list[int], seconds: float) -> list[str]:
    """Wait until the guest has disks of these sizes; returns their names, in its order."""

    def there() -> list[str]:
        found = disks(run)
        return list(found) if found and list(found.values()) == wanted else []

    names: list[str] = wait(f"disks of {wanted} GiB in the instance", seconds, there)
    return names


def unseen(run: Run, seconds: float) -> None:
    """Wait until the guest has only its first disk."""
    wait("the instance without its volume", seconds, lambda: disks(run) == {})


def word(run: Run, disk: str, write: str = "") -> str:
    """The text at the start of a disk as the guest reads it, after it has written `write` there."""
    query = urlencode({"name": disk} | ({"word": write} if write else {}))
    page = fetch(run.floating_ip, f"/cgi-bin/disk?{query}")
    if page is None:
        raise ProofError(f"the instance cannot {'write' if write else 'read'} {disk}")
    return page.strip()


def expect(run: Run, disk: str, wanted: str, what: str) -> None:
    """ProofError unless the guest reads `wanted` from a disk."""
    found = word(run, disk)
    if found != wanted:
        raise ProofError(f"{what} holds {found!r}, not {wanted!r}")


def volumes(admin: Any, run: Run, seconds: float) -> list[Finding]:
    """Use the instance's volume; ProofError if a step fails.

    `seconds` limits each request to cinder or nova.
    """
    user = user_cloud(admin, run)
    volume, server, first, second = run.ids["volume"], run.ids["server"], run.nonce, "second"
    found = Findings()
    (disk,) = seen(run, [1], seconds)
    word(run, disk, first)
    expect(run, disk, first, "the volume")
    found.tell("volume in the instance", f"{disk} of 1 GiB takes and gives data")

    with explained("making a snapshot"):
        snapshot = user.block_storage.create_snapshot(
            name=run.name, volume_id=volume, is_forced=True
        )
    available(user, "snapshot", snapshot, seconds)
    word(run, disk, second)
    found.tell("snapshot while attached", f"snapshot {snapshot.id}")

    with explained("extending the volume"):
        answer = user.block_storage.post(
            f"/volumes/{volume}/action",
            json={"os-extend": {"new_size": 2}},
            microversion=EXTEND_VERSION,
        )
        exceptions.raise_from_response(answer)
    seen(run, [2], seconds)
    found.tell("extended while attached", "the instance sees 2 GiB")

    with explained("detaching the volume"):
        user.compute.delete_volume_attachment(server, volume)
    unseen(run, seconds)
    available(user, "volume", user.block_storage.get_volume(volume), seconds)
    with explained("making a volume of the snapshot"):
        copy = user.block_storage.create_volume(name=run.name, size=1, snapshot_id=snapshot.id)
    available(user, "volume", copy, seconds)
    for sizes, one in (([2], volume), ([2, 1], copy.id)):
        with explained("attaching a volume"):
            user.compute.create_volume_attachment(server, volume=one)
        names = seen(run, sizes, seconds)
    expect(run, names[0], second, "the volume that was detached and attached again")
    found.tell("detached and attached again", "its data is there")
    expect(run, names[1], first, "the volume of the snapshot")
    found.tell("volume of the snapshot", "it has the data of then")
    run.times["volumes"] = time.time()
    return found


def forget(admin: Any, project: str) -> list[str]:
    """Remove a project's snapshots and volumes; returns what was removed, in words.

    Its instances have gone before: a volume that still counts as used, because its host was lost
    while it was being detached, is reset to available.
    """
    if not deployed(admin):
        return []
    storage, removed = admin.block_storage, []
    for kind in ("snapshot", "volume"):
        every = getattr(storage, f"{kind}s")
        left = [one for one in every(all_projects=True) if one.project_id == project]
        for one in left:
            if kind == "volume" and one.status in HELD:
                storage.reset_volume_status(one, status="available", attach_status="detached")
            getattr(storage, f"delete_{kind}")(one, force=True)
        for one in left:
            storage.wait_for_delete(one, wait=DELETE_SECONDS)
            removed.append(f"{kind} {one.name}")
    return removed
