"""What idle compute hosts cost the control node: site.yml over simulated hosts that lack nothing.

Hosts answer from a record (bench/simulated), so what is measured is all that Ansible and Cairn do
on the control node; a real host adds its one remote call, which hosts make side by side.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache/bench"
SIMULATED = ROOT / "bench/simulated"
OTHERS = {"controller": 3, "network": 2, "storage": 3}
NETWORKS = {
    "management": {
        **{"cidr": "10.64.0.0/22", "mtu": 1500, "gateway": "10.64.0.1", "vip": "10.64.0.10"},
        "range": "10.64.0.11-10.64.3.250",
    },
    "storage": {"cidr": "10.64.4.0/22", "mtu": 9000, "vlan": 20, "range": "10.64.4.11-10.64.7.250"},
    "service": {
        **{"cidr": "10.64.8.0/22", "mtu": 1500, "vlan": 30, "vip": "10.64.8.10"},
        "range": "10.64.8.11-10.64.11.250",
    },
}


def inventory(computes: int) -> dict[str, Any]:
    """An inventory with `computes` compute hosts beside those that every site has."""
    groups: dict[str, Any] = {}
    number = 11
    for group, count in {**OTHERS, "compute": computes}.items():
        hosts = {}
        for index in range(1, count + 1):
            nics = {
                name: {"mac": f"52:54:00:{kind:02x}:{number >> 8:02x}:{number & 255:02x}"}
                for kind, name in enumerate(("mgmt0", "stor0", "serv0"))
            }
            nics["stor0"]["mtu"] = 9000  # type: ignore[assignment]
            hosts[f"{group}{index}"] = {
                "cairn_host_number": number,
                "cairn_nics": nics,
                "cairn_host_planes": {
                    "management": {"interface": "mgmt0"},
                    "storage": {"interface": "stor0"},
                    "service": {"interface": "serv0"},
                },
            }
            number += 1
        groups[group] = {"hosts": hosts}
    variables = {
        "cairn_planes": NETWORKS,
        "ansible_connection": "refusing",
        "cairn_services": [],
        # Of several controllers images in files need a folder that all share.
        "glance_images_shared": True,
    }
    return {"hosts": {"all": {"children": groups}}, "variables": variables}


def prepare(computes: int) -> Path:
    """Write the inventory with its secrets; its folder."""
    folder = FOLDER / f"scale-{computes}"
    made = inventory(computes)
    (folder / "group_vars/all").mkdir(parents=True, exist_ok=True)
    (folder / "hosts.yml").write_text(yaml.safe_dump(made["hosts"]))
    (folder / "group_vars/all/site.yml").write_text(yaml.safe_dump(made["variables"]))
    command = [sys.executable, str(ROOT / "tools/site_secrets.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return folder


def run(folder: Path, *, record: bool, playbook: str = "site.yml") -> dict[str, float]:
    """Run a playbook once; wall seconds, processor seconds and the peak memory of one process."""
    answers = folder.with_name(f"{folder.name}-answers")
    answers.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "ANSIBLE_ACTION_PLUGINS": f"{SIMULATED / 'action'}:{ROOT / 'plugins/action'}",
        "ANSIBLE_CONNECTION_PLUGINS": str(SIMULATED / "connection"),
        "CAIRN_SIMULATED": str(answers),
        **({"CAIRN_SIMULATED_RECORD": "1"} if record else {}),
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", "-i", str(folder), f"playbooks/{playbook}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - start
    folder.with_name(f"{folder.name}.log").write_text(done.stdout + done.stderr)
    if done.returncode:
        raise RuntimeError(f"{playbook} failed over simulated hosts: {folder}.log")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1
        ),
        "memory_mb": round(after.ru_maxrss / 1024),
    }


def measure(sizes: tuple[int, ...] = (10, 100, 300)) -> dict[str, dict[str, float]]:
    """Figures by number of compute hosts, each of a run that finds nothing to do."""
    found = {}
    for computes in sizes:
        folder = prepare(computes)
        run(folder, record=True, playbook="preflight.yml")
        found[str(computes)] = run(folder, record=False)
    return found
