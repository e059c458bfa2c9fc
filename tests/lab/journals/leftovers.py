"""Counts what is left on hosts of what was deleted: processes, network namespaces, sessions.

`python3 leftovers.py` on a host prints what is there, as JSON; `problems` holds that against what
the cloud says should be there. Standard library only.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
PROXY = re.compile(rf"^haproxy\x00.*ovn-metadata-proxy/({UUID})\.conf")
GUEST = re.compile(rf"^\S*qemu-system-\S+\x00.*-uuid\x00({UUID})", re.DOTALL)
HELPER = re.compile(r"privsep-helper\x00.*--privsep_context\x00([^\x00]+)", re.DOTALL)
NAMESPACE = re.compile(rf"^ovnmeta-({UUID})$")
VOLUME = re.compile(rf"volume-({UUID})")


def processes() -> list[list[str]]:
    """Unit, owner and command line of each process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = folder.joinpath("cmdline").read_text(errors="replace")
            unit = folder.joinpath("cgroup").read_text().strip().rpartition("/")[2]
            owner = str(folder.stat().st_uid)
        except OSError:
            continue  # it has ended
        if words:
            found.append([unit, owner, words])
    return found


def output(*command: str) -> str:
    """What a command prints; nothing where it is not installed or finds nothing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def state() -> dict[str, Any]:
    """What is on this host."""
    return {
        "processes": processes(),
        "namespaces": [line.split()[0] for line in output("ip", "netns", "list").splitlines()],
        "sessions": output("iscsiadm", "--mode", "session").splitlines(),
    }


def of(state: Mapping[str, Any], pattern: re.Pattern[str]) -> list[str]:
    """What the pattern finds in command lines, of each process that fits."""
    found = (pattern.search(words) for _, _, words in state["processes"])
    return [match[1] for match in found if match]


def problems(host: str, state: Mapping[str, Any], wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """What a host has that it should not have, in sentences.

    `wanted`: `networks` with instances there, `servers` there, and attached `volumes`, by id.
    """
    found = []
    networks, servers = set(wanted["networks"]), set(wanted["servers"])
    proxies, guests = Counter(of(state, PROXY)), Counter(of(state, GUEST))
    spaces = [match[1] for name in state["namespaces"] if (match := NAMESPACE.match(name))]
    for network, count in sorted(proxies.items()):
        if network not in networks:
            found.append(f"{count} x haproxy of network {network}, which has no instance here")
        elif count > 1:
            found.append(f"{count} x haproxy of network {network}: one is enough")
    found += [
        f"namespace ovnmeta-{network}: its network has no instance here"
        for network in spaces
        if network not in networks
    ]
    found += [
        f"network {network} has instances here and no metadata proxy"
        for network in sorted(networks - set(proxies))
    ]
    found += [
        f"{count} x qemu of instance {server}, which nova does not have here"
        for server, count in sorted(guests.items())
        if server not in servers or count > 1
    ]
    for line in state["sessions"]:
        volume = VOLUME.search(line)
        if volume and volume[1] not in wanted["volumes"]:
            found.append(f"iSCSI session to volume {volume[1]}, which is attached to nothing here")
    found += [f"dnsmasq, though OVN answers DHCP: {words}" for words in dnsmasq(state)]
    helpers, services = Counter[tuple[str, str]](), Counter[str]()
    for unit, owner, words in state["processes"]:
        if words.startswith("sudo\0"):
            continue
        if helper := HELPER.search(words):
            helpers[unit, helper[1]] += 1
        elif owner != "0" and not PROXY.search(words):
            # A service may call its processes whatever it likes; its helpers are root's.
            services[unit] += 1
    found += [
        f"{count} x privsep-helper of {unit} for {context}, {services[unit]} processes to ask it"
        for (unit, context), count in sorted(helpers.items())
        if count > services[unit]
    ]
    return [f"{host}: {one}" for one in found]


def dnsmasq(state: Mapping[str, Any]) -> list[str]:
    """Command lines of dnsmasq."""
    return [
        words.replace("\0", " ").strip()
        for _, _, words in state["processes"]
        if Path(words.partition("\0")[0]).name == "dnsmasq"
    ]


if __name__ == "__main__":
    print(json.dumps(state()))
