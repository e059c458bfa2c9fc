"""Runs every preflight check on what inventory and probe say; see the module of the same name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.template import is_trusted_as_template
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

from cairn.preflight import certificates
from cairn.preflight.callbacks import check_callbacks
from cairn.preflight.disks import (
    check_object_disks,
    check_shared_disks,
    check_volume_group,
    check_volume_shares,
)
from cairn.preflight.finding import ERROR
from cairn.preflight.host import (
    MINIMUM_DISK_MB,
    MINIMUM_MEMORY_MB,
    check_host,
    check_index,
    check_operator,
    check_operator_become,
)
from cairn.preflight.inventory import (
    OPERATOR,
    check_api_names,
    check_groups,
    check_host_names,
    check_lease,
    check_readable,
    check_renamed,
    check_secrets,
    check_shadowed_files,
    check_variable_files,
    check_variables,
)
from cairn.preflight.network import check_name_servers, check_network_window, check_proxies
from cairn.preflight.report import table
from cairn.service import registry, venv_cache
from cairn.site import flows, lease, proxies, renamed, secrets, window
from cairn.site.inventory_files import shadowed_files, variable_files
from cairn.site.layers import file_in_force, origin_of_error, stated_names, untemplated
from cairn_host.storage.volume_group import path_of

VAULT_HEADER = b"$ANSIBLE_VAULT;"


def secret_values(
    hostvars: Any, host: str, template: Callable[[Any], Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The secrets of a site, and what is wrong with some, by name.

    What would end in an error of Ansible's about the whole file is told of the one that it is in.
    """
    raw = untemplated(hostvars, host, "cairn_secrets")
    if not isinstance(raw, Mapping):
        values = dict(template(raw) or {})
        return values, secrets.problems(values)
    wrong = secrets.templates(raw, is_trusted_as_template)
    values = {}
    for name, value in raw.items():
        if name in wrong:
            values[name] = value
            continue
        try:
            values[name] = template(value)
        except AnsibleError as error:
            wrong[name] = f"Ansible makes no text of it: {error}"
            values[name] = value
    return values, secrets.problems(values) | wrong


def inventory_findings(task_vars: Any, template: Callable[[Any], Any] = lambda v: v) -> list[Any]:
    """Groups, names of variables and of their files, secrets."""
    hostvars, site = task_vars["hostvars"], task_vars["cairn_site"]
    inventory = Path(site["inventory"])
    known, run = registry.variables()
    names: dict[str, str] = {}
    unknown_to = known | run | set(renamed.table())
    # What other hosts and groups say is their own business.
    for host in hosts_of_cairn(task_vars):
        for name in hostvars[host]:
            if name not in names and name not in unknown_to and not name.startswith("ansible_"):
                names[name] = file_in_force(hostvars, name, host, certain=True)
    # A name in no inventory file comes from the command line, from Ansible itself or from a run;
    # of those only Cairn's own prefixes can be a mistake.
    ours = tuple(f"{prefix}_" for prefix in ("cairn", *registry.roles()))
    names = {n: f for n, f in names.items() if f or n.startswith(ours)}
    # The machine that runs Ansible has its variables read without standing in any group.
    hosts = {*task_vars["groups"]["all"], "localhost"}
    described = registry.of_site(registry.descriptions(), site)
    wanted = secrets.required(described, site["planes"])
    first = next(iter(site["hosts"]))
    values, wrong = secret_values(hostvars, first, template)
    missing = secrets.missing(wanted, values)
    # What nobody asks for is the operator's own, or of a service that is gone.
    wrong = {name: why for name, why in wrong.items() if name in wanted}
    file = inventory / "group_vars/all/secrets.yml"
    encrypted = file.read_bytes().startswith(VAULT_HEADER) if file.is_file() else None
    return [
        *check_groups(task_vars["groups"]),
        *check_variables(names, known, run, registry.roles()),
        *check_variable_files(variable_files(inventory), task_vars["groups"], hosts),
        *check_host_names(site["hosts"], site["names"], task_vars["groups"].get("controller", ())),
        *check_api_names(site["names"], site["vips"], site.get("public_addresses") or ()),
        *check_shadowed_files(shadowed_files(inventory)),
        *check_secrets(missing, encrypted, str(inventory), wrong),
    ]


def hosts_of_cairn(task_vars: Any) -> list[str]:
    """The managed hosts and the operator's machine."""
    return [*task_vars["cairn_site"]["hosts"], *task_vars["groups"].get(OPERATOR, ())]


def renamed_findings(task_vars: Any, given: Iterable[str] = ()) -> list[Any]:
    """Former names of variables in the inventory, or `given` on the command line."""
    hostvars = task_vars["hostvars"]
    used: dict[str, bool] = {}
    files: dict[str, str] = {}
    for host in hosts_of_cairn(task_vars):
        if not renamed.used({*given, *hostvars[host]}):  # costs less than to look who states what
            continue
        for former, doubled in renamed.used(stated_names(hostvars, host, given)).items():
            used[former] = doubled or used.get(former, False)
            if former not in given:
                files.setdefault(former, file_in_force(hostvars, former, host, certain=True))
    return list(check_renamed(used, files, renamed.table()))


def operator_findings(task_vars: Any) -> list[Any]:
    """Whether the operator's machine can be reached as the inventory says it."""
    found = []
    for name in task_vars["groups"].get(OPERATOR, ()):
        variables, problem, said = task_vars["hostvars"][name], "", {}
        for variable in ("ansible_host", "ansible_connection"):
            try:
                said[variable] = str(variables.get(variable) or "")
            except AnsibleError as error:
                problem = problem or f"{variable}: {error}"
        found += check_operator(
            name,
            said.get("ansible_host", ""),
            said.get("ansible_connection", ""),
            problem,
            task_vars["cairn_site"]["hosts"],
        )
    return found


def host_findings(task_vars: Any) -> list[Any]:
    """The checks of every host of this play."""
    hostvars, site = task_vars["hostvars"], task_vars["cairn_site"]
    hosts = {
        name: hostvars[name]["cairn_host"]
        for name in task_vars["ansible_play_hosts_all"]
        if name in site["hosts"] and "cairn_host" in hostvars[name]
    }
    described = registry.of_site(registry.descriptions(), site)
    ports = [*registry.ports(described), *flows.ports(flows.read())]
    packages = registry.packages(described)
    found = []
    for name, host in hosts.items():
        variables = hostvars[name]  # each look into hostvars puts all of them together
        memory = MINIMUM_MEMORY_MB | variables.get("cairn_minimum_memory_mb", {})
        disk = MINIMUM_DISK_MB | variables.get("cairn_minimum_disk_mb", {})
        found += check_host(name, host, site, hosts, ports, packages, memory, disk)
        keep = variables.get("network_keep") or ()
        if "os" in host:
            found += check_name_servers(name, host, site, keep)
            found += check_index(name, host, venv_cache.any_for(venv_cache.platform(host)))
        given = {v: variables[v] for v in proxies.VARIABLES if v in variables}
        found += check_proxies(name, given, host, site["names"]["internal"])
        keeps = "storage" in site["hosts"][name]["groups"] and "swift" in site["services"]
        if keeps and "devices" in host:
            disks = variables.get("swift_disks") or []
            found += check_object_disks(name, host, disks)
        found += volume_findings(name, variables, site)
    return found


def volume_findings(name: str, variables: Any, site: Any) -> list[Any]:
    """What speaks against making volumes on a host, if it is to keep some."""
    host = variables["cairn_host"]
    if "cinder" not in site["services"] or "devices" not in host:
        return []
    disks = list(variables.get("cinder_volume_disks") or [])
    claims = {
        "cinder_volume_disks": [path_of(disk) for disk in disks],
        "swift_disks": [d["device"] for d in variables.get("swift_disks") or [] if "device" in d],
    }
    found = check_shared_disks(name, host, claims)
    default = registry.defaults("cinder")
    backends, group = (
        variables.get(key, default[key]) for key in ("cinder_backends", "cinder_volume_group")
    )
    if "storage" not in site["hosts"][name]["groups"]:
        return list(found)
    found += check_volume_shares(name, backends, variables.get("cinder_nfs_shares") or [])
    if "lvm" in backends:
        found += check_volume_group(name, host, group, disks)
    return list(found)


def window_findings(task_vars: Any) -> list[Any]:
    """Whether the hosts whose network changes can all be confirmed in time."""
    hostvars = task_vars["hostvars"]
    stale = window.stale(task_vars["cairn_site"], hostvars)
    if not stale:
        return []
    call = window.measured({name: hostvars[name]["cairn_host"] for name in stale})
    need = window.Need(len(stale), int(task_vars["ansible_forks"]), call)
    given = [hostvars[name].get("network_window") for name in stale]
    smallest = min((int(seconds) for seconds in given if seconds), default=None)
    return list(check_network_window(smallest, need))


def certificate_findings(task_vars: Any, template: Callable[[Any], Any] = lambda v: v) -> list[Any]:
    """What is wrong with the site's certificates, or ends soon."""
    hostvars, site = task_vars["hostvars"], task_vars["cairn_site"]
    now = datetime.now(UTC)
    first = next(iter(site["hosts"]))
    variables = hostvars[first]
    secret, _ = secret_values(hostvars, first, template)
    own, own_key = (
        str(variables.get(name) or "") for name in (certificates.PUBLIC, certificates.PUBLIC_KEY)
    )
    found = certificates.check_public(own, own_key, [site["names"]["public"]], now)
    found += certificates.check_one_vip(own, site["names"], site["vips"])
    if secret.get("ca_certificate") and secret.get("ca_key"):
        found += certificates.check_authority(
            str(secret["ca_certificate"]), str(secret["ca_key"]), now
        )
    for name in task_vars["ansible_play_hosts_all"]:
        if name in site["hosts"] and "cairn_host" in hostvars[name]:
            records = hostvars[name]["cairn_host"].get("records") or {}
            if end := records.get("certificate-end", records.get("due-pki")):
                found += certificates.check_host_certificate(name, end, now)
    return list(found)


def lease_findings(task_vars: Any) -> list[Any]:
    """Whether another run is changing the site."""
    if boolean(task_vars.get(lease.TAKE_OVER, False)):
        return []
    mine = lease.holder("", os.getppid())
    told = {
        name: found
        for name in task_vars["cairn_site"]["hosts"]
        if (found := (task_vars["hostvars"][name].get("cairn_host") or {}).get("lease"))
    }
    return list(
        check_lease(
            {name: lease.sentence(o) for name, o in told.items() if not lease.has_ended(o, mine)}
        )
    )


def readable(check: Callable[[], list[Any]]) -> list[Any]:
    """What some checks find, or that they cannot read a variable: a finding beside the others'."""
    try:
        return check()
    except AnsibleError as error:
        return list(check_readable(str(error), origin_of_error(error)))


class ActionModule(ActionBase):
    """`cairn_preflight:` without arguments, run once."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        """Show the table; fail when it has errors."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.validate_argument_spec({})
        template = self._templar.template
        found = readable(lambda: inventory_findings(task_vars, template))
        found += readable(lambda: host_findings(task_vars))
        found += readable(lambda: window_findings(task_vars))
        found += readable(lambda: operator_findings(task_vars))
        found += readable(lambda: certificate_findings(task_vars, template))
        found += readable(lambda: lease_findings(task_vars))
        found += check_callbacks(constants.DEFAULT_STDOUT_CALLBACK, constants.CALLBACKS_ENABLED)
        given = load_extra_vars(self._loader)
        found += renamed_findings(task_vars, given)
        found += check_operator_become(given, task_vars["groups"], root=os.geteuid() == 0)
        errors = [f for f in found if f.severity == ERROR]
        if found:
            Display().display("\n" + table(found) + "\n")
        if errors:
            raise AnsibleActionFail(
                f"{len(errors)} finding(s) above must be mended first; nothing was touched"
            )
        return result | {
            "changed": False,
            "findings": [f.as_dict() for f in found],
            "left_out": [f.host for f in found if f.check == "reachable"],
        }
