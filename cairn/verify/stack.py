"""A stack created, updated and deleted as a user would; its instance signals from inside."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from openstack import exceptions

from ..site.host_names import is_address
from .connectivity import HTTP_SECONDS, disk_sizes, fetch, pings
from .finding import Finding, Findings
from .run import DELETE_SECONDS, ProofError, Run, endpoint, explained, user_cloud, wait

SERVICE = "orchestration"
NETWORK = "10.254.253.0/24"
TRIES = 10  # of the instance, to send a signal: its network may not be whole yet
# Resources that represent resources of another service: name, service, listing.
OUTSIDE = {
    "OS::Nova::Server": ("instance", "compute", "servers"),
    "OS::Cinder::Volume": ("volume", "block_storage", "volumes"),
    "OS::Neutron::FloatingIP": ("floating IP", "network", "ips"),
    "OS::Neutron::Port": ("port", "network", "ports"),
    "OS::Neutron::Router": ("router", "network", "routers"),
    "OS::Neutron::SecurityGroup": ("security group", "network", "security_groups"),
    "OS::Neutron::Subnet": ("subnet", "network", "subnets"),
    "OS::Neutron::Net": ("network", "network", "networks"),
}
PARAMETERS = ("name", "image", "flavor", "external", "user_data")

# What the instance runs. Words between @ are filled in here, those between % by heat.
USER_DATA = """\
#!/bin/sh
cat >/run/ca.pem <<END
@authority@
END
export SSL_CERT_FILE=/run/ca.pem
@resolve@
signal() {
    for try in $(seq @tries@); do
        send "$@" && return
        sleep 3
    done
}
name="$(hostname)"
said="${name%%.*} @nonce@"
signal POST '%endpoint%' '{"status": "SUCCESS", "data": "'"$said"'"}' 'X-Auth-Token: %token%'
signal PUT '%signed%' '{"Status": "SUCCESS", "Reason": "up", "UniqueId": "1", "Data": "'"$said"'"}'
"""


def rule(protocol: str, port: int | None = None) -> dict[str, Any]:
    """A security group rule that allows a protocol from everywhere."""
    ports = {"port_range_min": port, "port_range_max": port} if port else {}
    return {"protocol": protocol, "remote_ip_prefix": "0.0.0.0/0", **ports}


def template(*, seconds: int, volume: bool, page: bool) -> dict[str, Any]:
    """The stack's template: an instance with network, floating IP, optional volume, and outputs.

    `seconds` limits the wait for the instance's signals, `page` is whether port 80 is open.
    """

    def resource(kind: str, depends_on: str | None = None, **properties: Any) -> dict[str, Any]:
        found: dict[str, Any] = {"type": kind, "properties": properties}
        return found | ({"depends_on": depends_on} if depends_on else {})

    def of(name: str) -> dict[str, str]:
        return {"get_resource": name}

    def given(name: str) -> dict[str, str]:
        return {"get_param": name}

    signals = {
        "%endpoint%": {"get_attr": ["handle", "endpoint"]},
        "%token%": {"get_attr": ["handle", "token"]},
        "%signed%": of("signed_handle"),
    }
    resources = {
        "network": resource("OS::Neutron::Net"),
        "subnet": resource("OS::Neutron::Subnet", network=of("network"), cidr=NETWORK),
        "router": resource(
            "OS::Neutron::Router", external_gateway_info={"network": given("external")}
        ),
        "interface": resource(
            "OS::Neutron::RouterInterface", router=of("router"), subnet=of("subnet")
        ),
        "group": resource(
            "OS::Neutron::SecurityGroup",
            rules=[rule("icmp"), *([rule("tcp", 80)] if page else [])],
        ),
        "port": resource(
            "OS::Neutron::Port",
            network=of("network"),
            fixed_ips=[{"subnet": of("subnet")}],
            security_groups=[of("group")],
        ),
        "address": resource(
            "OS::Neutron::FloatingIP",
            depends_on="interface",
            floating_network=given("external"),
            port_id=of("port"),
        ),
        "server": resource(
            "OS::Nova::Server",
            depends_on="address",
            name=given("name"),
            image=given("image"),
            flavor=given("flavor"),
            networks=[{"port": of("port")}],
            user_data_format="RAW",
            # The handle returns another token each time: any update would replace the instance.
            user_data_update_policy="IGNORE",
            user_data={"str_replace": {"template": given("user_data"), "params": signals}},
        ),
        # Two ways to signal: with a token to heat's own API, by a signed URL to CloudFormation's.
        "handle": resource("OS::Heat::WaitConditionHandle"),
        "signal": resource(
            "OS::Heat::WaitCondition", depends_on="server", handle=of("handle"), timeout=seconds
        ),
        "signed_handle": resource("AWS::CloudFormation::WaitConditionHandle"),
        "signed_signal": resource(
            "AWS::CloudFormation::WaitCondition",
            depends_on="server",
            Handle=of("signed_handle"),
            Timeout=seconds,
        ),
    }
    if volume:
        resources["volume"] = resource("OS::Cinder::Volume", size=1)
        resources["attachment"] = resource(
            "OS::Cinder::VolumeAttachment", instance_uuid=of("server"), volume_id=of("volume")
        )
    return {
        "heat_template_version": "2021-04-16",
        "parameters": {name: {"type": "string"} for name in PARAMETERS},
        "resources": resources,
        "outputs": {
            "server": {"value": of("server")},
            "address": {"value": {"get_attr": ["address", "floating_ip_address"]}},
            "signal": {"value": {"get_attr": ["signal", "data"]}},
            "signed_signal": {"value": {"get_attr": ["signed_signal", "Data"]}},
        },
    }


def user_data(endpoint: str, authority: str, nonce: str) -> str:
    """The instance's script: its CA, the address of `endpoint`'s host, and its signals."""
    host = str(urlsplit(endpoint).hostname)
    resolve = ""
    if not is_address(host):
        # The site's names need not be known to the instance's resolver.
        resolve = f"echo '{socket.gethostbyname(host)} {host}' >>/etc/hosts"
    words = {"authority": authority.strip(), "resolve": resolve, "nonce": nonce, "tries": TRIES}
    text = USER_DATA
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text


def settled(user: Any, stack: str, wanted: str, seconds: float) -> Any:
    """Wait until the stack is `wanted`, and return it; ProofError with the failed resources.

    A deleted stack is returned as its id: heat still returns it, but the SDK does not.
    """

    def ask() -> Any:
        try:
            found = user.orchestration.get_stack(stack)
        except exceptions.NotFoundException:
            if wanted != "DELETE_COMPLETE":
                raise
            return stack
        if found.status.endswith("_FAILED"):
            failed = [
                f"{one.name} ({one.resource_type}): {one.status_reason}"
                for one in user.orchestration.resources(found)
                if one.status.endswith("_FAILED")
            ]
            reasons = "; ".join([str(found.status_reason), *failed])
            raise ProofError(f"the stack went to {found.status}: {reasons}")
        return found if found.status == wanted else None

    with explained("asking heat for the stack"):
        return wait(f"stack {stack} {wanted}", seconds, ask, interval=2)


def outputs_of(stack: Any) -> dict[str, Any]:
    """A stack's outputs by name."""
    return {one["output_key"]: one["output_value"] for one in stack.outputs}


def signalled(outputs: dict[str, Any], name: str, wanted: str) -> str:
    """The data of a wait condition's signal; ProofError if it is not `wanted`."""
    said = list(json.loads(outputs[name] or "{}").values())
    if said != [wanted]:
        raise ProofError(f"the wait condition {name} has {said}, not {wanted!r}")
    return wanted


def asked(user: Any, run: Run, ca_file: str | None, seconds: int, *, page: bool) -> dict[str, Any]:
    """The request to heat: template and parameters, with port 80 open if `page`."""
    with explained("asking neutron for the external network"):
        external = user.network.get_ip(run.ids["floating_ip"]).floating_network_id
    heat = user.session.get_endpoint(service_type=SERVICE, interface="public")
    authority = Path(ca_file).read_text() if ca_file else ""
    return {
        "template": template(seconds=seconds, volume=has_volume(run), page=page),
        "parameters": {
            "name": stack_name(run),
            "image": run.ids["image"],
            "flavor": run.ids["flavor"],
            "external": external,
            "user_data": user_data(heat, authority, run.nonce),
        },
    }


def stack_name(run: Run) -> str:
    """The name of a run's stack and of its instance."""
    return f"{run.name}-stack"


def has_volume(run: Run) -> bool:
    """Whether a run's stack has a volume."""
    return "block-storage" in run.services


def create(admin: Any, run: Run, ca_file: str | None, seconds: int) -> str:
    """Create a stack without waiting for it; returns a sentence about it.

    `ca_file` signed the certificate of the public APIs, which the instance calls; `seconds` limits
    the stack's wait conditions.
    """
    user = user_cloud(admin, run)
    wanted = asked(user, run, ca_file, seconds, page=False)
    with explained("asking heat for a stack"):
        made = user.orchestration.create_stack(name=stack_name(run), **wanted)
    run.ids["stack"] = made.id
    return f"stack {made.id} is being created"


def stack(admin: Any, run: Run, ca_file: str | None, seconds: int) -> list[Finding]:
    """Wait for the stack that `create` asked for (or create it now), then update and delete it.

    ProofError if a step fails; `ca_file` as for `create`, `seconds` limits each of creation,
    signals and update.
    """
    if "stack" not in run.ids:
        create(admin, run, ca_file, seconds)
    user = user_cloud(admin, run)
    name, volume, made = stack_name(run), has_volume(run), run.ids["stack"]
    found = Findings()
    outputs = outputs_of(settled(user, made, "CREATE_COMPLETE", 2 * seconds))
    kinds = "instance, network, floating IP" + (", volume" if volume else "")
    found.tell("stack created", f"{kinds}; two wait conditions answered")
    for condition, way in (("signal", "a token"), ("signed_signal", "a signed URL")):
        said = signalled(outputs, condition, f"{name} {run.nonce}")
        found.tell(f"signal from inside, by {way}", f"the instance says {said!r}")

    server, address = outputs["server"], outputs["address"]
    wait(f"a ping of the stack's floating IP {address}", seconds, lambda: pings(address))
    if fetch(address, "/cgi-bin/status") is not None:
        raise ProofError(f"http://{address}/ answers, though the stack's port 80 is closed")
    with explained("asking heat to change the stack"):
        user.orchestration.update_stack(made, **asked(user, run, ca_file, seconds, page=True))
    outputs = outputs_of(settled(user, made, "UPDATE_COMPLETE", seconds))
    if outputs["server"] != server:
        raise ProofError(f"the update replaced the instance {server} by {outputs['server']}")

    def answers() -> list[dict[str, int]]:
        page = fetch(address, "/cgi-bin/disks")
        disks = None if page is None else disk_sizes(page)
        return [] if disks is None else [disks]

    (disks,) = wait(f"http://{address}/cgi-bin/disks", HTTP_SECONDS, answers)
    sizes = list(disks.values())
    if sizes != ([1] if volume else []):
        raise ProofError(f"the stack's instance has further disks of {sizes} GiB")
    found.tell("stack updated", f"{address} now serves port 80 too; further disks: {len(sizes)}")

    parts = parts_of(user, made, volume)
    with explained("asking heat to delete the stack"):
        user.orchestration.delete_stack(made)
    settled(user, made, "DELETE_COMPLETE", DELETE_SECONDS)
    left = remains(user, parts)
    if left:
        raise ProofError(f"the deleted stack left {', '.join(left)}")
    words = [word for kind, (word, *_) in OUTSIDE.items() if kind in parts]
    found.tell("stack deleted", f"gone with it: {', '.join(words)}")
    run.times["stack"] = time.time()
    return found


def parts_of(user: Any, stack: str, volume: bool) -> dict[str, set[str]]:
    """A stack's resources in other services, by type; ProofError if heat does not list them."""
    parts: dict[str, set[str]] = {}
    with explained("asking heat what the stack has made"):
        for one in user.orchestration.resources(stack):
            if one.resource_type in OUTSIDE and one.physical_resource_id:
                parts.setdefault(one.resource_type, set()).add(one.physical_resource_id)
    unknown = set(OUTSIDE) - set(parts) - (set() if volume else {"OS::Cinder::Volume"})
    if unknown:
        raise ProofError(f"heat does not list the stack's {', '.join(sorted(unknown))}")
    return parts


def remains(user: Any, parts: dict[str, set[str]]) -> list[str]:
    """What remains of a deleted stack with these `parts`."""
    left = []
    with explained("looking for what the stack left"):
        for kind, ids in parts.items():
            word, service, listing = OUTSIDE[kind]
            there = getattr(getattr(user, service), listing)()
            left += [f"{word} {one.id}" for one in there if one.id in ids]
    return left


def forget(admin: Any, project: str) -> list[str]:
    """Delete a project's stacks; returns them, in words.

    Heat shows stacks only to their own project, so the administrator becomes a member of it.
    """
    if endpoint(admin, SERVICE) is None:
        return []
    role = admin.identity.find_role("admin", ignore_missing=False)
    admin.identity.assign_project_role_to_user(project, admin.current_user_id, role)
    inside = admin.connect_as(project_id=project)
    left = [one for one in inside.orchestration.stacks() if one.status != "DELETE_COMPLETE"]
    for one in left:
        inside.orchestration.delete_stack(one)
    for one in left:
        try:
            inside.orchestration.wait_for_status(
                one, "DELETE_COMPLETE", ["DELETE_FAILED"], wait=DELETE_SECONDS
            )
        except exceptions.NotFoundException:
            continue
    return [f"stack {one.name}" for one in left]
