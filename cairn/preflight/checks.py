"""Preflight's checks: pure functions from what is known to findings.

Each takes plain data (the inventory's, `cairn_site`, a host's `cairn_host`) and returns a list of
findings, empty when all is well. An error stops the run before anything is touched.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cairn_host.masking import mask_urls
from cairn_host.storage.object_disks import WRONG
from cairn_host.storage.object_disks import judge as judge_disk
from cairn_host.storage.volume_group import Disk
from cairn_host.storage.volume_group import plan as plan_volume_group

from ..site import host_names, lease, proxies
from ..site.peers import judge
from ..site.planes import GROUPS
from ..site.window import Need
from ..suggest import nearest
from . import login

ERROR, WARNING = "error", "warning"
DEBIAN, PYTHON = "13", (3, 13)
ARCHITECTURES = ("x86_64", "aarch64")
REQUIRED_GROUPS = ("controller", "network", "compute")
MINIMUM_MEMORY_MB = {"controller": 3000, "network": 700, "compute": 1000, "storage": 700}
# Before the first run; afterwards FREE_DISK_MB, room for one more generation.
MINIMUM_DISK_MB = {"controller": 5000, "network": 3000, "compute": 4000, "storage": 2000}
FREE_DISK_MB = 1000
# Tokens and certificates are refused from about here; chrony mends less by itself.
CLOCK_ERROR, CLOCK_WARNING = 30.0, 2.0
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104
# How alike (difflib) two names are of which one is taken for the other misspelt.
FOREIGN_VARIABLE_LIKENESS, SLIP_LIKENESS, GROUP_LIKENESS = 0.88, 0.7, 0.8
# Roles whose names begin variables of anybody's.
COMMON_WORDS = ("base", "network", "operator", "service", "trust", "verify")
OPERATOR = "operator"  # the group of the machine that runs Ansible
# Groups that a site may lack, and what it then does without. The cloud itself works without an
# operator, whose machine may not be meant to hold the administrator's password; verify.yml and
# `make openstack`, which need it, fail with the same remedy.
WITHOUT_GROUP = {
    "storage": "nothing that needs such hosts is deployed",
    OPERATOR: "add it as in inventories/example (hosts.yml, group_vars/operator.yml); without it "
    "there is no clouds.yaml, no `make openstack` and no `make verify`",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `host` is empty where it is the site's."""

    severity: str
    check: str
    text: str
    remedy: str
    host: str = ""

    def __post_init__(self) -> None:
        """Nobody's password in a URL is told, whichever check names that URL."""
        object.__setattr__(self, "text", mask_urls(self.text))
        object.__setattr__(self, "remedy", mask_urls(self.remedy))

    def as_dict(self) -> dict[str, str]:
        """As plain data."""
        return asdict(self)


# --- the inventory ---------------------------------------------------------------------------


def check_groups(groups: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Cairn's groups exist and have hosts, controllers have a majority, no group is misspelt.

    Hosts and groups that are not Cairn's (a bastion, switches) are the site's own and left alone.
    """
    found, suggested = [], set()
    for name in (*GROUPS, OPERATOR):
        if groups.get(name):
            continue
        state = "is empty" if name in groups else "does not exist"
        near = None if name in groups else nearest(name, _foreign(groups), GROUP_LIKENESS)
        suggested.add(near)
        found.append(
            Finding(
                ERROR if name in REQUIRED_GROUPS else WARNING,
                "inventory",
                f"group {name} {state}" + (f"; is {near} meant to be it?" if near else ""),
                WITHOUT_GROUP.get(name, f"put at least one host into group {name}"),
            )
        )
    for group in _foreign(groups):
        near = nearest(group, (*GROUPS, OPERATOR), GROUP_LIKENESS)
        lost = [host for host in groups[group] if host not in groups.get(near or "", ())]
        if near and lost and group not in suggested:
            found.append(
                Finding(
                    WARNING,
                    "inventory",
                    f"group {group} is not one of Cairn's, so {', '.join(lost[:5])}"
                    f"{', …' if lost[5:] else ''} will not become {near} hosts",
                    f"correct it to {near} if that was meant",
                )
            )
    controllers = len(groups.get("controller", ()))
    if controllers and controllers % 2 == 0:
        found.append(
            Finding(
                WARNING,
                "inventory",
                f"{controllers} controllers survive no more losses than {controllers - 1} would",
                "use an odd number: databases and queues need a majority",
            )
        )
    return found


def _foreign(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Groups that are the site's own."""
    return [name for name in groups if name not in (*GROUPS, OPERATOR, "all", "ungrouped")]


def check_variables(
    names: Mapping[str, str], known: Collection[str], run: Collection[str], roles: Collection[str]
) -> list[Finding]:
    """Variables that nobody reads and that are, or may be, one of Cairn's misspelt.

    An unknown `cairn_…` is an error, and so is `<role>_…` close to a name of that role. A name of a
    role that is close to none may be the site's own or come from another project's inventory: a
    warning, and nothing where the role is called by a common word (base_domain, network_interface).

    names: each variable of the inventory, with the file it stands in ("" if not known).
    known: names an inventory may set; run: names that a run makes; roles: prefixes.
    """
    found = []
    # What tasks call the role `service` with is not set in an inventory.
    candidates = [name for name in known if not name.startswith("service_")]
    for name, file in sorted(names.items()):
        if name in known or name in run:
            continue
        role = max((r for r in roles if name.startswith(f"{r}_")), key=len, default="")
        where = f" ({file})" if file else ""
        if name.startswith("cairn_"):
            near, ours = nearest(name, candidates), True
        else:
            near = _slip(name, role, candidates) if role else None
            ours = near is not None
        meant = f"; did you mean {near}?" if near else ""
        if ours:
            text = f"variable {name} is unknown{meant}{where}"
            found.append(Finding(ERROR, "variables", text, "correct the name or remove it"))
        elif role and role not in COMMON_WORDS:
            text = f"variable {name} is read by no role of Cairn's{where}"
            remedy = (
                f"leave it if it is your own; ansible-doc -t role {role} lists what the role reads"
            )
            found.append(Finding(WARNING, "variables", text, remedy))
        elif not role and (near := nearest(name, known, FOREIGN_VARIABLE_LIKENESS)):
            text = f"variable {name} looks like {near} misspelt{where}"
            found.append(Finding(WARNING, "variables", text, "correct it if it was meant so"))
    return found


def _slip(name: str, role: str, known: Collection[str]) -> str | None:
    """The variable of a role that a name was probably meant to be, judged by what follows it."""
    prefix = f"{role}_"
    names = [k.removeprefix(prefix) for k in known if k.startswith(prefix)]
    match = nearest(name.removeprefix(prefix), names, SLIP_LIKENESS)
    return prefix + match if match else None


def check_variable_files(
    files: Iterable[tuple[str, str, str]], groups: Collection[str], hosts: Collection[str]
) -> list[Finding]:
    """Every file of group_vars and host_vars is some group's or host's; else nobody reads it.

    A host may be out of the inventory for a while and leave its file behind; a group is not.
    files: kind (group or host), name and path, as `sources.variable_files` finds them.
    """
    found = []
    for kind, name, path in files:
        known = groups if kind == "group" else hosts
        if name not in known:
            near = nearest(name, known)
            meant = f"; did you mean {near}?" if near else ""
            found.append(
                Finding(
                    ERROR if kind == "group" else WARNING,
                    "variables",
                    f"{path} is read by nobody: there is no {kind} {name}{meant}",
                    "correct its name or remove it",
                )
            )
    return found


def check_shadowed_files(files: Iterable[tuple[str, str]]) -> list[Finding]:
    """No file lies beside a folder of its name, where Ansible does not read it.

    files: each such file, and what is read instead, as `sources.shadowed_files` finds them.
    """
    return [
        Finding(
            ERROR,
            "variables",
            f"{path} is read by nobody: Ansible reads {instead} instead",
            f"move it into {instead}" if "." not in instead.rpartition("/")[2] else "join the two",
        )
        for path, instead in files
    ]


def check_secrets(
    missing: Sequence[str],
    encrypted: bool | None,
    inventory: str,
    wrong: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Every secret is there, and in an encrypted file (`encrypted` is None without a file).

    wrong: what is the matter with a secret's value, by name; see `secrets.problems`.
    """
    edit = f"make edit-secrets INVENTORY={inventory}"
    found = [
        Finding(
            ERROR,
            "secrets",
            f"cairn_secrets.{name}: {why}",
            f"put it in quotes: {edit}"
            if why.startswith("YAML reads")
            else f"choose another value, or write it as said: {edit}",
        )
        for name, why in sorted((wrong or {}).items())
    ]
    if missing:
        some = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if missing[5:] else "")
        found.append(
            Finding(
                ERROR,
                "secrets",
                f"cairn_secrets lacks {some}",
                f"make secrets INVENTORY={inventory}",
            )
        )
    if encrypted is False:
        found.append(
            Finding(
                ERROR,
                "secrets",
                "group_vars/all/secrets.yml is not encrypted",
                f"ansible-vault encrypt {inventory}/group_vars/all/secrets.yml",
            )
        )
    return found


def check_host_names(
    hosts: Iterable[str], names: Mapping[str, str], controllers: Collection[str] = ()
) -> list[Finding]:
    """Every host's name can be its host name, and is nobody else's.

    It becomes the host name, a name in /etc/hosts and in certificates, and what RabbitMQ, OVN and
    nova know the host by. names: API names, `internal` and `public`, as in `cairn_site`.
    """
    found = []
    hosts = list(hosts)
    same = host_names.twins(hosts)
    for name in hosts:
        rename = "rename it in the inventory"
        if problem := host_names.host_problem(name):
            text = f"its name {problem}"
            if proposal := host_names.proposal(name):
                rename += f", for example to {proposal}"
            elif "127.0.0.1" in problem:
                rename = (
                    "give it a name of its own, and say how it is reached: "
                    "ctl1: {ansible_connection: local}"
                )
            else:
                rename += "; its address belongs into ansible_host" * host_names.is_address(name)
            found.append(Finding(ERROR, "names", text, rename, name))
        elif name in same:
            text = f"differs from {same[name]} in capital letters only, which no resolver tells"
            found.append(Finding(ERROR, "names", text, rename, name))
        for side, api in names.items():
            if api.lower() == name.lower():
                text = f"is also cairn_{side}_name: one name would lead to two addresses"
                found.append(Finding(ERROR, "names", text, f"change cairn_{side}_name", name))
    qualified = [name for name in controllers if "." in name]
    if qualified and len(qualified) < len(controllers):
        rest = ", ".join(name for name in controllers if "." not in name)
        text = f"{', '.join(qualified)} have dots in their names, {rest} have none"
        remedy = "name all controllers in one way: RabbitMQ's nodes cannot form a cluster otherwise"
        found.append(Finding(ERROR, "names", text, remedy))
    return found


def check_api_names(
    names: Mapping[str, str], vips: Mapping[str, str], public: Collection[str] = ()
) -> list[Finding]:
    """API names are names, without a scheme or a port, or else their VIP.

    names, vips: `internal` and `public`, as in `cairn_site`. public: `cairn_public_address`.
    """
    found = []
    for side, api in names.items():
        variable, vip = f"cairn_{side}_name", vips[side]
        allowed = {vip, *(public if side == "public" else ())}
        if host_names.is_address(api):
            if api not in allowed:
                text = f"{variable} is {api}, and the {side} VIP is {vip}"
                remedy = f"leave {variable} out, or set it to a name that leads to the VIP"
                if side == "public":
                    remedy += (
                        "; where a router or firewall forwards that address, set "
                        "cairn_public_address to it, too"
                    )
                found.append(Finding(ERROR, "names", text, remedy))
        elif problem := host_names.problem(api):
            text = f"{variable} is {api!r}: it {problem}"
            found.append(
                Finding(
                    ERROR,
                    "names",
                    text,
                    f"write a bare name into {variable}, such as cloud.example.org",
                )
            )
    for address in public:
        if not host_names.is_address(address):
            text = f"cairn_public_address has {address!r}, which is no IP address"
            found.append(Finding(ERROR, "names", text, "write the address itself, not a name"))
    if public and names["public"] == vips["public"]:
        text = "cairn_public_address is set, but users are sent to the public VIP itself"
        remedy = "set cairn_public_name to the name, or to that address"
        found.append(Finding(WARNING, "names", text, remedy))
    return found


def check_lease(running: Mapping[str, str]) -> list[Finding]:
    """No other run is changing the site; running: controller to who runs what since when.

    A run that turns out to have something to change is refused when it asks for the lease.
    """
    return [
        Finding(WARNING, "lease", sentence, lease.REMEDY, name)
        for name, sentence in running.items()
    ]


# --- one host --------------------------------------------------------------------------------


def check_reachable(name: str, host: Mapping[str, Any], groups: Sequence[str]) -> list[Finding]:
    """Ansible got an answer, as root. Without a compute host the others go on; it is left out."""
    refusal = login.explain(host, str(host.get("login", ""))) if "os" not in host else None
    if refusal:
        return [Finding(ERROR, "login", *refusal, name)]
    if host.get("unreachable"):
        alone = set(groups) == {"compute"}
        return [
            Finding(
                WARNING if alone else ERROR,
                "reachable",
                f"cannot be reached: {_first_line(host)}",
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
                f"was reached but could not be asked: {_first_line(host)}",
                "Cairn needs root and /usr/bin/python3 on every host",
                name,
            )
        ]
    return []


def check_network_window(window: int | None, need: Need) -> list[Finding]:
    """The operator's own window lasts until the last of the hosts that change is confirmed."""
    if not window or window >= need.window:
        return []
    return [
        Finding(
            WARNING,
            "network",
            f"network_window is {window} s; {need.hosts} hosts whose network changes need "
            f"{need.window} s with {need.forks} forks, where a call takes {need.call:.1f} s: "
            "their changes would be taken back before they are confirmed",
            f"leave network_window out, or set it to {need.window}; or raise --forks",
        )
    ]


def check_operator_become(
    given: Mapping[str, Any], groups: Mapping[str, Sequence[str]], root: bool
) -> list[Finding]:
    """No `ansible_become` of the command line holds for the operator's machine unasked.

    given: the variables of the command line, which go before all others. root: whether Ansible
    itself runs as root, whose files are root's in any case.
    """
    on = str(given.get("ansible_become", "")).lower() in ("true", "yes", "on", "1")
    if not on or root or given.get("operator_become") or not groups.get("operator"):
        return []
    return [
        Finding(
            ERROR,
            "operator",
            "ansible_become of the command line holds for the operator's machine, too: "
            "its files would be root's",
            "set ansible_become in the inventory (group_vars/all) or use --become instead of "
            "-e ansible_become=true; operator_become: true if root's files are wanted",
        )
    ]


def check_operator(
    name: str, address: str, connection: str, problem: str, managed: Collection[str]
) -> list[Finding]:
    """A host of the group operator can be reached: what is said for all hosts is not for it.

    address, connection: its ansible_host and ansible_connection ("" if not set); problem: why one
    of them cannot be templated. managed: hosts that Cairn manages and has reached already.
    """
    remedy = "give the group its own, as inventories/example/group_vars/operator.yml does"
    if problem:
        return [
            Finding(ERROR, "operator", f"its connection cannot be told: {problem}", remedy, name)
        ]
    here = {"localhost", "127.0.0.1", "::1"}
    if {name, address} & here and connection != "local" and name not in managed:
        text = "is the machine that runs Ansible, but its ansible_connection is not local"
        return [Finding(ERROR, "operator", text, remedy, name)]
    return []


def _first_line(host: Mapping[str, Any]) -> str:
    return (str(host.get("msg", "")).strip().splitlines() or ["no answer"])[0]


def check_system(name: str, host: Mapping[str, Any]) -> list[Finding]:
    """Debian, Python, processor architecture and the package database."""
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
        wanted = ".".join(map(str, PYTHON))
        found.append(
            Finding(
                ERROR,
                "system",
                f"has Python {host['python']}",
                f"Debian's python3 must be {wanted} or newer",
                name,
            )
        )
    if host["arch"] not in ARCHITECTURES:
        found.append(
            Finding(
                ERROR,
                "system",
                f"is an {host['arch']} machine",
                f"locked packages are for {' and '.join(ARCHITECTURES)}",
                name,
            )
        )
    if host.get("dpkg_unfinished"):
        found.append(
            Finding(
                WARNING,
                "system",
                "has a package run that was cut off",
                "nothing to do: staging finishes it first",
                name,
            )
        )
    return found


def check_memory(
    name: str, host: Mapping[str, Any], groups: Sequence[str], least: Mapping[str, int]
) -> list[Finding]:
    """The largest of its groups' minima."""
    group = max(groups, key=lambda g: least.get(g, 0))
    if host["memory_mb"] >= least.get(group, 0):
        return []
    return [
        Finding(
            ERROR,
            "memory",
            f"has {host['memory_mb']} MiB of memory; a {group} host needs {least[group]}",
            "give it more, or lower cairn_minimum_memory_mb if you know better",
            name,
        )
    ]


def check_disk(
    name: str, host: Mapping[str, Any], groups: Sequence[str], least: Mapping[str, int]
) -> list[Finding]:
    """Room for packages, virtualenvs and generations where /opt and /var/lib are."""
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
                    "make room (apt-get clean; journalctl --vacuum-size=500M; what is large: "
                    f"du -xh --max-depth=3 {mount} | sort -h | tail) or enlarge it"
                    if deployed
                    else "enlarge it, or lower cairn_minimum_disk_mb if you know better",
                    name,
                )
            )
    return found


def _mount_of(path: str, mounts: Mapping[str, Any]) -> str:
    """The mount point among `mounts` that a path is on."""
    on = [m for m in mounts if path == m or path.startswith(m.rstrip("/") + "/")]
    return max(on, key=len)


def check_clock(name: str, host: Mapping[str, Any]) -> list[Finding]:
    """The host's clock against the controller's, as exactly as the call's duration allows."""
    before, after = host["clock"]
    offset = max(before - host["time"], host["time"] - after, 0.0)
    if offset < CLOCK_WARNING:
        return []
    slow = host["time"] < before
    return [
        Finding(
            ERROR if offset >= CLOCK_ERROR else WARNING,
            "time",
            f"is {offset:.0f} s {'behind' if slow else 'ahead of'} the machine Ansible runs on",
            "set the clock of whichever is wrong (date --set); chrony keeps it from then on",
            name,
        )
    ]


def check_nics(
    name: str, host: Mapping[str, Any], nics: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Every NIC of the inventory is there, has its cable, and can carry its MTU.

    nics: name to `mac`, `mtu` and `bond`, as `cairn_site.hosts` has them.
    """
    found = []
    cards = {nic["mac"]: (own, nic) for own, nic in host["nics"].items() if not nic["kind"]}
    for wanted, given in nics.items():
        if given["mac"] not in cards:
            there = ", ".join(f"{mac} ({own})" for mac, (own, _) in sorted(cards.items()))
            found.append(
                Finding(
                    ERROR,
                    "nics",
                    f"has no NIC {given['mac']} ({wanted}); it has {there}",
                    f"correct cairn_nics.{wanted}.mac",
                    name,
                )
            )
            continue
        own, nic = cards[given["mac"]]
        if nic["link"] is False:
            # That a bond goes on without a member is what it is for.
            bond = given.get("bond")
            spared = bond and any(
                other.get("bond") == bond and cards.get(other["mac"], ("", {}))[1].get("link")
                for other in nics.values()
            )
            found.append(
                Finding(
                    WARNING if spared else ERROR,
                    "nics",
                    f"NIC {wanted} ({given['mac']}, now {own}) has no link"
                    + (f"; {bond} goes on without it" if spared else ""),
                    "check the cable and the switch's port",
                    name,
                )
            )
        if nic.get("max_mtu") and given["mtu"] > nic["max_mtu"]:
            found.append(
                Finding(
                    ERROR,
                    "nics",
                    f"NIC {wanted} carries an MTU of {nic['max_mtu']} at most, not {given['mtu']}",
                    f"lower cairn_nics.{wanted}.mtu and the MTU of its planes",
                    name,
                )
            )
    return found


def check_virtualisation(
    name: str, host: Mapping[str, Any], groups: Sequence[str]
) -> list[Finding]:
    """Compute hosts have vmx or svm; without, nova uses QEMU's emulation."""
    if "compute" not in groups or host["cpu_flags"] or host["arch"] != "x86_64":
        return []
    return [
        Finding(
            WARNING,
            "virtualisation",
            "has no hardware virtualisation; instances are emulated, some ten times slower",
            "switch on VT-x or AMD-V in its firmware, if it has it",
            name,
        )
    ]


def check_names(
    name: str,
    host: Mapping[str, Any],
    names: Mapping[str, str],
    vips: Mapping[str, str],
    public: Collection[str] = (),
) -> list[Finding]:
    """API names resolve to their VIPs, or the public one to an address in front of its VIP.

    names, vips: `internal` and `public`, as in `cairn_site`. public: `cairn_public_address`.
    """
    found = []
    for side, api in names.items():
        addresses = host["resolved"].get(api)
        fronts = list(public) if side == "public" else []
        if addresses and not {vips[side], *fronts} & set(addresses):
            remedy = f"correct the DNS or cairn_{side}_name"
            if side == "public":
                remedy += (
                    "; where a router or firewall forwards that address to the VIP, set "
                    f"cairn_public_address: {addresses[0]}"
                )
            found.append(
                Finding(
                    ERROR,
                    "names",
                    f"resolves {api} to {', '.join(addresses)}, not the {side} VIP {vips[side]}"
                    + (f" or {', '.join(fronts)} (cairn_public_address)" if fronts else ""),
                    remedy,
                    name,
                )
            )
        elif addresses == []:
            users = ", ".join(fronts or [vips[side]])
            found.append(
                Finding(
                    WARNING,
                    "names",
                    f"does not resolve {api}",
                    f"the hosts get it by /etc/hosts; your users need it in the DNS ({users})",
                    name,
                )
            )
    return found


CD = "take it out of /etc/apt/sources.list: nobody is there to insert it"
FOLDER = "mount or copy the mirror to there, or correct /etc/apt/sources.list.d"
SOURCE = (
    "mend the connection, the DNS, apt's proxy (Acquire::http::Proxy) or /etc/apt/sources.list.d"
)
SOURCE_REMEDIES = {"cdrom": CD, "file": FOLDER, "copy": FOLDER, "/etc/apt": "correct that file"}


def check_mirrors(name: str, host: Mapping[str, Any]) -> list[Finding]:
    """apt's package sources answer. On a deployed host nothing may be due, so it may go on."""
    severity = WARNING if host.get("services") else ERROR
    if not host["mirrors"]:
        text = "has no package source"
        return [Finding(severity, "mirrors", text, "write /etc/apt/sources.list.d", name)]
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

    packed: the control node has virtualenvs for such a host already, perhaps all of them.
    """
    asked = host.get("index") or {}
    if not asked.get("problem"):
        return []
    return [
        Finding(
            WARNING if packed else ERROR,
            "mirrors",
            f"does not reach the package index {asked['url']}: {asked['problem']}"
            + ("; virtualenvs that are not packed yet cannot be built" if packed else ""),
            "mend the connection, or set cairn_http_proxy or cairn_pypi_index",
            name,
        )
    ]


def check_proxies(
    name: str, variables: Mapping[str, Any], host: Mapping[str, Any], internal: str
) -> list[Finding]:
    """Proxies and index are URLs, and services of the host do not ask each other through one.

    variables: those of `proxies.VARIABLES` that the host has. internal: the internal API name.
    """
    found = []
    for variable in ("cairn_http_proxy", "cairn_https_proxy", "cairn_pypi_index"):
        index = variable == "cairn_pypi_index"
        url = str(variables.get(variable) or "")
        schemes = ("https", "http", "file") if index else proxies.SCHEMES
        if url and (problem := proxies.url_problem(url, schemes)):
            example = "https://mirror.example/simple" if index else "http://proxy.example:3128"
            text = f"{variable} {problem}"
            found.append(Finding(ERROR, "proxies", text, f"correct it: {example}", name))
    told = host.get("service_proxy")
    if told and not proxies.is_excepted(internal, proxies.listed(told["no_proxy"])):
        found.append(
            Finding(
                ERROR,
                "proxies",
                f"gives every service a proxy ({told['file']}, DefaultEnvironment=): the cloud's "
                "services would ask each other through it",
                f"take it out of there (for package builds there is cairn_http_proxy), or add "
                f"{internal} to its no_proxy; then systemctl daemon-reexec",
                name,
            )
        )
    return found


def check_name_servers(
    name: str, host: Mapping[str, Any], site: Mapping[str, Any], keep: Collection[str] = ()
) -> list[Finding]:
    """A change of the network does not take the name servers away.

    systemd-resolved forgets those that it has from a link when Cairn's units take the link over.
    keep: `network_keep`, units that stay and may have name servers of their own.
    """
    asked = host.get("name_servers") or {}
    if not asked.get("lent") or asked["kept"]:
        return []
    if host["network"]["hash"] == site["hosts"][name]["network"]:
        return []
    lent = " ".join(asked["lent"])
    return [
        Finding(
            WARNING if keep else ERROR,
            "names",
            f"has its name servers ({lent}) from DHCP or another link's configuration, which "
            "Cairn's networks replace: no name would resolve after that",
            f"keep them: mkdir -p /etc/systemd/resolved.conf.d; printf '[Resolve]\\nDNS={lent}\\n' "
            "> /etc/systemd/resolved.conf.d/dns.conf; systemctl restart systemd-resolved",
            name,
        )
    ]


def check_cloud_init(name: str, host: Mapping[str, Any]) -> list[Finding]:
    """No boot rewrites /etc/hosts: base's own setting for cloud-init loses against user-data."""
    return [
        Finding(
            WARNING if host.get("services") else ERROR,
            "names",
            f"has manage_etc_hosts in {path}: cloud-init would rewrite /etc/hosts at the next "
            "boot, and RabbitMQ and the internal name would be gone",
            "take it out of the instance's user-data and of that file, or switch cloud-init off: "
            "touch /etc/cloud/cloud-init.disabled",
            name,
        )
        for path in host.get("cloud_init") or ()
    ]


def check_ports(
    name: str,
    host: Mapping[str, Any],
    addresses: Mapping[str, str],
    ports: Iterable[Mapping[str, Any]],
    vips: Collection[str] = (),
) -> list[Finding]:
    """Nobody else listens on the ports of the host's services.

    ports: those of this host: role, protocol, port, plane and the units that may hold it.
    """
    found = []
    for wanted in ports:
        mine = {*EVERYWHERE, addresses.get(wanted["plane"]), *vips}
        own = (*wanted["units"], "haproxy.service")
        others = {
            entry["unit"] or "another process"
            for entry in host["listening"]
            if (entry["protocol"], entry["port"]) == (wanted["protocol"], wanted["port"])
            and entry["address"] in mine
            and entry["unit"] not in own
        }
        port, udp = wanted["port"], wanted["protocol"] == "udp"
        what = f"{'UDP ' if udp else ''}port {port} is {wanted['role']}'s"
        look = f"ss -l{'u' if udp else 't'}np sport = :{port}"
        for other in sorted(others):
            found.append(
                Finding(
                    ERROR,
                    "ports",
                    f"{what}, but {other} listens on it",
                    f"stop it (systemctl disable --now {other})"
                    if other.endswith(".service")
                    else f"find and stop it ({look})",
                    name,
                )
            )
    return found


def check_foreign(name: str, host: Mapping[str, Any], packages: Collection[str]) -> list[Finding]:
    """/etc of Cairn's services is Cairn's.

    What came with a Debian package of `packages`, which Cairn installs itself, is put aside by the
    switch; it is there after a first run that was cut off.
    """
    return [
        Finding(
            ERROR,
            "foreign",
            f"has an /etc/{folder} that is not Cairn's",
            f"another installation? Move it away: mv /etc/{folder} /etc/{folder}.old",
            name,
        )
        for folder, owners in host["folders"].items()
        if not owners or set(owners) - set(packages)
    ]


def check_peers(
    name: str, host: Mapping[str, Any], site: Mapping[str, Any], hosts: Mapping[str, Any]
) -> list[Finding]:
    """Neighbours answer at full MTU, where both ends have their planes already.

    hosts: host name to `cairn_host` of every host. Those whose network is about to change are
    left to the network's own commit-confirm.
    """

    def settled(other: str) -> bool:
        network = hosts.get(other, {}).get("network")
        return bool(network) and network["hash"] == site["hosts"][other]["network"]

    if not settled(name):
        return []
    answers = [a for a in host["peers"] if settled(a["host"])]
    missing = judge(answers, [a["host"] for a in answers], ()).missing
    return [
        Finding(
            ERROR,
            "peers",
            f"gets no answer from {text}",
            "check cable, switch port, VLAN and MTU on the way",
            name,
        )
        for text in missing
    ]


def check_network(name: str, host: Mapping[str, Any]) -> list[Finding]:
    """No change of the network waits for its confirmation, and iproute2 is there."""
    found = []
    if host["network"]["trial"]:
        found.append(
            Finding(
                WARNING,
                "network",
                "a change of its network waits to be confirmed, from a run that was cut off",
                "nothing to do: it ends by itself before another begins",
                name,
            )
        )
    if not host["nics"]:
        text = "shows no NIC; is iproute2 missing?"
        found.append(Finding(ERROR, "network", text, "apt-get install iproute2", name))
    return found


def check_object_disks(
    name: str, host: Mapping[str, Any], disks: Iterable[Mapping[str, Any]]
) -> list[Finding]:
    """Disks for objects are there, and hold nothing but objects: each is named, none is guessed."""
    found, seen = [], set()
    for disk in disks:
        for what in (disk["name"], disk["device"]):
            if what in seen:
                text = f"{what} is in swift_disks twice"
                found.append(Finding(ERROR, "disks", text, "name each disk once", name))
            seen.add(what)
        judged = judge_disk(disk, host)
        if judged.text:
            severity = ERROR if judged.state == WRONG else WARNING
            found.append(Finding(severity, "disks", judged.text, judged.remedy, name))
    return found


def check_volume_group(
    name: str, host: Mapping[str, Any], group: str, disks: Sequence[Disk]
) -> list[Finding]:
    """The volume group of a storage host is there or can be made, of disks that hold nothing."""
    problems = plan_volume_group(group, disks, host).problems
    return [Finding(ERROR, "disks", text, remedy, name) for text, remedy in problems]


def check_volume_shares(
    name: str, backends: Collection[str], shares: Sequence[str]
) -> list[Finding]:
    """A storage host with the back end `nfs` has a share to keep volumes on."""
    if "nfs" not in backends or shares:
        return []
    text = "is to keep volumes on NFS (cinder_backends), and cinder_nfs_shares is empty"
    remedy = "name the shares, such as 192.0.2.9:/volumes, or take nfs out of cinder_backends"
    return [Finding(ERROR, "volumes", text, remedy, name)]


def check_shared_disks(
    name: str, host: Mapping[str, Any], claims: Mapping[str, Iterable[str]]
) -> list[Finding]:
    """No disk is given to two services; `claims`: variable to the paths that it names."""
    found, owners = [], dict[str, str]()
    for variable, paths in claims.items():
        for path in paths:
            real = (host["devices"].get(path) or {}).get("real", path)
            other = owners.setdefault(real, variable)
            if other != variable:
                text = f"{path} is in {variable} and in {other}"
                found.append(Finding(ERROR, "disks", text, "take it out of one of them", name))
    return found


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
    """Every check of one host; of one that gave no answer only that.

    ports, packages: those of the site's services, as the registry finds them.
    """
    told = site["hosts"][name]
    groups = told["groups"]
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
        *check_nics(name, host, told["nics"]),
        *check_virtualisation(name, host, groups),
        *check_names(name, host, site["names"], site["vips"], site.get("public_addresses") or ()),
        *check_cloud_init(name, host),
        *check_mirrors(name, host),
        *check_ports(name, host, told["addresses"], mine, site["vips"].values()),
        *check_foreign(name, host, packages),
        *check_peers(name, host, site, hosts),
    ]


# --- the table -------------------------------------------------------------------------------


def table(findings: Iterable[Finding], width: int = 100) -> str:
    """All findings, errors first; one that several hosts share is one entry.

    What is wrong in the middle column, what to do about it below, behind an arrow.
    """
    merged: dict[tuple[str, str, str, str], list[str]] = {}
    for f in sorted(findings, key=lambda f: (f.severity, f.check)):
        merged.setdefault((f.severity, f.check, f.text, f.remedy), []).append(f.host or "site")
    if not merged:
        return ""
    checks = max(len(check) for _, check, _, _ in merged)
    indent = 9 + checks + 2
    lines = []
    for (severity, check, text, remedy), hosts in merged.items():
        head = f"{severity.upper():9}{check:{checks}}  "
        said = f"{', '.join(dict.fromkeys(hosts))}: {text}"
        lines += textwrap.wrap(said, width, initial_indent=head, subsequent_indent=" " * indent)
        lines += textwrap.wrap(
            remedy,
            width,
            initial_indent=" " * indent + "→ ",
            subsequent_indent=" " * (indent + 2),
        )
    return "\n".join(lines)
