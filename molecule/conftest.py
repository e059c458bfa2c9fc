"""Connects testinfra to hosts as Ansible does, and gives tests the facts of the inventory.

testinfra reads an inventory but does not template it.
"""

from __future__ import annotations

import ipaddress
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pytest
import testinfra.utils.ansible_runner as runner
from ansible.cli import CLI
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

_read_inventory = runner.get_ansible_inventory
# One connection per host for all of its tests, as in ansible.cfg; testinfra sets no control path.
_sockets = tempfile.TemporaryDirectory(prefix="cairn-ssh-")


def templated_inventory(config: Any, inventory_file: str | None) -> dict[str, Any]:
    """Return `ansible-inventory --list` with the connection variables (ansible_*) templated."""
    inventory: dict[str, Any] = _read_inventory(config, inventory_file)
    init_plugin_loader([])
    loader = DataLoader()
    loader.set_vault_secrets(CLI.setup_vault_secrets(loader, [], auto_prompt=False))
    hosts = InventoryManager(loader=loader, sources=[inventory_file] if inventory_file else None)
    variables = VariableManager(loader=loader, inventory=hosts)
    for name, found in inventory["_meta"]["hostvars"].items():
        known = variables.get_vars(host=hosts.get_host(name))
        templar = Templar(loader, variables=known)
        for variable in [variable for variable in found if variable.startswith("ansible_")]:
            found[variable] = templar.template(known[variable])
        found.setdefault("ansible_ssh_extra_args", f"-o ControlPath={_sockets.name}/%C")
    return inventory


runner.get_ansible_inventory = templated_inventory


class Site:
    """A host's addresses, derived from the inventory without Cairn's own code."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self._variables = variables
        self.planes: dict[str, Any] = variables["cairn_planes"]
        self.groups: list[str] = variables["group_names"]
        self.name: str = variables["inventory_hostname"]

    def address(self, plane: str = "management", number: int | None = None) -> str:
        """Return the address on a plane of this host, or of the host with that number."""
        first = ipaddress.ip_address(self.planes[plane]["range"].split("-")[0].strip())
        if number is None:
            own = self._variables["cairn_host_planes"].get(plane, {}).get("address")
            if own:
                return str(own)
            number = self._variables["cairn_host_number"]
        return str(first + number - self._variables.get("cairn_first_host_number", 11))

    def setting(self, name: str, default: Any) -> Any:
        """Return a variable of the tested host, or its role's default."""
        return self._variables.get(name, default)

    def has(self, service: str) -> bool:
        """Return whether the site deploys an optional service; by default it deploys all."""
        chosen = self._variables.get("cairn_services")
        return chosen is None or service in chosen

    def vip(self, side: str) -> str:
        """Return the internal or the public VIP."""
        public = self._variables.get("cairn_public_plane", "service")
        return str(self.planes["management" if side == "internal" else public]["vip"])


@pytest.fixture
def site(host: Any) -> Site:
    """Return the tested host's part of the site."""
    return Site(host.ansible.get_variables())


@pytest.fixture
def groups(site: Site) -> list[str]:
    """Return the groups of the tested host."""
    return site.groups


@pytest.fixture
def on(groups: list[str]) -> Callable[..., None]:
    """Return a function that skips the test on hosts in none of the groups it is called with."""

    def skip_unless(*wanted: str) -> None:
        if not set(wanted) & set(groups):
            pytest.skip(f"not a {' or '.join(wanted)} host")

    return skip_unless


@pytest.fixture
def runs(host: Any, groups: list[str]) -> Callable[..., None]:
    """Return a function that asserts that units run here, as they are on disk, and start at boot.

    Positional arguments are units of every host; keywords name a group and the units of its hosts.
    """

    def check(*everywhere: str, **units: tuple[str, ...]) -> None:
        here = [name for group, names in units.items() if group in groups for name in names]
        wanted = [*everywhere, *here]
        assert wanted, f"no unit of a host in {groups} is named"
        states = {u: (host.service(u).is_running, host.service(u).is_enabled) for u in wanted}
        assert states == dict.fromkeys(wanted, (True, True))
        unread = "systemctl show --property=NeedDaemonReload --value --"
        assert set(host.check_output(f"{unread} {' '.join(wanted)}").split()) == {"no"}

    return check


@pytest.fixture
def listeners(host: Any) -> Callable[[int], set[str]]:
    """Return a function that returns the addresses on which a TCP or UDP port is open."""
    lines = host.check_output("ss --no-header --numeric --listening --tcp --udp").splitlines()
    sockets = [line.split()[4].rpartition(":") for line in lines]
    return lambda port: {address for address, _, number in sockets if number == str(port)}


@pytest.fixture
def fetched(host: Any) -> Callable[..., None]:
    """Return a function that waits until each queue of a virtual host has a consumer.

    An agent starts to consume long after its unit is active: it loads its drivers first.
    """

    def check(vhost: str, *queues: str, seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        command = f"rabbitmqctl --quiet list_queues --vhost {vhost} name consumers"
        while True:
            lines = host.check_output(command).splitlines()[1:]
            consumers = dict(line.split("\t") for line in lines)
            idle = [queue for queue in queues if not int(consumers.get(queue, 0))]
            if not idle:
                return
            assert time.monotonic() < end, f"nobody fetches from {idle}"
            time.sleep(1)

    return check


@pytest.fixture
def own_url(site: Site, listeners: Callable[[int], set[str]]) -> Callable[..., str]:
    """Return a function that returns a service's own URL at a port.

    The load balancer is at the same port of the VIPs; nobody else may listen there.
    """

    def url(port: int, path: str = "") -> str:
        address = site.address("management")
        assert listeners(port) - {site.vip("internal"), site.vip("public")} == {address}
        return f"http://{address}:{port}{path}"

    return url


# Prefix of scripts: a session of the service's own account, through the load balancer.
SESSION = """
from keystoneauth1 import loading
from oslo_config import cfg
conf = cfg.ConfigOpts()
conf(["--config-file", "{file}"], project="{service}")
loading.register_session_conf_options(conf, "keystone_authtoken")
loading.register_auth_conf_options(conf, "keystone_authtoken")
session = loading.load_session_from_conf_options(
    conf,
    "keystone_authtoken",
    auth=loading.load_auth_from_conf_options(conf, "keystone_authtoken"),
)
"""


@pytest.fixture
def as_service(host: Any) -> Callable[[str, str, str], str]:
    """Return a function that runs Python with a service's `session` and returns its output.

    It takes the service, its file with credentials, and the script.
    """

    def run(service: str, file: str, script: str) -> str:
        done = host.run(
            "runuser --user=%s -- %s -c %s",
            service,
            f"/var/lib/cairn/services/{service}/current/venv/bin/python",
            SESSION.format(service=service, file=file) + script,
        )
        assert done.rc == 0, done.stderr[-2000:]
        return str(done.stdout)

    return run


@pytest.fixture
def status(host: Any) -> Callable[[str], str]:
    """Return a function that requests a URL on the host itself and returns the HTTP status."""

    def ask(url: str) -> str:
        asked = host.run("curl --silent --output /dev/null --write-out '%%{http_code}' %s", url)
        return str(asked.stdout)

    return ask
