"""A host that is only files and a made-up kernel, to try a change of its network on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cairn_host.network import commit

MAC = "52:54:00:00:00:13"
OTHER_MAC = "52:54:00:00:14:13"


class FakeKernel(commit.Kernel):
    """Cards by MAC; addresses and MTUs appear when networkd reads its units."""

    def __init__(self, units: Path) -> None:
        self.units = units
        self.names = {MAC: "eth0", OTHER_MAC: "eth1"}
        self.up_to_date = True
        self.wanted: dict[str, dict[str, Any]] = {}
        self.devices: dict[str, dict[str, Any]] = {
            "eth0": {"addresses": ["10.0.0.200/24"], "mtu": 1500},
            "eth1": {"addresses": [], "mtu": 1500},
        }
        self.deleted: list[str] = []
        self.unlinked: set[str] = set()
        self.timer = False
        self.networkd_state = {"active": False, "enabled": False}
        self.ifupdown_has: list[str] = []
        self.announced: list[tuple[str, str]] = []

    def show(self) -> dict[str, dict[str, Any]]:
        flags = {True: ["NO-CARRIER", "UP"], False: ["UP", "LOWER_UP"]}
        return {name: {"flags": flags[name in self.unlinked]} for name in self.devices}

    def cards(self) -> dict[str, str]:
        return dict(self.names)

    def announce(self, devices: Mapping[str, Any]) -> None:
        self.announced += [(d, a) for d, wanted in devices.items() for a in wanted["addresses"]]

    def rename(self, wanted: Mapping[str, str]) -> None:
        for mac, name in wanted.items():
            old = self.names[mac]
            if name != old:
                self.devices[name] = self.devices.pop(old)
                self.names[mac] = name

    def delete(self, device: str) -> None:
        if self.devices.pop(device, None):
            self.deleted.append(device)

    def state(self) -> dict[str, dict[str, Any]]:
        return {
            k: {"addresses": list(v["addresses"]), "mtu": v["mtu"]} for k, v in self.devices.items()
        }

    def routes(self) -> list[str]:
        return []

    def active(self, unit: str) -> bool:
        return self.timer and unit == f"{commit.TIMER}.timer"

    def networkd(self) -> dict[str, bool]:
        return dict(self.networkd_state)

    def ifupdown(self) -> list[str]:
        return list(self.ifupdown_has)


class Host:
    """A network change below a temporary root, with every command recorded."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.units = root / "etc/systemd/network"
        self.units.mkdir(parents=True)
        self.resolver = root / "etc/resolv.conf"
        self.kernel = FakeKernel(self.units)
        self.change = commit.Transaction(root, self.kernel)
        self.commands: list[str] = []
        self.failing = ""

    def run(self, *command: str, check: bool = True, limit: float = 0.0) -> str:
        line = " ".join(command)
        self.commands.append(line)
        if self.failing and self.failing in line and check:
            raise commit.NetworkError(f"{line}: refused")
        if "ifdown --force" in line:
            self.kernel.devices[command[-1]]["addresses"].clear()
            self.resolver.write_text("# the DHCP client took them away\n")
        if line.startswith("systemd-run --unit=cairn-network-revert"):
            self.kernel.timer = True
        if line.startswith("systemctl stop cairn-network-revert.timer"):
            self.kernel.timer = False
        if line.startswith(("systemctl start systemd-networkd", "networkctl reload")):
            for device, wanted in self.kernel.wanted.items():
                present = self.kernel.devices.setdefault(device, {"addresses": [], "mtu": 0})
                present["mtu"] = wanted["mtu"]
                present["addresses"] += [
                    a for a in wanted["addresses"] if a not in present["addresses"]
                ]
        if line.startswith("ip address delete"):
            self.kernel.devices[command[5]]["addresses"].remove(command[3])
        if line.startswith("ip address add"):
            self.kernel.devices[command[5]]["addresses"].append(command[3])
        if line.startswith("ip link set dev") and "mtu" in command:
            self.kernel.devices[command[4]]["mtu"] = int(command[6])
        return ""

    def files(self) -> dict[str, str]:
        """Everything that configures the network, by path."""
        return {
            str(p.relative_to(self.root)): p.read_text()
            for folder in ("etc/systemd/network", "etc/network", "etc/netplan")
            for p in sorted((self.root / folder).rglob("*"))
            if p.is_file()
        }

    def request(self, **changes: Any) -> dict[str, Any]:
        return {
            "files": {"20-cairn-mgmt0.link": "link\n", "20-cairn-mgmt0.network": "network\n"},
            "hash": "new",
            "nics": {"mgmt0": MAC},
            "devices": {"mgmt0": {"addresses": ["10.0.0.13/24"], "mtu": 1500}},
            "unmanaged": ["10.0.0.10"],
            "keep": ["50-ipmi.network"],
            "window": 45,
        } | changes

    def arm(self, **changes: Any) -> dict[str, Any]:
        request = self.request(**changes)
        self.kernel.wanted = request["devices"]
        return self.change.arm(request, "program")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(commit, "run", made.run)
    monkeypatch.setattr(commit, "SETTLE", 0.0)
    (made.units / "10-bootstrap.network").write_text("[Match]\nName=eth0\n")
    (made.units / "50-ipmi.network").write_text("kept\n")
    (tmp_path / "etc/network/interfaces.d").mkdir(parents=True)
    (tmp_path / "etc/network/interfaces").write_text("auto eth0\n")
    (tmp_path / "etc/network/interfaces.d/eth1").write_text("auto eth1\n")
    made.resolver.write_text("nameserver 10.0.0.53\n")
    return made
