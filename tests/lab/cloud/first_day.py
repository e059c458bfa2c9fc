"""What the commands of docs/first-day.md create: first_day.py VERB CLOUDS_YAML, in the lab.

Verbs: `show` prints it as JSON; `remove` removes all of it, including what a killed test has left.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cairn.verify import run
from tests.lab.cloud.commands import PREFIX


def named(found: Any) -> list[Any]:
    """Those of the resources that the commands have created."""
    return [one for one in found if (one.name or "").startswith(PREFIX)]


def show(admin: Any) -> dict[str, Any]:
    """What is there, by names without PREFIX."""

    def short(one: Any) -> str:
        return str(one.name.removeprefix(PREFIX))

    network = admin.network
    (project,) = named(admin.identity.projects())
    return {
        "mtu": {short(one): one.mtu for one in named(network.networks())},
        "external": [short(one) for one in named(network.networks(is_router_external=True))],
        "flavors": {short(one): one.ram for one in named(admin.compute.flavors())},
        "images": {short(one): one.status for one in named(admin.image.images())},
        "pools": [short(one) for one in named(network.subnet_pools())],
        "users": [short(one) for one in named(admin.identity.users())],
        "instances": admin.compute.get_quota_set(project).instances,
        "ports": [
            port.device_owner
            for router in named(network.routers())
            for port in network.ports(device_id=router.id)
            if port.device_owner.startswith("network:router_")
        ],
        "addresses": [one.floating_ip_address for one in network.ips(project_id=project.id)],
    }


def remove(admin: Any) -> list[str]:
    """Remove everything; what was removed, in words."""
    run.PREFIX = PREFIX
    removed = run.sweep(admin)
    for image in named(admin.image.images()):
        admin.image.delete_image(image)
        removed.append(f"image {image.name}")
    for pool in named(admin.network.subnet_pools()):
        admin.network.delete_subnet_pool(pool)
        removed.append(f"subnet pool {pool.name}")
    return removed


def main(verb: str, clouds: str) -> None:
    """Run the command."""
    admin = run.admin_cloud(Path(clouds), "cairn")
    print(json.dumps({"show": show, "remove": remove}[verb](admin)))


if __name__ == "__main__":
    main(*sys.argv[1:])
