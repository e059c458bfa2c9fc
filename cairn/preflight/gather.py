"""The findings of every check, from the inventory and the hosts' probes. Control node only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.template import is_trusted_as_template

from cairn_host.storage.volume_group import path_of

from ..service import registry, venv_cache
from ..site import flows, lease, proxies, renamed, secrets, window
from ..site.inventory_files import shadowed_files, variable_files
from ..site.precedence import file_in_force, origin_of_error, stated_names, untemplated
from . import certificates
from .callbacks import check_callbacks
from .disks import (
    check_object_disks,
    check_shared_disks,
    check_volume_group,
    check_volume_shares,
)
from .finding import Finding
from .host import (
    MINIMUM_DISK_MB,
    MINIMUM_MEMORY_MB,
    check_host,
    check_index,
    check_operator,
    check_operator_become,
)
from .inventory import (
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
from .network import check_name_servers, check_network_window, check_proxies

VAULT_HEADER = b"$ANSIBLE_VAULT;"

Template = Callable[[Any], Any]


def secret_values(
    hostvars: Any, host: str, template: Template
) -> tuple[dict[str, Any], dict[str, str]]:
    """The secrets of a site by name, and the problems of those that cannot be used.

    Secrets are templated one by one, so that an error names the secret instead of the file.
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


def inventory_findings(task_vars: Any, template: Template = lambda v: v) -> list[Finding]:
    """Findings on groups, host names, variables, their files, and secrets."""
    hostvars, site = task_vars["hostvars"], task_vars["cairn_site"]
    inventory = Path(site["inventory"])
    known, run = registry.variables()
    names: dict[str, str] = {}
    unknown_to = known | run | set(renamed.table())
    # Variables of foreign hosts and groups are not Cairn's.
    for host in hosts_of_cairn(task_vars):
        for name in hostvars[host]:
            if name not in names and name not in unknown_to and not name.startswith("ansible_"):
                names[name] = file_in_force(hostvars, name, host, certain=True)
    # A name in no inventory file comes from the command line, from Ansible or from a run; of those
    # only names with Cairn's prefixes can be mistakes.
    ours = tuple(f"{prefix}_" for prefix in ("cairn", *registry.roles()))
    names = {n: f for n, f in names.items() if f or n.startswith(ours)}
    # Ansible reads host_vars/localhost.yml even if localhost is in no group.
    hosts = {*task_vars["groups"]["all"], "localhost"}
    described = registry.of_site(registry.descriptions(), site)
    required = secrets.required(described, site["planes"])
    first = next(iter(site["hosts"]))
    values, wrong = secret_values(hostvars, first, template)
    missing = secrets.missing(required, values)
    # Other secrets are the operator's own, or belong to a removed service.
    wrong = {name: why for name, why in wrong.items() if name in required}
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
    """The managed hosts and the control node."""
    return [*task_vars["cairn_site"]["hosts"], *task_vars["groups"].get(OPERATOR, ())]


def renamed_findings(task_vars: Any, given: Iterable[str] = ()) -> list[Finding]:
    """Findings on former variable names in the inventory, or `given` on the command line."""
    hostvars = task_vars["hostvars"]
    used: dict[str, bool] = {}
    files: dict[str, str] = {}
    for host in hosts_of_cairn(task_vars):
        if not renamed.used({*given, *hostvars[host]}):  # cheaper than stated_names
            continue
        for former, doubled in renamed.used(stated_names(hostvars, host, given)).items():
            used[former] = doubled or used.get(former, False)
            if former not in given:
                files.setdefault(former, file_in_force(hostvars, former, host, certain=True))
    return list(check_renamed(used, files, renamed.table()))


def operator_findings(task_vars: Any) -> list[Finding]:
    """Findings on the connection to the control node."""
    findings: list[Finding] = []
    for name in task_vars["groups"].get(OPERATOR, ()):
        variables, problem, connection = task_vars["hostvars"][name], "", {}
        for variable in ("ansible_host", "ansible_connection"):
            try:
                connection[variable] = str(variables.get(variable) or "")
            except AnsibleError as error:
                problem = problem or f"{variable}: {error}"
        findings += check_operator(
            name,
            connection.get("ansible_host", ""),
            connection.get("ansible_connection", ""),
            problem,
            task_vars["cairn_site"]["hosts"],
        )
    return findings


def host_findings(task_vars: Any) -> list[Finding]:
    """Findings of the checks of every host of this play."""
    hostvars, site = task_vars["hostvars"], task_vars["cairn_site"]
    hosts = {
        name: hostvars[name]["cairn_host"]
        for name in task_vars["ansible_play_hosts_all"]
        if name in site["hosts"] and "cairn_host" in hostvars[name]
    }
    described = registry.of_site(registry.descriptions(), site)
    ports = [*registry.ports(described), *flows.ports(flows.read())]
    packages = registry.packages(described)
    findings: list[Finding] = []
    for name, host in hosts.items():
        variables = hostvars[name]  # every lookup in hostvars merges all variables
        memory = MINIMUM_MEMORY_MB | (variables.get("cairn_minimum_memory_mb") or {})
        disk = MINIMUM_DISK_MB | (variables.get("cairn_minimum_disk_mb") or {})
        findings += check_host(name, host, site, hosts, ports, packages, memory, disk)
        keep = variables.get("network_keep") or ()
        if "os" in host:
            findings += check_name_servers(name, host, site, keep)
            findings += check_index(name, host, venv_cache.any_for(venv_cache.platform(host)))
        given = {v: variables[v] for v in proxies.VARIABLES if v in variables}
        findings += check_proxies(name, given, host, site["names"]["internal"])
        keeps = "storage" in site["hosts"][name]["groups"] and "swift" in site["services"]
        if keeps and "devices" in host:
            disks = variables.get("swift_disks") or []
            findings += check_object_disks(name, host, disks)
        findings += volume_findings(name, variables, site)
    return findings


def volume_findings(name: str, variables: Any, site: Any) -> list[Finding]:
    """Findings on the disks and shares for cinder's volumes on a host."""
    host = variables["cairn_host"]
    if "cinder" not in site["services"] or "devices" not in host:
        return []
    disks = list(variables.get("cinder_volume_disks") or [])
    claims = {
        "cinder_volume_disks": [path_of(disk) for disk in disks],
        "swift_disks": [d["device"] for d in variables.get("swift_disks") or [] if "device" in d],
    }
    findings = check_shared_disks(name, host, claims)
    default = registry.defaults("cinder")
    backends, group = (
        default[key] if variables.get(key) is None else variables[key]
        for key in ("cinder_backends", "cinder_volume_group")
    )
    if "storage" not in site["hosts"][name]["groups"]:
        return list(findings)
    findings += check_volume_shares(name, backends, variables.get("cinder_nfs_shares") or [])
    if "lvm" in backends:
        findings += check_volume_group(name, host, group, disks)
    return list(findings)


def window_findings(task_vars: Any) -> list[Finding]:
    """Whether the network changes of all hosts can be confirmed within the window."""
    hostvars = task_vars["hostvars"]
    stale = window.stale(task_vars["cairn_site"], hostvars)
    if not stale:
        return []
    call = window.measured({name: hostvars[name]["cairn_host"] for name in stale})
    need = window.Need(len(stale), int(task_vars["ansible_forks"]), call)
    given = [hostvars[name].get("network_window") for name in stale]
    smallest = min((int(seconds) for seconds in given if seconds), default=None)
    return list(check_network_window(smallest, need))


def certificate_findings(task_vars: Any, template: Template = lambda v: v) -> list[Finding]:
    """Findings on certificates that are wrong or expire soon."""
    hostvars, site = task_vars["hostvars"], task_vars["cairn_site"]
    now = datetime.now(UTC)
    first = next(iter(site["hosts"]))
    variables = hostvars[first]
    secret, _ = secret_values(hostvars, first, template)
    own, own_key = (
        str(variables.get(name) or "") for name in (certificates.PUBLIC, certificates.PUBLIC_KEY)
    )
    findings = certificates.check_public(own, own_key, [site["names"]["public"]], now)
    findings += certificates.check_one_vip(own, site["names"], site["vips"])
    if secret.get("ca_certificate") and secret.get("ca_key"):
        findings += certificates.check_authority(
            str(secret["ca_certificate"]), str(secret["ca_key"]), now
        )
    for name in task_vars["ansible_play_hosts_all"]:
        if name in site["hosts"] and "cairn_host" in hostvars[name]:
            records = hostvars[name]["cairn_host"].get("records") or {}
            if end := records.get("certificate-end", records.get("due-pki")):
                findings += certificates.check_host_certificate(name, end, now)
    return list(findings)


def lease_findings(task_vars: Any) -> list[Finding]:
    """Findings on other runs that are changing the site."""
    if boolean(task_vars.get(lease.TAKE_OVER, False)):
        return []
    mine = lease.holder("", os.getppid())
    holders = {
        name: holder
        for name in task_vars["cairn_site"]["hosts"]
        if (holder := (task_vars["hostvars"][name].get("cairn_host") or {}).get("lease"))
    }
    running = {
        name: holder for name, holder in holders.items() if not lease.has_ended(holder, mine)
    }
    return list(check_lease(running))


def readable(check: Callable[[], list[Finding]]) -> list[Finding]:
    """The findings of `check`; an unreadable variable is a finding as well."""
    try:
        return check()
    except AnsibleError as error:
        return list(check_readable(str(error), origin_of_error(error)))


def all_findings(task_vars: Any, template: Template, given: Mapping[str, Any]) -> list[Finding]:
    """The findings of all checks; `given` are the variables of the command line."""
    findings = readable(lambda: inventory_findings(task_vars, template))
    findings += readable(lambda: host_findings(task_vars))
    findings += readable(lambda: window_findings(task_vars))
    findings += readable(lambda: operator_findings(task_vars))
    findings += readable(lambda: certificate_findings(task_vars, template))
    findings += readable(lambda: lease_findings(task_vars))
    findings += check_callbacks(constants.DEFAULT_STDOUT_CALLBACK, constants.CALLBACKS_ENABLED)
    findings += renamed_findings(task_vars, given)
    findings += check_operator_become(given, task_vars["groups"], root=os.geteuid() == 0)
    return findings
