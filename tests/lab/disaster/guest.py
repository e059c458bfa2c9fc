"""An instance on volumes, made and asked from inside the lab's network: guest.py STATE VERB [WORD].

Verbs: `start` boots an instance from a volume and attaches a second one; `write WORD` writes to
the second and `read` prints its content, both within the time limit of the guest's web server;
`rescue` makes a backup of it, deletes it, restores the backup and attaches that; `stop` removes
everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from cairn.verify import run as verify_run
from cairn.verify import volume as verify_volume

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = ROOT / "inventories" / "lab"
SECONDS = 300


def external() -> dict[str, Any]:
    """Where floating IPs come from."""
    planes = yaml.safe_load((INVENTORY / "group_vars/all/planes.yml").read_text())
    return {"physical_network": "physnet1", **planes["cairn_provider_networks"]["external"]}


def image() -> Path:
    """The test guest's disk."""
    made = subprocess.run(
        [sys.executable, "-m", "guest"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return Path(made.stdout.splitlines()[-1])


def start(admin: Any) -> verify_run.Run:
    """An instance whose root disk is a volume, with a second, empty volume."""
    verify_run.sweep(admin, (verify_volume.forget,))
    run = verify_run.new_run()
    verify_run.prepare(admin, run, image(), external())
    user = verify_run.user_cloud(admin, run)
    root = user.block_storage.create_volume(name=run.name, size=1, image_id=run.ids["image"])
    verify_volume.available(user, "volume", root, SECONDS)
    verify_volume.prepare(admin, run, SECONDS)
    server = user.compute.create_server(
        name=run.name,
        flavor_id=run.ids["flavor"],
        networks=[{"uuid": run.ids["network"]}],
        security_groups=[{"name": run.ids["security_group"]}],
        block_device_mapping=[
            {"uuid": volume, "source_type": "volume", "destination_type": "volume",
             "boot_index": index}
            for index, volume in ((0, root.id), (None, run.ids["volume"]))
        ],
    )  # fmt: skip
    run.ids["server"] = server.id
    user.compute.wait_for_server(server, wait=SECONDS)
    verify_run.attach_floating_ip(user, run)
    verify_run.wait("the guest", SECONDS, lambda: verify_volume.disks(run) == {"vdb": 1})
    return run


def rescue(admin: Any, run: verify_run.Run) -> None:
    """Delete the second volume and restore it from a backup."""
    user = verify_run.user_cloud(admin, run)
    storage, server = user.block_storage, run.ids["server"]
    backup = storage.create_backup(name=run.name, volume_id=run.ids["volume"], force=True)
    try:
        verify_volume.available(user, "backup", backup, SECONDS)
        user.compute.delete_volume_attachment(server, run.ids["volume"])
        verify_volume.unseen(run, SECONDS)
        found = storage.get_volume(run.ids["volume"])
        verify_volume.available(user, "volume", found, SECONDS)
        storage.delete_volume(run.ids["volume"])
        volume = storage.create_volume(name=run.name, size=1)
        verify_volume.available(user, "volume", volume, SECONDS)
        storage.restore_backup(backup, volume=volume)
        run.ids["volume"] = volume.id
        verify_volume.available(user, "volume", volume, SECONDS)
    finally:
        # Only its owner finds its objects: an administrator would look among his own.
        storage.delete_backup(backup)
        storage.wait_for_delete(backup)
    user.compute.create_volume_attachment(server, volume=volume.id)
    verify_volume.seen(run, [1], SECONDS)


def main() -> None:
    """Run the command."""
    state, verb, *words = sys.argv[1:]
    admin = verify_run.admin_cloud(INVENTORY / ".operator" / "clouds.yaml", "cairn")
    if verb == "start":
        Path(state).write_text(json.dumps(start(admin).as_dict()))
        return
    if verb == "stop":
        verify_run.sweep(admin, (verify_volume.forget,))
        return
    run = verify_run.Run(**json.loads(Path(state).read_text()))
    if verb == "rescue":
        rescue(admin, run)
        Path(state).write_text(json.dumps(run.as_dict()))
    else:
        print(verify_volume.word(run, "vdb", *words))


if __name__ == "__main__":
    main()
