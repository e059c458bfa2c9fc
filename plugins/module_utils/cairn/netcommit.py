"""Changes a host's network so that it changes back unless somebody confirms.

Runs on the managed host, as a copy in /var/lib/cairn/network and with the standard library only:
by then nobody may be able to reach the host. The steps of one trial:

    begin    save the old configuration, arm a timer that reverts, start `apply` detached
    apply    old units away, new units in, devices renamed, networkd told; its outcome in a file
    confirm  the controller came back and all peers answer: disarm, keep
    revert   the timer's, the next boot's or the controller's: everything as it was before

`trial/armed` exists from the moment the old configuration is safely saved until the trial ends;
whoever removes it (under the lock) has decided the outcome.
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PREFIX = "20-cairn-"
UNIT_SUFFIXES = (".link", ".netdev", ".network")
TIMER = "cairn-network-revert"
APPLIER = "cairn-network-apply"
BOOT_UNIT = "cairn-network-boot.service"
NETWORKD = (
    "systemd-networkd-wait-online.service",
    "systemd-networkd.socket",
    "systemd-networkd.service",
)
LOOPBACK_ONLY = (
    "# The network is systemd-networkd's: /etc/systemd/network/20-cairn-*.\n"
    "auto lo\niface lo inet loopback\n"
)
# How long networkd may take until every address is there, in seconds.
SETTLE = 15.0
# A DHCP client that finds no server, or somebody's hook, must not hold up the rest for ever.
IFUPDOWN_LIMIT = 60
BOOT_TEXT = """\
[Unit]
Description=Restore the network configuration that was in force before an unconfirmed change
ConditionPathExists={state}/trial/armed
DefaultDependencies=no
RequiresMountsFor={state} /etc
After=systemd-remount-fs.service systemd-udevd.service
Before=network-pre.target systemd-networkd.service networking.service
Wants=network-pre.target

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 {state}/netcommit.py boot

[Install]
WantedBy=sysinit.target
"""


class NetworkError(Exception):
    """The change was not made, or was taken back; the text says why."""


class BusyError(NetworkError):
    """Another change is within its window."""


def run(*command: str, check: bool = True) -> str:
    """Run a command; return what it printed. NetworkError when it fails and `check` is set."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise NetworkError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all, and onto the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def copy(source: Path, target: Path) -> None:
    """Copy a file or link with owner and mode: netplan's units are for networkd's group only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() or target.is_symlink():
        target.unlink(missing_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
    status = source.lstat()
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)


def announcement(mac: str, address: str) -> bytes:
    """An Ethernet frame that tells everybody whose an IPv4 address is (RFC 5227)."""
    own, ip = bytes.fromhex(mac.replace(":", "")), socket.inet_aton(address)
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + ip + bytes(6) + ip
    return b"\xff" * 6 + own + struct.pack("!H", 0x0806) + arp


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Files:
    """The configuration files of a host's network; `root` differs only in tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        """Paths below `root`."""
        self.root = root
        self.units = root / "etc/systemd/network"
        self.resolver = root / "etc/resolv.conf"
        self.state = root / "var/lib/cairn/network"
        self.trial = self.state / "trial"
        self.armed = self.trial / "armed"
        self.old = self.trial / "old"

    def configuration(self, keep: list[str]) -> list[Path]:
        """Every file that configures the network now, except units that match `keep`."""
        units = [
            p
            for p in sorted(self.units.glob("*"))
            if p.suffix in UNIT_SUFFIXES and not any(fnmatch.fnmatch(p.name, k) for k in keep)
        ]
        others = [
            self.root / "etc/network/interfaces",
            *sorted((self.root / "etc/network/interfaces.d").glob("*")),
            *sorted((self.root / "etc/netplan").glob("*.yaml")),
            *sorted((self.root / "run/systemd/network").glob("*-netplan-*")),
        ]
        return units + [p for p in others if p.is_file()]

    def save(self, keep: list[str]) -> list[str]:
        """Copy the present configuration into the trial; returns the paths below the root."""
        saved = [path.relative_to(self.root) for path in self.configuration(keep)]
        # What the DHCP client takes away when it ends is not configuration, but wanted back.
        resolver = [self.resolver.relative_to(self.root)] if self.resolver.exists() else []
        for relative in saved + resolver:
            copy(self.root / relative, self.old / relative)
        return [str(relative) for relative in saved]

    def replace(self, units: Mapping[str, str], keep: list[str]) -> None:
        """Put new units in the place of whatever configured the network before."""
        interfaces = self.root / "etc/network/interfaces"
        for path in self.configuration(keep):
            if path != interfaces:
                path.unlink()
        for name, text in units.items():
            write(self.units / name, text)
        if interfaces.exists():
            write(interfaces, LOOPBACK_ONLY)

    def restore(self, keep: list[str]) -> None:
        """Put the saved configuration back and nothing else; may be repeated."""
        saved = {
            p.relative_to(self.old) for p in self.old.rglob("*") if p.is_symlink() or p.is_file()
        }
        for path in self.configuration(keep):
            if path.relative_to(self.root) not in saved:
                path.unlink()
        for relative in saved:
            copy(self.old / relative, self.root / relative)
        os.sync()

    def name_servers(self) -> str:
        """What /etc/resolv.conf says, wherever it lies."""
        try:
            return self.resolver.read_text()
        except OSError:
            return ""

    def netdevs(self) -> dict[str, str]:
        """Device name to unit text of the .netdev files, netplan's too."""
        found = {}
        for path in self.configuration([]):
            if path.suffix != ".netdev":
                continue
            text = path.read_text()
            name = re.search(r"^Name=(\S+)$", text, re.M)
            if name:
                found[name[1]] = text
        return found


class Kernel:
    """The devices as they are, by `ip`."""

    def show(self) -> dict[str, dict[str, Any]]:
        """Interface name to what `ip address` says about it."""
        shown = json.loads(run("ip", "-details", "-json", "address"))
        return {entry["ifname"]: entry for entry in shown if entry}

    def cards(self) -> dict[str, str]:
        """Permanent MAC address to name of the devices that are no VLAN, bond or bridge."""
        found = {}
        for name, entry in self.show().items():
            info = entry.get("linkinfo", {})
            if info.get("info_kind") or "LOOPBACK" in entry.get("flags", []):
                continue
            permanent = info.get("info_slave_data", {}).get("perm_hwaddr")
            found[permanent or entry.get("permaddr") or entry.get("address", "")] = name
        return found

    def rename(self, wanted: Mapping[str, str]) -> None:
        """Give cards the names of `wanted` (by MAC), also where two swap theirs."""
        cards = self.cards()
        moves = {cards[mac]: name for mac, name in wanted.items() if cards.get(mac, name) != name}
        for number, (present, _) in enumerate(list(moves.items())):
            run("ip", "link", "set", "dev", present, "down")
            run("ip", "link", "set", "dev", present, "name", f"cairn-move{number}")
        shown = self.show()
        for number, name in enumerate(moves.values()):
            # A name that is an alternative one of the same card already cannot be given.
            if name in shown[f"cairn-move{number}"].get("altnames", []):
                run("ip", "link", "property", "del", "dev", f"cairn-move{number}", "altname", name)
            run("ip", "link", "set", "dev", f"cairn-move{number}", "name", name)
            run("ip", "link", "set", "dev", name, "up")

    def delete(self, device: str) -> None:
        """Remove a VLAN or bond, if it is there."""
        if device in self.show():
            run("ip", "link", "delete", "dev", device)

    def state(self) -> dict[str, dict[str, Any]]:
        """Device name to its `addresses` (`a/prefix`, global scope) and `mtu`, where IP matters.

        These are cards, VLANs and bonds; bridges and the ports of virtual machines are others'.
        """
        return {
            name: {
                "addresses": sorted(
                    f"{a['local']}/{a['prefixlen']}"
                    for a in entry.get("addr_info", [])
                    if a.get("scope") == "global"
                ),
                "mtu": entry.get("mtu", 0),
            }
            for name, entry in self.show().items()
            if entry.get("linkinfo", {}).get("info_kind", "vlan") in ("vlan", "bond")
            and "LOOPBACK" not in entry.get("flags", [])
        }

    def announce(self, devices: Mapping[str, Any]) -> None:
        """Tell neighbours where addresses are now: a bond has another MAC than its cards had.

        Twice, since the kernel heeds none within a second of another change.
        """
        shown = self.show()
        for pause in (1.1, 0.0):
            for device, wanted in devices.items():
                for address in wanted["addresses"]:
                    if ":" in address or device not in shown:
                        continue
                    frame = announcement(shown[device]["address"], address.partition("/")[0])
                    with (
                        contextlib.suppress(OSError),
                        socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as opened,
                    ):
                        opened.bind((device, 0))
                        opened.send(frame)
            time.sleep(pause)

    def linkless(self) -> list[str]:
        """Devices that are up and have no carrier."""
        return [n for n, entry in self.show().items() if "NO-CARRIER" in entry.get("flags", [])]

    def lonely_bonds(self) -> list[str]:
        """802.3ad bonds without a partner: the switch's ports do not speak LACP."""
        found = []
        for name, entry in self.show().items():
            bond = entry.get("linkinfo", {}).get("info_data", {})
            if bond.get("mode") == "802.3ad":
                partner = bond.get("ad_info", {}).get("partner_mac", "")
                found += [name] if not partner.strip("0:") else []
        return found

    def trigger(self) -> None:
        """Tell udev of cards as if they were new: ifupdown's allow-hotplug waits for that."""
        run("udevadm", "trigger", "--action=add", "--subsystem-match=net", check=False)

    def routes(self) -> list[str]:
        """Default routes, as arguments to `ip route add`."""
        shown = json.loads(run("ip", "-4", "-json", "route", "show", "default"))
        return [f"default via {r['gateway']} dev {r['dev']}" for r in shown if r.get("gateway")]

    def active(self, unit: str) -> bool:
        """Whether a systemd unit is active."""
        return run("systemctl", "is-active", unit, check=False).strip() == "active"

    def networkd(self) -> dict[str, bool]:
        """Whether systemd-networkd runs and whether it starts at boot."""
        shown = run(
            "systemctl", "show", "--property=ActiveState,UnitFileState", "systemd-networkd.service"
        )
        return {
            "active": "ActiveState=active" in shown,
            "enabled": "UnitFileState=enabled" in shown,
        }

    def ifupdown(self) -> list[str]:
        """Interfaces that ifupdown has up, without the loopback; empty where it is not there."""
        if not shutil.which("ifquery"):
            return []
        shown = run("ifquery", "--state", check=False)
        return [name for line in shown.split() if (name := line.partition("=")[0]) != "lo"]


class Trial:
    """One change of the network, from `begin` to `confirm` or `revert`."""

    def __init__(self, root: Path = Path("/"), kernel: Kernel | None = None) -> None:
        """The trial of the host below `root`; `kernel` is replaced in tests."""
        self.files = Files(root)
        self.kernel = kernel or Kernel()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One of apply, confirm and revert at a time."""
        self.files.state.mkdir(parents=True, exist_ok=True)
        with (self.files.state / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def load(self, name: str) -> dict[str, Any]:
        """A JSON file of the trial."""
        loaded: dict[str, Any] = json.loads((self.files.trial / name).read_text())
        return loaded

    def begin(self, request: dict[str, Any], source: str) -> dict[str, Any]:
        """Save, arm, and start applying in the background; returns the old unit files.

        request: `files` (name to text), `hash`, `nics` (name to MAC), `devices` (name to
            addresses and mtu), `spare` (addresses that are others' to manage), `keep` (patterns of
            unit files), `window` (seconds).
        source: this program's text.
        """
        if not self.kernel.active(f"{TIMER}.timer"):
            self.revert("an earlier change was cut off before it was armed")
        with self.lock():
            if self.files.armed.exists():
                raise BusyError(
                    "another change of the network is being tried; it ends by itself within "
                    f"{self.load('request.json')['window']} s"
                )
            cards = self.kernel.cards()
            missing = [f"{n} ({mac})" for n, mac in request["nics"].items() if mac not in cards]
            if missing:
                raise NetworkError(
                    f"no NIC has the MAC address of {', '.join(missing)}; there are "
                    + ", ".join(f"{name} ({mac})" for mac, name in sorted(cards.items()))
                )
            shutil.rmtree(self.files.trial, ignore_errors=True)
            self._save(request)
            write(self.files.state / "netcommit.py", source)
            self._install_boot_unit()
            before = self.texts()
            # What was saved must be on the disk before it counts.
            os.sync()
            write(self.files.armed, "")
            try:
                self._arm(request["window"])
            except NetworkError:
                self.files.armed.unlink()
                raise
        return {"before": before}

    def _save(self, request: dict[str, Any]) -> None:
        state = self.kernel.state()
        for device in state.values():
            device["addresses"] = self._own(device["addresses"], request)
        old = {
            "saved": self.files.save(request["keep"]),
            "names": self.kernel.cards(),
            "devices": state,
            "name_servers": self.files.name_servers(),
            "routes": self.kernel.routes(),
            "networkd": self.kernel.networkd(),
            "ifupdown": self.kernel.ifupdown(),
        }
        write(self.files.trial / "request.json", json.dumps(request))
        write(self.files.trial / "old.json", json.dumps(old))

    @staticmethod
    def _own(addresses: list[str], request: Mapping[str, Any]) -> list[str]:
        """Addresses without those that somebody else moves about, such as VIPs."""
        return [a for a in addresses if a.partition("/")[0] not in request["spare"]]

    def _install_boot_unit(self) -> None:
        path = self.files.root / "etc/systemd/system" / BOOT_UNIT
        text = BOOT_TEXT.format(state="/var/lib/cairn/network")
        if not path.exists() or path.read_text() != text:
            write(path, text)
            run("systemctl", "daemon-reload")
            run("systemctl", "enable", BOOT_UNIT)

    def _arm(self, window: int) -> None:
        program = ["/usr/bin/python3", str(self.files.state / "netcommit.py")]
        run(
            "systemd-run",
            f"--unit={TIMER}",
            "--collect",
            f"--on-active={window}s",
            "--timer-property=AccuracySec=100ms",
            *program,
            "revert",
        )
        # The second lets this call's answer leave before the network moves.
        run(
            "systemd-run",
            f"--unit={APPLIER}",
            "--collect",
            "--on-active=1s",
            "--timer-property=AccuracySec=100ms",
            *program,
            "apply",
        )

    def texts(self) -> dict[str, str]:
        """The present unit files of Cairn and of others, by name."""
        return {
            p.name: p.read_text()
            for p in sorted(self.files.units.glob("*"))
            if p.suffix in UNIT_SUFFIXES
        }

    def apply(self) -> None:
        """Make the new configuration real; on any failure take it back at once."""
        with self.lock():
            if not self.files.armed.exists():
                return
            request, old = self.load("request.json"), self.load("old.json")
            try:
                self._apply(request, old)
                outcome = {"applied": True, "error": ""}
            except (NetworkError, OSError) as error:
                outcome = {"applied": False, "error": str(error)}
            write(self.files.trial / "outcome.json", json.dumps(outcome))
        if outcome["error"]:
            self.revert(f"applying failed: {outcome['error']}")

    def _apply(self, request: dict[str, Any], old: dict[str, Any]) -> None:
        before = self.files.netdevs()
        # What stands on another comes up after it: down in the opposite order.
        for interface in reversed(old["ifupdown"]):
            run("timeout", str(IFUPDOWN_LIMIT), "ifdown", "--force", interface)
        self.files.replace(request["files"], request["keep"])
        self._switch_devices(before, {mac: name for name, mac in request["nics"].items()})
        run("systemctl", "enable", "--quiet", "systemd-networkd.service")
        self._reload(request["devices"])
        self._settle(request)
        if old["name_servers"] and self.files.name_servers() != old["name_servers"]:
            write(self.files.resolver, old["name_servers"])
        self.kernel.announce(request["devices"])

    def _switch_devices(self, before: Mapping[str, str], names: Mapping[str, str]) -> None:
        """Remove VLANs and bonds that are other now or not wanted; give cards their names.

        Also one of a wanted name that somebody else made: networkd would take it as it is.
        """
        after = self.files.netdevs()
        for device in sorted({*before, *after}):
            if after.get(device) != before.get(device):
                self.kernel.delete(device)
        self.kernel.rename(names)
        run("udevadm", "control", "--reload")

    def _reload(self, devices: Mapping[str, Any]) -> None:
        if self.kernel.networkd()["active"]:
            run("networkctl", "reload")
            present = self.kernel.show()
            run("networkctl", "reconfigure", *[d for d in devices if d in present])
        else:
            run("systemctl", "start", "systemd-networkd.service")

    def _settle(self, request: dict[str, Any]) -> None:
        """Wait until every address and MTU is there, then remove addresses nobody asked for."""
        deadline = time.monotonic() + SETTLE
        while lacking := self.lacking(request["devices"]):
            if time.monotonic() > deadline:
                reasons = [*lacking, *self.unlinked(request["nics"])]
                raise NetworkError(f"after {SETTLE:.0f} s still: {'; '.join(reasons)}")
            time.sleep(0.3)
        present = self.kernel.state()
        for device, wanted in request["devices"].items():
            others = set(present[device]["addresses"]) - set(wanted["addresses"])
            for address in self._own(sorted(others), request):
                run("ip", "address", "delete", address, "dev", device)

    def lacking(self, devices: Mapping[str, Any]) -> list[str]:
        """What the kernel does not have yet of `devices`, as sentences."""
        found = []
        present = self.kernel.state()
        for device, wanted in devices.items():
            if device not in present:
                found.append(f"there is no {device}")
                continue
            lacks = set(wanted["addresses"]) - set(present[device]["addresses"])
            found += [f"{device} lacks {address}" for address in sorted(lacks)]
            if present[device]["mtu"] != wanted["mtu"]:
                found.append(f"{device} has MTU {present[device]['mtu']}, not {wanted['mtu']}")
        return found

    def unlinked(self, nics: Mapping[str, str]) -> list[str]:
        """Which of the cards have no link, as sentences: they are up by now, so they can tell.

        Before the first run most are down, and preflight cannot know.
        """
        linkless = self.kernel.linkless()
        return [
            f"{name} ({mac}) has no link: check its cable and the switch's port"
            for name, mac in nics.items()
            if name in linkless
        ]

    def status(self) -> dict[str, Any]:
        """`armed`, `applied`, `error`, the last revert's `reverted` (its reason) and `linkless`."""
        outcome = {"applied": False, "error": ""}
        with contextlib.suppress(OSError, ValueError):
            outcome = self.load("outcome.json")
        reverted = {"reason": "", "linkless": []}
        with contextlib.suppress(OSError, ValueError):
            reverted |= self.load("reverted.json")
        return {
            "armed": self.files.armed.exists(),
            "reverted": reverted["reason"],
            "linkless": reverted["linkless"],
            **outcome,
        }

    def confirm(self) -> dict[str, Any]:
        """Keep the new configuration. NetworkError when it was reverted before."""
        with self.lock():
            if not self.files.armed.exists():
                raise NetworkError(f"too late to confirm: {self.status()['reverted']}")
            request, old = self.load("request.json"), self.load("old.json")
            confirmed = {
                "hash": request["hash"],
                "files": {
                    name: hashlib.sha256(text.encode()).hexdigest()
                    for name, text in request["files"].items()
                },
                "devices": request["devices"],
                "keep": request["keep"],
            }
            write(self.files.state / "confirmed.json", json.dumps(confirmed))
            self._retire(old["saved"])
            self.files.armed.unlink()
            sync_folder(self.files.trial)
        run("systemctl", "stop", f"{TIMER}.timer", check=False)
        shutil.rmtree(self.files.trial, ignore_errors=True)
        return {"confirmed": True, "lonely_bonds": self.kernel.lonely_bonds()}

    def _retire(self, saved: list[str]) -> None:
        """Keep what configured the network before Cairn did, for whoever wants it back."""
        for relative in saved:
            if not Path(relative).name.startswith(PREFIX) and not relative.startswith("run/"):
                target = self.files.state / "retired" / relative
                if not target.exists():
                    copy(self.files.old / relative, target)

    def revert(self, reason: str) -> None:
        """Everything as it was before `begin`, in files and in the kernel."""
        with self.lock():
            if not self.files.armed.exists():
                return
            request, old = self.load("request.json"), self.load("old.json")
            # The old address answers before all of this has ended: what is asked over it from
            # here on must not pass for an answer over the new network.
            outcome = {"applied": False, "error": self.status()["error"]}
            with contextlib.suppress(OSError):  # a full disk must not keep the old network away
                write(self.files.trial / "outcome.json", json.dumps(outcome))
            linkless = self._linkless(request["devices"])
            before = self.files.netdevs()
            self.files.restore(request["keep"])
            with contextlib.suppress(NetworkError):
                self._switch_devices(before, old["names"])
            self._restart_old(request, old)
            self._restore_kernel(request, old)
            with contextlib.suppress(NetworkError):
                self.kernel.announce(old["devices"])
            reverted = {"reason": reason, "linkless": linkless}
            write(self.files.trial / "reverted.json", json.dumps(reverted))
            self.files.armed.unlink()
            sync_folder(self.files.trial)
        run("systemctl", "stop", f"{TIMER}.timer", check=False)

    def _linkless(self, devices: Mapping[str, Any]) -> list[str]:
        """Planes' devices without carrier: why nobody may have got through."""
        found: set[str] = set()
        with contextlib.suppress(NetworkError):
            found = set(self.kernel.linkless())
        return [d for d, wanted in devices.items() if wanted["addresses"] and d in found]

    def _restart_old(self, request: dict[str, Any], old: dict[str, Any]) -> None:
        """Let the old files' managers act on them; a failure must not stop the rest."""
        networkd = old["networkd"]
        if networkd["active"]:
            with contextlib.suppress(NetworkError):
                self._reload(dict.fromkeys(old["names"].values()))
        else:
            run("systemctl", "stop", *NETWORKD, check=False)
        if not networkd["enabled"]:
            run("systemctl", "disable", "--quiet", "systemd-networkd.service", check=False)
        for interface in old["ifupdown"]:
            # To ifup, an address or route that is there already is an error.
            present = self.kernel.state().get(interface, {"addresses": []})
            for address in self._own(present["addresses"], request):
                run("ip", "address", "delete", address, "dev", interface, check=False)
            # A DHCP client that it starts is to outlive this program's unit.
            run(
                *("systemd-run", "--quiet", "--scope", "--collect"),
                *("timeout", str(IFUPDOWN_LIMIT), "ifup", "--force", interface),
                check=False,
            )

    def _restore_kernel(self, request: dict[str, Any], old: dict[str, Any]) -> None:
        """The snapshot's addresses, MTUs and default routes, whoever had set them, and no others.

        Managers get a moment first; a host configured by hand has none.
        """
        wanted = old["devices"]
        deadline = time.monotonic() + SETTLE / 3
        while self.lacking(wanted) and time.monotonic() < deadline:
            time.sleep(0.3)
        for device, present in self.kernel.state().items():
            had = wanted.get(device, {"addresses": [], "mtu": present["mtu"]})
            if had["mtu"] != present["mtu"]:
                run("ip", "link", "set", "dev", device, "mtu", str(had["mtu"]), check=False)
            for address in sorted(set(had["addresses"]) - set(present["addresses"])):
                run("ip", "link", "set", "dev", device, "up", check=False)
                run("ip", "address", "add", address, "dev", device, check=False)
            extra = set(present["addresses"]) - set(had["addresses"])
            for address in self._own(sorted(extra), request):
                run("ip", "address", "delete", address, "dev", device, check=False)
        for route in set(old["routes"]) - set(self.kernel.routes()):
            run("ip", "route", "add", *route.split(), check=False)

    def revert_now(self) -> None:
        """Let systemd revert at once, so that it is done even if the connection breaks."""
        if self.files.armed.exists():
            run("systemctl", "start", "--no-block", f"{TIMER}.service")

    def boot(self) -> None:
        """Revert before anything manages the network: files, and names udev has given by then."""
        with self.lock():
            if not self.files.armed.exists():
                return
            request, old = self.load("request.json"), self.load("old.json")
            self.files.restore(request["keep"])
            if not old["networkd"]["enabled"]:
                run("systemctl", "disable", "--quiet", "systemd-networkd.service", check=False)
                if not old["networkd"]["active"]:
                    # This boot was to start it, and to wait two minutes for what it brings up.
                    run("systemctl", "stop", "--no-block", *NETWORKD, check=False)
            run("udevadm", "control", "--reload", check=False)
            # udev may be naming cards by the new files at this moment.
            run("udevadm", "settle", "--timeout=30", check=False)
            with contextlib.suppress(NetworkError):
                self.kernel.rename(old["names"])
            self.kernel.trigger()
            reason = {"reason": "the host was restarted before the change was confirmed"}
            write(self.files.trial / "reverted.json", json.dumps(reason))
            self.files.armed.unlink()
            sync_folder(self.files.trial)


def main(arguments: list[str]) -> None:
    """What systemd starts: apply, revert (the window has passed) or boot."""
    trial = Trial()
    if arguments == ["apply"]:
        trial.apply()
    elif arguments == ["revert"]:
        trial.revert("nobody confirmed within the window")
    elif arguments == ["boot"]:
        trial.boot()
    else:
        raise SystemExit("apply, revert or boot")


if __name__ == "__main__":
    main(sys.argv[1:])
