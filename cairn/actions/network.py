"""Commit-confirm on the control node; see module cairn_network and docs/explanation/networks.md."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from cairn_host.network.commit import NOBODY

from ..site.networkd import devices, digest, units
from ..site.peers import all_peers, judge
from ..site.planes import read_site
from ..site.window import Need, measured

# No multiplexing: each step must prove that a new connection gets through. ssh uses the first of
# several equal -o options, so these precede the site's, whose jump hosts, keys and ports still
# apply. Of -S and -M, which set the same option, ssh uses the last.
FRESH_SSH = (
    "-o ControlMaster=no -o ControlPath=none -o ConnectTimeout={connect} "
    "-o ServerAliveInterval=3 -o ServerAliveCountMax=2"
)
UNSHARED = "-S none"
NETWORKD = "systemd-networkd.service"
# Seconds after the window until a host must be reachable again.
RETURN_TIME = 60
VARIABLES = (
    "cairn_planes",
    "cairn_public_plane",
    "cairn_first_host_number",
    "cairn_host_number",
    "cairn_nics",
    "cairn_bonds",
    "cairn_host_planes",
)


def desired(task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """The request of `Transaction.arm` for one host, without its window and `keep`."""
    me = task_vars["inventory_hostname"]
    hostvars = task_vars["hostvars"][me]
    variables = {v: hostvars[v] for v in VARIABLES if v in hostvars}
    groups = {group: [me] for group in task_vars["cairn_site"]["hosts"][me]["groups"]}
    # cairn_site has checked everything; only this host's part is needed here.
    site, _ = read_site({me: variables}, groups)
    host = site.hosts[me]
    files = units(host, site)
    if digest(files) != task_vars["cairn_site"]["hosts"][me]["network"]:
        raise AnsibleActionFail(
            f"{me}: the network variables changed after cairn_site was computed; "
            "do not set them after playbooks/preflight.yml"
        )
    vips = [plane["vip"] for plane in task_vars["cairn_site"]["planes"].values() if plane["vip"]]
    return {
        "files": files,
        "hash": digest(files),
        "nics": {nic.name: str(nic.mac) for nic in host.nics.values()},
        "devices": devices(host),
        "unmanaged": vips,
    }


def file_diffs(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, str]]:
    """A difference, in Ansible's form, for every file that is created, changed or removed."""
    return [
        {
            "before_header": path,
            "after_header": path,
            "before": before.get(path, ""),
            "after": after.get(path, ""),
        }
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def account(preview: Mapping[str, Any], network: Mapping[str, Any], wanted: str) -> dict[str, Any]:
    """The result of a change, the same for a plan and for a run.

    preview: as returned by `commit.Transaction.preview`. network: the probe's `network`. wanted:
    the hash of the units.
    """
    links = [
        "".join(f"{line}\n" for line in preview[key]) for key in ("links_before", "links_after")
    ]
    diff = file_diffs(preview["before"], preview["after"])
    diff += file_diffs({"links": links[0]}, {"links": links[1]})
    return {
        "changed": True,
        "diff": diff,
        "restarted": [] if preview["networkd"] else [NETWORKD],
        "reloaded": [NETWORKD] if preview["networkd"] else [],
        "stopped": [],
        "removed": sorted(preview["before"].keys() - preview["after"].keys()),
        "mended": list(network["drift"]) if network["hash"] == wanted else [],
    }


def new_address(task_vars: Mapping[str, Any]) -> str | None:
    """The host's management address, if the change removes the address in use."""
    site = task_vars["cairn_site"]
    me = task_vars["inventory_hostname"]
    present = {
        address.partition("/")[0]
        for nic in task_vars["cairn_host"]["nics"].values()
        for address in nic["addresses"]
    }
    target = str(task_vars.get("ansible_host", me))
    addresses = site["hosts"][me]["addresses"]
    if target in present and target not in addresses.values():
        return str(addresses["management"])
    return None


def key_name(configuration: str, host: str) -> str:
    """The name of a host's key in known_hosts; empty if the configuration has a HostKeyAlias.

    configuration: the output of `ssh -G` for the host.
    """
    options = dict(line.split(" ", 1) for line in configuration.splitlines() if " " in line)
    if "hostkeyalias" in options:
        return ""
    name, port = options.get("hostname", host), options.get("port", "22")
    return name if port == "22" else f"[{name}]:{port}"


def unshared(
    ssh_args: str | None, extra_args: str | None, connect: int, alias: str = ""
) -> dict[str, Any]:
    """Options of Ansible's ssh plugin with which every connection is a new one.

    ssh_args, extra_args: the site's own first and last arguments of ssh.
    """
    fresh = FRESH_SSH.format(connect=connect) + (f" -o HostKeyAlias={alias}" if alias else "")
    return {
        "ssh_args": f"{fresh} {ssh_args or ''}".strip(),
        "ssh_extra_args": f"{extra_args or ''} {UNSHARED}".strip(),
        "reconnection_retries": 0,
    }


def need(task_vars: Mapping[str, Any]) -> Need:
    """The time that the hosts of this play need together."""
    hosts = task_vars["ansible_play_hosts_all"]
    probes = {h: task_vars["hostvars"][h].get("cairn_host", {}) for h in hosts}
    return Need(len(hosts), int(task_vars["ansible_forks"]), measured(probes))


class NetworkAction(ActionBase):  # type: ignore[misc]
    """The steps `applied`, `asked` and `confirmed` of a network change, one after the other."""

    def step(self, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        """Run the step `state`; returns the task's result."""
        if arguments["state"] == "applied":
            return self._applied(arguments, task_vars)
        if not arguments["applied"]["changed"] or self._task.check_mode:
            return {"changed": False, "missing": [], "off": []}
        self._use_fresh_connections(arguments["applied"]["connect"])
        if arguments["state"] == "asked":
            return self._asked(arguments, task_vars)
        return self._confirmed(arguments, task_vars)

    def _module(self, task_vars: Any, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            "cairn_network", module_args=arguments, task_vars=task_vars
        )
        if answer.get("failed") and not answer.get("busy"):
            raise AnsibleActionFail(str(answer.get("msg", answer)))
        return answer

    def _host_key_alias(self, former: str | None) -> tuple[str, str | None]:
        """The alias under which ssh finds the host's key at a new address, and ssh_extra_args.

        The alias is empty if the site configures one, the host keeps its address (`former` is
        None), or the connection is not ssh.
        """
        if former is None or self._connection.transport.rpartition(".")[2] != "ssh":
            return "", None
        program = self._connection.get_option("ssh_executable")
        command = self._connection._build_command(program, "ssh", "-G", former)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return key_name(done.stdout, former), self._connection.get_option("ssh_extra_args")

    def _use_fresh_connections(
        self, connect: int, host: str | None = None, alias: str = ""
    ) -> None:
        """Close the shared connection, which may hang on the old network.

        connect: seconds for a connection to be established. host: the address from now on.
        alias: the name of the host's key in known_hosts.
        """
        if self._connection.transport.rpartition(".")[2] != "ssh":
            return  # not multiplexed, or independent of the network
        self._connection.reset()
        for option, value in unshared(
            self._connection.get_option("ssh_args"),
            self._connection.get_option("ssh_extra_args"),
            connect,
            alias,
        ).items():
            self._connection.set_option(option, value)
        if host:
            self._connection.set_option("host", host)

    def _applied(self, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        me = task_vars["inventory_hostname"]
        network = task_vars["cairn_host"]["network"]
        wanted = task_vars["cairn_site"]["hosts"][me]["network"]
        if network["hash"] == wanted and not (network["drift"] or network["unconfirmed"]):
            return {"changed": False}
        needed, keep = need(task_vars), arguments["keep"]
        window = arguments["window"] or needed.window
        request = desired(task_vars) | {"window": window, "keep": keep}
        if self._task.check_mode:
            preview = self._module(task_vars, state="read", request=request)
            return account(preview, network, wanted)
        address = new_address(task_vars)
        former = str(task_vars["ansible_host"]) if address else None
        alias, extra_args = self._host_key_alias(former)
        started, preview = self._arm(request, task_vars)
        self._use_fresh_connections(needed.connect, address, alias)
        self._wait_until_applied(window, started, task_vars, former)
        result = account(preview, network, wanted) | {
            "started": started,
            "window": window,
            "rest": min(needed.rest, window // 2),
            "connect": needed.connect,
        }
        if address:
            result["address"] = address
            result["former_address"] = former
            result["warnings"] = [f"{me} has the address {address} now; set its ansible_host to it"]
        if alias:
            result["ssh_extra_args"] = f"{extra_args or ''} -o HostKeyAlias={alias}".strip()
            result["warnings"][0] += (
                f". known_hosts has its key as {alias}: add the key as {address}, or set "
                f"ansible_ssh_extra_args to -o HostKeyAlias={alias}"
            )
        return result

    def _arm(self, request: dict[str, Any], task_vars: Any) -> tuple[float, dict[str, Any]]:
        """Start the change, once a change of an interrupted run has reverted.

        Returns the latest time at which its window started, and the preview.
        """
        deadline = time.time() + request["window"] + RETURN_TIME
        while True:
            started = time.time()
            answer = self._module(task_vars, state="arm", request=request)
            if not answer.get("busy"):
                return started, answer
            if time.time() > deadline:
                raise AnsibleActionFail(str(answer["msg"]))
            time.sleep(2)

    def _status(self, task_vars: Any, former: str | None = None) -> dict[str, Any] | None:
        """The change's state over a fresh connection; None if no connection could be made.

        former: the host's old address, if the change replaces it. If the host answers there, the
            change was reverted, or has not started yet (None).
        """
        with contextlib.suppress(AnsibleConnectionFailure):
            return self._module(task_vars, state="status")
        if former:
            with contextlib.suppress(AnsibleConnectionFailure), self._at(former):
                status = self._module(task_vars, state="status")
                return None if status["armed"] else status
        return None

    @contextlib.contextmanager
    def _at(self, address: str) -> Iterator[None]:
        """Use another address of the host within the context."""
        present = self._connection.get_option("host")
        self._connection.set_option("host", address)
        try:
            yield
        finally:
            self._connection.set_option("host", present)

    def _wait_until_applied(
        self, window: int, started: float, task_vars: Any, former: str | None = None
    ) -> None:
        time.sleep(2)
        while time.time() < started + window + RETURN_TIME:
            status = self._status(task_vars, former)
            if status and status["applied"] and status["armed"]:
                return
            if status and not status["armed"]:
                reason = status["error"] or why_reverted(status, window)
                raise AnsibleActionFail(
                    f"the network was not changed: {reason}. "
                    "The old configuration is restored and the host is reachable"
                )
            time.sleep(1)
        raise AnsibleActionFail(
            f"the host is unreachable {RETURN_TIME} s after it should have restored its old "
            "network by itself; look at its console (journalctl -u 'cairn-network-*')"
        )

    def _asked(self, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        site, hostvars = task_vars["cairn_site"], task_vars["hostvars"]
        peers = all_peers(site, task_vars["inventory_hostname"])
        reached = {h for h in site["hosts"] if "os" in hostvars[h].get("cairn_host", {})}
        applied = arguments["applied"]
        deadline = applied["started"] + applied["window"] - applied["rest"]
        while True:
            answer = self._insist(deadline, self._ask, peers, task_vars)
            if answer.get("failed"):
                raise AnsibleActionFail(str(answer.get("msg", answer)))
            judgement = judge(answer["peers"], reached, arguments["excused"])
            if not judgement.missing or time.time() > deadline:
                break
            time.sleep(1)
        return {
            "changed": False,
            "missing": list(judgement.missing),
            "off": list(judgement.off),
            "warnings": [
                f"{host} answers on no plane: it seems to be off" for host in judgement.off
            ],
        }

    def _ask(self, peers: list[dict[str, Any]], task_vars: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            "cairn_peers", module_args={"peers": peers}, task_vars=task_vars
        )
        return answer

    @staticmethod
    def _insist(deadline: float, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Retry a call until a connection is established: jump hosts refuse some of many at once.

        sshd's MaxStartups refuses connections once ten wait for authentication.
        """
        while True:
            try:
                return call(*arguments, **named)
            except AnsibleConnectionFailure:
                if time.time() > deadline:
                    raise
            time.sleep(1)

    def _confirmed(self, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        me, applied = task_vars["inventory_hostname"], arguments["applied"]
        end = applied["started"] + applied["window"]
        missing = {host: asked.get("missing", []) for host, asked in arguments["asked"].items()}
        if not any(missing.values()):
            change = {"hash": task_vars["cairn_site"]["hosts"][me]["network"]}
            kept: dict[str, Any] = self._insist(
                end, self._module, task_vars, state="confirm", request=change
            )
            return kept
        # If no connection gets through, the host reverts by itself.
        with contextlib.suppress(AnsibleConnectionFailure):
            self._insist(end, self._module, task_vars, state="revert")
        self._wait_until_reverted(applied["window"], task_vars, applied.get("former_address"))
        raise AnsibleActionFail(not_confirmed(me, missing))

    def _wait_until_reverted(self, window: int, task_vars: Any, former: str | None) -> None:
        deadline = time.time() + window + RETURN_TIME
        while time.time() < deadline:
            status = self._status(task_vars, former)
            if status and not status["armed"]:
                return
            time.sleep(1)
        raise AnsibleActionFail(
            "the host did not restore its old network; look at its console "
            "(journalctl -u 'cairn-network-*')"
        )


def why_reverted(status: Mapping[str, Any], window: int) -> str:
    """Why an applied change was reverted before the control node got through."""
    reason = status.get("reverted")
    if reason and reason != NOBODY:
        return str(reason)
    return (
        f"the control node did not get through over the new network within {window} s"
        + without_link(status)
    )


def without_link(status: Mapping[str, Any]) -> str:
    """`; bond0 had no link`, if the host saw that before it reverted."""
    devices = status.get("linkless")
    return f"; {', '.join(devices)} had no link" if devices else ""


def not_confirmed(me: str, missing: Mapping[str, list[str]]) -> str:
    """Why a host's change was reverted: its own silent peers, or the hosts that have some."""
    end = "The old configuration is restored and the host is reachable"
    if missing.get(me):
        return "the network was not changed: no answer from " + "; ".join(missing[me]) + f". {end}"
    others = ", ".join(host for host, silent in missing.items() if silent)
    return (
        "the network was not changed, though every peer answered: "
        f"peers must agree, and {others} did not reach all of theirs. {end}"
    )
