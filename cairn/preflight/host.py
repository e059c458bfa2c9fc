"""Checks of one host: its connection, system, memory, disks, clock and package sources."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from . import login
from .finding import ERROR, WARNING, Finding
from .network import check_names, check_network, check_nics, check_peers, check_ports

DEBIAN, PYTHON = "13", (3, 13)
ARCHITECTURES = ("x86_64", "aarch64")
MINIMUM_MEMORY_MB = {"controller": 3000, "network": 700, "compute": 1000, "storage": 700}
# Before the first run; later FREE_DISK_MB, space for another generation.
MINIMUM_DISK_MB = {"controller": 5000, "network": 3000, "compute": 4000, "storage": 2000}
FREE_DISK_MB = 1000
# With a larger offset tokens and certificates are refused; chrony corrects smaller ones by itself.
CLOCK_ERROR, CLOCK_WARNING = 30.0, 2.0


def check_reachable(name: str, host: Mapping[str, Any], groups: Sequence[str]) -> list[Finding]:
    """Ansible reaches the host as root. A run continues without an unreachable compute host."""
    refusal = login.explain(host, str(host.get("login", ""))) if "os" not in host else None
    if refusal:
        return [Finding(ERROR, "login", *refusal, name)]
    reason = _first_line(host)
    if host.get("unreachable"):
        alone = set(groups) == {"compute"}
        return [
            Finding(
                WARNING if alone else ERROR,
                "reachable",
                f"cannot be reached: {reason}",
                "it is left out of this run; run again when it is back"
                if alone
                else f"switch it on, mend the connection, or leave it out: --limit '!{name}'",
                name,
            )
        ]
    if "os" not in host:
        return [
            Finding(
                ERROR,
                "reachable",
                f"was reached but could not be asked: {reason}",
                "Cairn needs root and /usr/bin/python3 on every host",
                name,
            )
        ]
    return []


def check_operator_become(
    given: Mapping[str, Any], groups: Mapping[str, Sequence[str]], root: bool
) -> list[Finding]:
    """`ansible_become` of the command line must not apply to the control node.

    given: the variables of the command line, which override all others. root: whether Ansible
    itself runs as root.
    """
    on, wanted = (
        str(given.get(name, "")).lower() in ("true", "yes", "on", "1")
        for name in ("ansible_become", "operator_become")
    )
    if not on or root or wanted or not groups.get("operator"):
        return []
    return [
        Finding(
            ERROR,
            "operator",
            "ansible_become of the command line applies to the control node as well: "
            "its files would belong to root",
            "set ansible_become in the inventory (group_vars/all) or use --become instead of "
            "-e ansible_become=true; operator_become: true if the files should belong to root",
        )
    ]


def check_operator(
    name: str, address: str, connection: str, problem: str, managed: Collection[str]
) -> list[Finding]:
    """A host of the group operator has its own connection variables.

    address, connection: its ansible_host and ansible_connection ("" if not set); problem: why one
    of them cannot be templated. managed: Cairn's managed hosts.
    """
    remedy = "give the group its own, as inventories/example/group_vars/operator.yml does"
    if problem:
        return [Finding(ERROR, "operator", f"its connection is unknown: {problem}", remedy, name)]
    here = {"localhost", "127.0.0.1", "::1"}
    if {name, address} & here and connection != "local" and name not in managed:
        text = "is the control node, but its ansible_connection is not local"
        return [Finding(ERROR, "operator", text, remedy, name)]
    return []


def _first_line(host: Mapping[str, Any]) -> str:
    return (str(host.get("msg", "")).strip().splitlines() or ["no answer"])[0]


def check_system(name: str, host: Mapping[str, Any]) -> list[Finding]:
    """Debian's version, Python, processor architecture and package database are suitable."""
    found = []
    system = host["os"]
    if (system["id"], system["version"]) != ("debian", DEBIAN):
        found.append(
            Finding(
                ERROR,
                "system",
                f"runs {system['id']} {system['version']}",
                f"install Debian {DEBIAN}",
                name,
            )
        )
    if tuple(map(int, host["python"].split(".")[:2])) < PYTHON:
        minimum = ".".join(map(str, PYTHON))
        found.append(
            Finding(
                ERROR,
                "system",
                f"has Python {host['python']}",
                f"Debian's python3 must be {minimum} or newer",
                name,
            )
        )
    if host["arch"] not in ARCHITECTURES:
        found.append(
            Finding(
                ERROR,
                "system",
                f"is an {host['arch']} machine",
                "use an x86_64 (amd64) machine; aarch64 (arm64) is accepted, but untested",
                name,
            )
        )
    if host.get("dpkg_unfinished"):
        found.append(
            Finding(
                WARNING,
                "system",
                "has an interrupted package run",
                "nothing to do: staging finishes it first",
                name,
            )
        )
    return found


def check_memory(
    name: str, host: Mapping[str, Any], groups: Sequence[str], least: Mapping[str, int]
) -> list[Finding]:
    """The host has the largest minimum memory of its groups."""
    group = max(groups, key=lambda g: least.get(g, 0))
    minimum = least.get(group, 0)
    if host["memory_mb"] >= minimum:
        return []
    return [
        Finding(
            ERROR,
            "memory",
            f"has {host['memory_mb']} MiB of memory; a {group} host needs {minimum}",
            "add memory, or lower cairn_minimum_memory_mb if it is enough for you",
            name,
        )
    ]


def check_disk(
    name: str, host: Mapping[str, Any], groups: Sequence[str], least: Mapping[str, int]
) -> list[Finding]:
    """The file systems of /opt and /var/lib have space for packages, virtualenvs, generations."""
    group = max(groups, key=lambda g: least.get(g, 0))
    deployed = bool(host.get("services"))
    needed = FREE_DISK_MB if deployed else least.get(group, FREE_DISK_MB)
    mounts = host["filesystems"]
    found = []
    for mount in sorted({_mount_of(path, mounts) for path in ("/opt", "/var/lib")}):
        free = mounts[mount]["free_mb"]
        if free < needed:
            purpose = "this run" if deployed else f"a {group} host's first run"
            found.append(
                Finding(
                    ERROR,
                    "disk",
                    f"has {free} MiB free on {mount}; {purpose} needs {needed}",
                    "free space (apt-get clean; journalctl --vacuum-size=500M; largest folders: "
                    f"du -xh --max-depth=3 {mount} | sort -h | tail) or enlarge it"
                    if deployed
                    else "enlarge it, or lower cairn_minimum_disk_mb if it is enough for you",
                    name,
                )
            )
    return found


def _mount_of(path: str, mounts: Mapping[str, Any]) -> str:
    """The mount point among `mounts` of a path."""
    on = [m for m in mounts if path == m or path.startswith(m.rstrip("/") + "/")]
    return max(on, key=len)


def check_clock(name: str, host: Mapping[str, Any]) -> list[Finding]:
    """The host's clock agrees with the control node's, within the duration of the call."""
    before, after = host["clock"]
    offset = max(before - host["time"], host["time"] - after, 0.0)
    if offset < CLOCK_WARNING:
        return []
    slow = host["time"] < before
    return [
        Finding(
            ERROR if offset >= CLOCK_ERROR else WARNING,
            "time",
            f"is {offset:.0f} s {'behind' if slow else 'ahead of'} the control node",
            "set the clock that is wrong (date --set); chrony keeps it correct from then on",
            name,
        )
    ]


def check_virtualisation(
    name: str, host: Mapping[str, Any], groups: Sequence[str]
) -> list[Finding]:
    """Compute hosts have vmx or svm; otherwise nova uses QEMU's emulation."""
    if "compute" not in groups or host["cpu_flags"] or host["arch"] != "x86_64":
        return []
    return [
        Finding(
            WARNING,
            "virtualisation",
            "has no hardware virtualisation; emulated instances are about ten times slower",
            "enable VT-x or AMD-V in its firmware, if the processor has it",
            name,
        )
    ]


CD = "remove it from /etc/apt/sources.list: a CD cannot be inserted during a run"
FOLDER = "mount or copy the mirror there, or correct /etc/apt/sources.list.d"
SOURCE = "fix the connection, DNS, apt's proxy (Acquire::http::Proxy) or /etc/apt/sources.list.d"
SOURCE_REMEDIES = {"cdrom": CD, "file": FOLDER, "copy": FOLDER, "/etc/apt": "correct that file"}


def check_mirrors(name: str, host: Mapping[str, Any]) -> list[Finding]:
    """apt's package sources answer; only a warning on a deployed host, which may need none."""
    severity = WARNING if host.get("services") else ERROR
    if not host["mirrors"]:
        text, remedy = "has no package source", "add one: /etc/apt/sources.list.d/debian.sources"
        return [Finding(severity, "mirrors", text, remedy, name)]
    return [
        Finding(
            severity,
            "mirrors",
            f"gets no packages from {url}: {why}",
            SOURCE_REMEDIES.get(url.partition(":")[0], SOURCE),
            name,
        )
        for url, why in host["mirrors"].items()
        if why
    ]


def check_index(name: str, host: Mapping[str, Any], packed: bool) -> list[Finding]:
    """A bare host reaches the package index, from which virtualenvs are built.

    packed: whether the control node has archives of virtualenvs for such a host, maybe all of them.
    """
    asked = host.get("index") or {}
    if not asked.get("problem"):
        return []
    return [
        Finding(
            WARNING if packed else ERROR,
            "mirrors",
            f"does not reach the package index {asked['url']}: {asked['problem']}"
            + ("; virtualenvs without an archive cannot be built" if packed else ""),
            "fix the connection, or set cairn_http_proxy or cairn_pypi_index",
            name,
        )
    ]


def check_cloud_init(name: str, host: Mapping[str, Any]) -> list[Finding]:
    """cloud-init does not rewrite /etc/hosts: user-data overrides the setting of the role base."""
    return [
        Finding(
            WARNING if host.get("services") else ERROR,
            "names",
            f"has manage_etc_hosts in {path}: cloud-init would rewrite /etc/hosts at the next "
            "boot, without the names of RabbitMQ's nodes and of the internal API",
            "remove it from the instance's user-data and that file, or disable cloud-init: "
            "touch /etc/cloud/cloud-init.disabled",
            name,
        )
        for path in host.get("cloud_init") or ()
    ]


def check_foreign(name: str, host: Mapping[str, Any], packages: Collection[str]) -> list[Finding]:
    """No folder of /etc with the name of a service belongs to another installation.

    Folders from Debian packages that Cairn itself installs (`packages`) are moved away by the
    switch; they exist after an interrupted first run.
    """
    return [
        Finding(
            ERROR,
            "foreign",
            f"has an /etc/{folder} that is not Cairn's",
            f"if it is another installation's, move it away: mv /etc/{folder} /etc/{folder}.old",
            name,
        )
        for folder, owners in host["folders"].items()
        if not owners or set(owners) - set(packages)
    ]


def check_host(
    name: str,
    host: Mapping[str, Any],
    site: Mapping[str, Any],
    hosts: Mapping[str, Any],
    ports: Iterable[Mapping[str, Any]],
    packages: Collection[str],
    memory: Mapping[str, int],
    disk: Mapping[str, int],
) -> list[Finding]:
    """Every check of one host; for an unreachable host only that finding.

    ports, packages: those of the site's services, from the registry.
    """
    own = site["hosts"][name]
    groups = own["groups"]
    found = check_reachable(name, host, groups)
    if found:
        return found
    mine = [p for p in ports if "all" in p["groups"] or set(groups) & set(p["groups"])]
    return [
        *check_system(name, host),
        *check_memory(name, host, groups, memory),
        *check_disk(name, host, groups, disk),
        *check_clock(name, host),
        *check_network(name, host),
        *check_nics(name, host, own["nics"]),
        *check_virtualisation(name, host, groups),
        *check_names(name, host, site["names"], site["vips"], site.get("public_addresses") or ()),
        *check_cloud_init(name, host),
        *check_mirrors(name, host),
        *check_ports(name, host, own["addresses"], mine, site["vips"].values()),
        *check_foreign(name, host, packages),
        *check_peers(name, host, site, hosts),
    ]
