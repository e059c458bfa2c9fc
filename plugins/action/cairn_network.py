"""Control node's side of commit-confirm: see its module and docs/explanation/networks.md."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from cairn.site.networkd import devices, digest, units
from cairn.site.peers import all_peers, judge
from cairn.site.planes import read_site
from cairn.site.window import Need, measured
from cairn_host.network.commit import NOBODY

# A fresh connection each time (no multiplexing): a step must prove that a new one gets through.
# The first of several equal -o options counts, so these come before the site's, whose jump hosts,
# keys and ports hold. Of -S and -M, which set the same, the last one counts.
FRESH_SSH = (
    "-o ControlMaster=no -o ControlPath=none -o ConnectTimeout={connect} "
    "-o ServerAliveInterval=3 -o ServerAliveCountMax=2"
)
UNSHARED = "-S none"
NETWORKD = "systemd-networkd.service"
# How long after the window a host may take to be reachable again.
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
    """The request of `commit.begin` for one host, without its window and `keep`."""
    me = task_vars["inventory_hostname"]
    hostvars = task_vars["hostvars"][me]
    variables = {v: hostvars[v] for v in VARIABLES if v in hostvars}
    groups = {group: [me] for group in task_vars["cairn_site"]["hosts"][me]["groups"]}
    # Everything was checked by cairn_site; only this host's part is needed here.
    site, _ = read_site({me: variables}, groups)
    host = site.hosts[me]
    made = units(host, site)
    if digest(made) != task_vars["cairn_site"]["hosts"][me]["network"]:
        raise AnsibleActionFail(
            "the host's network variables are not those that cairn_site was made from; "
            "do not set them after playbooks/preflight.yml"
        )
    vips = [plane["vip"] for plane in task_vars["cairn_site"]["planes"].values() if plane["vip"]]
    return {
        "files": made,
        "hash": digest(made),
        "nics": {nic.name: str(nic.mac) for nic in host.nics.values()},
        "devices": devices(host),
        "spare": vips,
    }


def file_diffs(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, str]]:
    """Ansible's form of a difference for every file that is made, changed or put aside."""
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
    """What a change does, the same for a plan and for a run.

    preview: as `commit.Trial.preview` gives it. network: what the probe said; wanted: the hash
    of the units.
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
    """The host's management address, if the one it is reached by now will be gone."""
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


def key_name(shown: str, host: str) -> str:
    """Under which name known_hosts has a host's key; empty where a HostKeyAlias says it anyway.

    shown: what `ssh -G` prints for the host.
    """
    options = dict(line.split(" ", 1) for line in shown.splitlines() if " " in line)
    if "hostkeyalias" in options:
        return ""
    name, port = options.get("hostname", host), options.get("port", "22")
    return name if port == "22" else f"[{name}]:{port}"


def unshared(
    ssh_args: str | None, extra_args: str | None, connect: int, alias: str = ""
) -> dict[str, Any]:
    """Options of Ansible's ssh connection that make each of its connections a new one.

    ssh_args, extra_args: what the site configured, in front of and behind everything else.
    """
    fresh = FRESH_SSH.format(connect=connect) + (f" -o HostKeyAlias={alias}" if alias else "")
    return {
        "ssh_args": f"{fresh} {ssh_args or ''}".strip(),
        "ssh_extra_args": f"{extra_args or ''} {UNSHARED}".strip(),
        "reconnection_retries": 0,
    }


def need(task_vars: Mapping[str, Any]) -> Need:
    """What the hosts of this play need together."""
    hosts = task_vars["ansible_play_hosts_all"]
    known = {h: task_vars["hostvars"][h].get("cairn_host", {}) for h in hosts}
    return Need(len(hosts), int(task_vars["ansible_forks"]), measured(known))


class ActionModule(ActionBase):
    """`state: applied`, `asked` and `confirmed`, one after the other."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        """Do one step; see the module's documentation."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "state": {"required": True, "choices": ["applied", "asked", "confirmed"]},
                "window": {"type": "int"},
                "keep": {"type": "list", "elements": "str", "default": []},
                "excused": {"type": "list", "elements": "str", "default": []},
                "applied": {"type": "dict"},
                "asked": {"type": "dict"},
            }
        )
        if arguments["state"] == "applied":
            return result | self._applied(arguments, task_vars)
        if not arguments["applied"]["changed"] or self._task.check_mode:
            return result | {"changed": False, "missing": [], "off": []}
        self._use_fresh_connections(arguments["applied"]["connect"])
        if arguments["state"] == "asked":
            return result | self._asked(arguments, task_vars)
        return result | self._confirmed(arguments, task_vars)

    def _module(self, task_vars: Any, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            "cairn_network", module_args=arguments, task_vars=task_vars
        )
        if answer.get("failed") and not answer.get("busy"):
            raise AnsibleActionFail(str(answer.get("msg", answer)))
        return answer

    def _host_key_alias(self, former: str | None) -> tuple[str, str | None]:
        """The name under which ssh knows the host's key, for when the host has another address.

        Empty where the site has one configured, the host keeps its address (`former` is None), or
        the connection is not ssh. With it the site's own last arguments of ssh.
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
        """Leave the shared connection, which may hang on the old network.

        connect: seconds for one connection to come about. host: another address from now on.
        alias: under which name that host's key is known.
        """
        if self._connection.transport.rpartition(".")[2] != "ssh":
            return  # a connection that does not depend on the network, or shares none
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
        if network["hash"] == wanted and not (network["drift"] or network["trial"]):
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
        started, begun = self._begin(request, task_vars)
        self._use_fresh_connections(needed.connect, address, alias)
        self._wait_until_applied(window, started, task_vars, former)
        result = account(begun, network, wanted) | {
            "started": started,
            "window": window,
            "rest": min(needed.rest, window // 2),
            "connect": needed.connect,
        }
        if address:
            result["address"] = address
            result["former_address"] = former
            result["warnings"] = [f"{me} is at {address} now; set its ansible_host to that"]
        if alias:
            result["ssh_extra_args"] = f"{extra_args or ''} -o HostKeyAlias={alias}".strip()
            result["warnings"][0] += (
                f". Its key is known under {alias}: add it to known_hosts under {address}, or set "
                f"ansible_ssh_extra_args to -o HostKeyAlias={alias}"
            )
        return result

    def _begin(self, request: dict[str, Any], task_vars: Any) -> tuple[float, dict[str, Any]]:
        """Start the change, after one that a killed controller left behind has ended.

        Returns when its window began, at the latest, and what it changes.
        """
        deadline = time.time() + request["window"] + RETURN_TIME
        while True:
            started = time.time()
            answer = self._module(task_vars, state="begin", request=request)
            if not answer.get("busy"):
                return started, answer
            if time.time() > deadline:
                raise AnsibleActionFail(str(answer["msg"]))
            time.sleep(2)

    def _status(self, task_vars: Any, former: str | None = None) -> dict[str, Any] | None:
        """The trial's state over a fresh connection; None if no connection could be made.

        former: the address that the host had before, if the change gives it another. Where it
            answers there its change was taken back, or has not begun (None).
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
        """Connect to another address of the host meanwhile."""
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
                    "The old configuration is back and the host is reachable"
                )
            time.sleep(1)
        raise AnsibleActionFail(
            f"the host cannot be reached, {RETURN_TIME} s after it should have restored its old "
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
        found: dict[str, Any] = self._execute_module(
            "cairn_peers", module_args={"peers": peers}, task_vars=task_vars
        )
        return found

    @staticmethod
    def _insist(deadline: float, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call until a connection comes about: a jump host refuses some of many at once.

        sshd (MaxStartups) begins to refuse when ten wait for their login.
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
        # Where nobody gets through the host reverts by itself.
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
        raise AnsibleActionFail("the host did not restore its old network; look at its console")


def why_reverted(status: Mapping[str, Any], window: int) -> str:
    """Why a change that was applied is taken back before anybody got through."""
    reason = status.get("reverted")
    if reason and reason != NOBODY:
        return str(reason)
    return (
        f"the control node did not get through over the new network within {window} s"
        + without_link(status)
    )


def without_link(status: Mapping[str, Any]) -> str:
    """`; bond0 had no link`, if the host saw that before it took the change back."""
    devices = status.get("linkless")
    return f"; {', '.join(devices)} had no link" if devices else ""


def not_confirmed(me: str, missing: Mapping[str, list[str]]) -> str:
    """Why a host's change was taken back: its own silent peers, else who has some."""
    end = "The old configuration is back and the host is reachable"
    if missing.get(me):
        return "the network was not changed: no answer from " + "; ".join(missing[me]) + f". {end}"
    others = ", ".join(host for host, silent in missing.items() if silent)
    return (
        "the network was not changed, though every peer answered: "
        f"peers must agree, and {others} did not reach all of theirs. {end}"
    )
