"""Checks of the inventory: groups, variables, secrets, names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..site import host_names, lease
from ..site.planes import GROUPS
from ..site.renamed import Renamed
from ..suggest import nearest
from .finding import ERROR, WARNING, Finding

REQUIRED_GROUPS = ("controller", "network", "compute")
# The similarity (difflib) from which a name is taken for a misspelling of another.
FOREIGN_VARIABLE_LIKENESS, SLIP_LIKENESS, GROUP_LIKENESS = 0.88, 0.7, 0.8
# Roles whose names are prefixes of common variables of other projects.
COMMON_WORDS = ("base", "network", "operator", "pki", "service", "verify")
OPERATOR = "operator"  # the group of the control node
# Groups that a site may lack, and the consequence. The cloud works without an operator, whose
# machine stores the administrator's password; verify.yml and `make openstack` need the group and
# fail with the same remedy.
WITHOUT_GROUP = {
    "storage": "services that need storage hosts are not deployed",
    OPERATOR: "add it as in inventories/example (hosts.yml, group_vars/operator.yml); without it "
    "there is no clouds.yaml, no `make openstack` and no `make verify`",
}


def check_groups(groups: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Cairn's groups exist and have hosts, controllers have a majority, no group is misspelt.

    Hosts and groups of the site's own (a bastion, switches) are ignored.
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
        hosts = [host for host in groups[group] if host not in groups.get(near or "", ())]
        if near and hosts and group not in suggested:
            found.append(
                Finding(
                    WARNING,
                    "inventory",
                    f"group {group} is not one of Cairn's, so {', '.join(hosts[:5])}"
                    f"{', …' if hosts[5:] else ''} will not become {near} hosts",
                    f"correct it to {near} if that was meant",
                )
            )
    count = len(groups.get("controller", ()))
    if count and count % 2 == 0:
        found.append(
            Finding(
                WARNING,
                "inventory",
                f"{count} controllers tolerate no more failures than {count - 1} would",
                "use an odd number: databases and queues need a majority",
            )
        )
    return found


def _foreign(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Groups of the site's own."""
    return [name for name in groups if name not in (*GROUPS, OPERATOR, "all", "ungrouped")]


def check_variables(
    names: Mapping[str, str], known: Collection[str], run: Collection[str], roles: Collection[str]
) -> list[Finding]:
    """No variable is, or may be, a misspelling of one of Cairn's.

    An unknown `cairn_…` is an error, and so is `<role>_…` that resembles a variable of that role.
    Another name with a role's prefix may be the site's own or another project's: a warning, and no
    finding if the prefix is a common word (base_domain, network_interface).

    names: each variable of the inventory, with its file ("" if unknown).
    known: names that an inventory may set; run: names that a run sets; roles: prefixes.
    """
    found = []
    # Arguments of the role `service` are set by tasks, not by inventories.
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
            text = f"no role of Cairn's reads the variable {name}{where}"
            remedy = (
                f"ignore this if it is your own; ansible-doc -t role {role} lists its variables"
            )
            found.append(Finding(WARNING, "variables", text, remedy))
        elif not role and (near := nearest(name, known, FOREIGN_VARIABLE_LIKENESS)):
            text = f"variable {name} looks like {near} misspelt{where}"
            found.append(Finding(WARNING, "variables", text, "correct it if it was meant so"))
    return found


def check_renamed(
    used: Mapping[str, bool], files: Mapping[str, str], table: Mapping[str, Renamed]
) -> list[Finding]:
    """No variable is set by its former name, or by both names.

    used: former names that the inventory sets, true if a host has the present name, too; files:
    the file of each ("" if unknown).
    """
    found = []
    for former, doubled in sorted(used.items()):
        name, until = table[former]
        where = f" ({files[former]})" if files.get(former) else ""
        if doubled:
            text = f"variable {former} is the former name of {name}, and both are set{where}"
            found.append(Finding(ERROR, "variables", text, f"remove {former}"))
        else:
            text = f"variable {former} is called {name} now{where}"
            remedy = f"rename it; Cairn {until} no longer accepts the former name"
            found.append(Finding(WARNING, "variables", text, remedy))
    return found


def _slip(name: str, role: str, known: Collection[str]) -> str | None:
    """The variable of a role that a name probably misspells; compares the part after the prefix."""
    prefix = f"{role}_"
    names = [k.removeprefix(prefix) for k in known if k.startswith(prefix)]
    match = nearest(name.removeprefix(prefix), names, SLIP_LIKENESS)
    return prefix + match if match else None


def check_variable_files(
    files: Iterable[tuple[str, str, str]], groups: Collection[str], hosts: Collection[str]
) -> list[Finding]:
    """Every file of group_vars and host_vars belongs to a group or host; Ansible ignores others.

    Only a warning for hosts, which may be missing from the inventory for a while.
    files: kind (group or host), name and path, from `inventory_files.variable_files`.
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
                    f"Ansible does not read {path}: there is no {kind} {name}{meant}",
                    "correct its name or remove it",
                )
            )
    return found


def check_shadowed_files(files: Iterable[tuple[str, str]]) -> list[Finding]:
    """No file is beside a folder of its name, where Ansible does not read it.

    files: each such file, and what is read instead, from `inventory_files.shadowed_files`.
    """
    return [
        Finding(
            ERROR,
            "variables",
            f"Ansible does not read {path}: it reads {instead} instead",
            f"move it into {instead}" if "." not in instead.rpartition("/")[2] else "join the two",
        )
        for path, instead in files
    ]


def check_readable(problem: str, place: str) -> list[Finding]:
    """Ansible can template every variable that preflight needs; place: file and line if known."""
    where = f" ({place})" if place else ""
    text = f"a variable cannot be read: {problem}{where}"
    return [Finding(ERROR, "variables", text, "correct it there" if place else "correct it")]


def check_secrets(
    missing: Sequence[str],
    encrypted: bool | None,
    inventory: str,
    wrong: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Every secret exists, in an encrypted file (`encrypted` is None without a file).

    wrong: problems of secrets' values, by name; see `secrets.problems`.
    """
    edit = f"make edit-secrets INVENTORY={inventory}"
    found = [
        Finding(
            ERROR,
            "secrets",
            f"cairn_secrets.{name}: {why}",
            f"put it in quotes: {edit}"
            if why.startswith("YAML reads")
            else f"choose another value, or write it as described: {edit}",
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
    """Every host's name is a valid and unique host name.

    It becomes the host name, a name in /etc/hosts and in certificates, and the name in RabbitMQ,
    OVN and nova. names: API names, `internal` and `public`, as in `cairn_site`.
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
                    "give it a name of its own, and set its connection: "
                    "ctl1: {ansible_connection: local}"
                )
            else:
                rename += "; set ansible_host to its address" * host_names.is_address(name)
            found.append(Finding(ERROR, "names", text, rename, name))
        elif name in same:
            text = f"differs from {same[name]} in capital letters only, which resolvers ignore"
            found.append(Finding(ERROR, "names", text, rename, name))
        for side, api in names.items():
            if api.lower() == name.lower():
                text = f"is also cairn_{side}_name: one name would have two addresses"
                found.append(Finding(ERROR, "names", text, f"change cairn_{side}_name", name))
    qualified = [name for name in controllers if "." in name]
    if qualified and len(qualified) < len(controllers):
        rest = ", ".join(name for name in controllers if "." not in name)
        text = f"{', '.join(qualified)} have dots in their names, {rest} have none"
        remedy = "name all controllers alike: RabbitMQ's nodes cannot form a cluster otherwise"
        found.append(Finding(ERROR, "names", text, remedy))
    return found


def check_api_names(
    names: Mapping[str, str], vips: Mapping[str, str], public: Collection[str] = ()
) -> list[Finding]:
    """API names are host names without scheme and port, or their VIP.

    names, vips: `internal` and `public`, as in `cairn_site`. public: `cairn_public_address`.
    """
    found = []
    for side, api in names.items():
        variable, vip = f"cairn_{side}_name", vips[side]
        allowed = {vip, *(public if side == "public" else ())}
        if host_names.is_address(api):
            if api not in allowed:
                text = f"{variable} is {api}, and the {side} VIP is {vip}"
                remedy = f"remove {variable}, or set it to a name that resolves to the VIP"
                if side == "public":
                    remedy += (
                        "; if a router or firewall forwards that address, set "
                        "cairn_public_address to it as well"
                    )
                found.append(Finding(ERROR, "names", text, remedy))
        elif problem := host_names.problem(api):
            text = f"{variable} is {api!r}: it {problem}"
            found.append(
                Finding(
                    ERROR,
                    "names",
                    text,
                    f"set {variable} to a bare name, such as cloud.example.org",
                )
            )
    for address in public:
        if not host_names.is_address(address):
            text = f"cairn_public_address has {address!r}, which is no IP address"
            found.append(Finding(ERROR, "names", text, "set it to the address, not a name"))
    if public and names["public"] == vips["public"]:
        text = "cairn_public_address is set, but cairn_public_name is the public VIP itself"
        remedy = "set cairn_public_name to the name, or to that address"
        found.append(Finding(WARNING, "names", text, remedy))
    return found


def check_lease(running: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """No other run is changing the site; running: controller to the holder of its lease.

    Only a warning: a run with changes is refused when it takes the lease.
    """
    return [
        Finding(WARNING, "lease", lease.sentence(holder), lease.REMEDY, name)
        for name, holder in running.items()
    ]
