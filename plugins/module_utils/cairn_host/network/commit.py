"""Changes a host's network, and reverts the change unless it is confirmed in time.

Runs on the managed host from a copy in /var/lib/cairn/network, with the standard library only: the
host may be unreachable during the change. The steps of a change:

    arm      save the old configuration, start a timer that reverts, start `apply` in the background
    apply    replace the units, rename devices, reload networkd; write the outcome to a file
    confirm  called over the new network once all peers answer: stop the timer, keep the change
    revert   called by the timer, at boot or by the control node: restore the old configuration

`trial/armed` exists from the moment the old configuration is safely saved until the change is
confirmed or reverted; the process that removes it (under the lock) decides the outcome.

A revert works on a full or read-only disk and while commands hang: it restores the kernel's state
before the files, restores files by hard links, which need no space, and kills commands that exceed
their time limit. `armed` stays until the files are restored, and systemd retries.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import fnmatch
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

PREFIX = "20-cairn-"
UNIT_SUFFIXES = (".link", ".netdev", ".network")
TIMER = "cairn-network-revert"
APPLIER = "cairn-network-apply"
BOOT_UNIT = "cairn-network-boot.service"
NOBODY = "nobody confirmed within the window"
NETWORKD = (
    "systemd-networkd-wait-online.service",
    "systemd-networkd.socket",
    "systemd-networkd.service",
)
LOOPBACK_ONLY = (
    "# The network is systemd-networkd's: /etc/systemd/network/20-cairn-*.\n"
    "auto lo\niface lo inet loopback\n"
)
# Options in foreign files whose values are masked.
SECRET = re.compile(
    r"^([ \t]*[\w.-]*(?:password|passphrase|psk|secret|private-?key|preshared-?key)[\w.-]*[ \t]*"
    r"[:=\s][ \t]*)\S.*$",
    re.I | re.M,
)
# Seconds for networkd to configure every address.
SETTLE = 15.0
# Seconds for ifup and ifdown: a DHCP client without a server, or a hook, must not block the rest.
IFUPDOWN_LIMIT = 60
# Seconds for any other command.
COMMAND_LIMIT = 20.0
# Seconds that a step waits for the lock; a revert then continues without it.
LOCK_LIMIT = 10.0
# Space reserved for the revert's own files until the change is confirmed or reverted.
RESERVE_BYTES = 1 << 20
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
    """The change was not made, or was reverted; the text says why."""


class BusyError(NetworkError):
    """Another change waits for its confirmation, or holds the lock."""


def run(*command: str, check: bool = True, limit: float = 0.0) -> str:
    """Run a command; return its output.

    limit: seconds until it is killed with its children; COMMAND_LIMIT by default.
    With `check`, NetworkError if the command fails, does not exist or hangs.
    """
    limit = limit or COMMAND_LIMIT
    output, error = "", ""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    except OSError as reason:
        error = str(reason)
    else:
        try:
            output, errors = process.communicate(timeout=limit)
            if process.returncode:
                error = (errors or output).strip() or f"exit status {process.returncode}"
        except subprocess.TimeoutExpired:
            error = f"it did not end within {limit:g} s"
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            # A process in uninterruptible sleep cannot be killed: it is left behind.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=1)
    if check and error:
        raise NetworkError(f"{' '.join(command)}: {error}")
    return output


def write(path: Path, text: str) -> None:
    """Write a file atomically and flush it to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def copy(source: Path, target: Path) -> None:
    """Copy a file or link with owner and mode: only networkd's group may read netplan's units."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() or target.is_symlink():
        target.unlink(missing_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
    status = source.lstat()
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)


def put_back(source: Path, target: Path) -> None:
    """Restore a saved file, by a hard link if possible: a link needs no space.

    On another file system it is copied beside `target` and renamed, so that `target` is never
    truncated. OSError if neither works.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.old")
    beside.unlink(missing_ok=True)
    try:
        try:
            os.link(source, beside, follow_symlinks=False)
        except OSError:
            copy(source, beside)
        # Renaming a link over the same file does nothing and would leave `beside`.
        if os.path.lexists(target) and os.path.samestat(target.lstat(), beside.lstat()):
            beside.unlink()
        else:
            beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        if error.errno != errno.EBUSY:
            raise
        copy(source, target)  # it is a mount point, as a container's resolv.conf is


def shown(path: Path) -> str:
    """A file's text with secrets masked."""
    return SECRET.sub(r"\1********", path.read_text(errors="replace"))


def netdev_name(text: str) -> str:
    """The device's name in the text of a .netdev file; empty if there is none."""
    name = re.search(r"^Name=(\S+)$", text, re.M)
    return name[1] if name else ""


def announcement(mac: str, address: str) -> bytes:
    """An Ethernet frame with an ARP announcement of an IPv4 address (RFC 5227)."""
    own, ip = bytes.fromhex(mac.replace(":", "")), socket.inet_aton(address)
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + ip + bytes(6) + ip
    return b"\xff" * 6 + own + struct.pack("!H", 0x0806) + arp


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
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
        # One on each file system to which a revert writes.
        self.reserves = [self.trial / "reserve", self.units / ".cairn-reserve"]

    def reserve(self) -> None:
        """Reserve disk space until the change has ended; OSError if there is none."""
        for path in self.reserves:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path != self.reserves[0] and path.parent.stat().st_dev == self.trial.stat().st_dev:
                continue
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
                os.fsync(file.fileno())

    def release(self) -> None:
        """Free the reserved space."""
        for path in self.reserves:
            with contextlib.suppress(OSError):
                path.unlink()

    def configuration(self, keep: list[str]) -> list[Path]:
        """Every file that configures the network now, except units matching `keep`."""
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
        """Copy the present configuration to `old`; returns its paths relative to the root."""
        saved = [path.relative_to(self.root) for path in self.configuration(keep)]
        # The DHCP client resets resolv.conf when it ends: saved too, though not configuration.
        resolver = [self.resolver.relative_to(self.root)] if self.resolver.exists() else []
        for relative in saved + resolver:
            copy(self.root / relative, self.old / relative)
        return [str(relative) for relative in saved]

    def replace(self, units: Mapping[str, str], keep: list[str]) -> None:
        """Replace the present configuration with new units."""
        interfaces = self.root / "etc/network/interfaces"
        for path in self.configuration(keep):
            if path != interfaces:
                path.unlink()
        for name, text in units.items():
            write(self.units / name, text)
        if interfaces.exists():
            write(interfaces, LOOPBACK_ONLY)

    def restore(self, keep: list[str]) -> None:
        """Restore exactly the saved configuration; may be repeated.

        Continues after errors and raises the first OSError at the end.
        """
        errors = []
        saved = {
            p.relative_to(self.old) for p in self.old.rglob("*") if p.is_symlink() or p.is_file()
        }
        for path in self.configuration(keep):
            if path.relative_to(self.root) not in saved:
                try:
                    path.unlink()
                except OSError as error:
                    errors.append(error)
        for relative in sorted(saved):
            try:
                put_back(self.old / relative, self.root / relative)
            except OSError as error:
                errors.append(error)
        os.sync()
        if errors:
            raise errors[0]

    def name_servers(self) -> str:
        """The content of /etc/resolv.conf; empty if it cannot be read."""
        try:
            return self.resolver.read_text()
        except OSError:
            return ""

    def netdevs(self) -> dict[str, str]:
        """Device name to text of the .netdev files, netplan's included."""
        return self._netdevs(self.configuration([]))

    def saved_netdevs(self) -> dict[str, str]:
        """Device name to text of the saved .netdev files."""
        return self._netdevs(self.old.rglob("*.netdev"))

    @staticmethod
    def _netdevs(paths: Iterable[Path]) -> dict[str, str]:
        texts = [path.read_text() for path in paths if path.suffix == ".netdev" and path.is_file()]
        return {name: text for text in texts if (name := netdev_name(text))}


class Kernel:
    """The kernel's network devices, through `ip`."""

    def show(self) -> dict[str, dict[str, Any]]:
        """Interface name to its entry in the output of `ip address`."""
        entries = json.loads(run("ip", "-details", "-json", "address"))
        return {entry["ifname"]: entry for entry in entries if entry}

    def cards(self) -> dict[str, str]:
        """Permanent MAC address to name of the devices that are no VLAN, bond or bridge."""
        names = {}
        for name, entry in self.show().items():
            info = entry.get("linkinfo", {})
            if info.get("info_kind") or "LOOPBACK" in entry.get("flags", []):
                continue
            permanent = info.get("info_slave_data", {}).get("perm_hwaddr")
            names[permanent or entry.get("permaddr") or entry.get("address", "")] = name
        return names

    def rename(self, wanted: Mapping[str, str]) -> None:
        """Rename cards (`wanted` maps MAC to name), even if two swap their names."""
        cards = self.cards()
        moves = {cards[mac]: name for mac, name in wanted.items() if cards.get(mac, name) != name}
        for number, (present, _) in enumerate(list(moves.items())):
            run("ip", "link", "set", "dev", present, "down")
            run("ip", "link", "set", "dev", present, "name", f"cairn-move{number}")
        shown = self.show()
        for number, name in enumerate(moves.values()):
            # A card cannot take a name that is one of its own alternative names.
            if name in shown[f"cairn-move{number}"].get("altnames", []):
                run("ip", "link", "property", "del", "dev", f"cairn-move{number}", "altname", name)
            run("ip", "link", "set", "dev", f"cairn-move{number}", "name", name)
            run("ip", "link", "set", "dev", name, "up")

    def delete(self, device: str) -> None:
        """Delete a VLAN or bond if it exists."""
        if device in self.show():
            run("ip", "link", "delete", "dev", device)

    def state(self) -> dict[str, dict[str, Any]]:
        """Device name to `addresses` (`a/prefix`, global scope) and `mtu`; cards, VLANs and bonds.

        Bridges and ports of virtual machines are not Cairn's.
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
        """Announce addresses to neighbours: a bond's MAC differs from its former cards' MACs.

        Twice, because kernels ignore an announcement within a second of another change.
        """
        shown = self.show()
        for pause in (1.1, 0.0):
            for device, configuration in devices.items():
                for address in configuration["addresses"]:
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
        """Devices that are up without carrier."""
        return [n for n, entry in self.show().items() if "NO-CARRIER" in entry.get("flags", [])]

    def lonely_bonds(self) -> list[str]:
        """802.3ad bonds without a partner: the switch ports do not speak LACP."""
        lonely = []
        for name, entry in self.show().items():
            bond = entry.get("linkinfo", {}).get("info_data", {})
            if bond.get("mode") == "802.3ad":
                partner = bond.get("ad_info", {}).get("partner_mac", "")
                lonely += [name] if not partner.strip("0:") else []
        return lonely

    def trigger(self) -> None:
        """Trigger udev's `add` for all cards: ifupdown's allow-hotplug waits for that event."""
        run("udevadm", "trigger", "--action=add", "--subsystem-match=net", check=False)

    def routes(self) -> list[str]:
        """Default routes, as arguments of `ip route add`."""
        routes = json.loads(run("ip", "-4", "-json", "route", "show", "default"))
        return [f"default via {r['gateway']} dev {r['dev']}" for r in routes if r.get("gateway")]

    def active(self, unit: str) -> bool:
        """Whether a systemd unit is active."""
        return run("systemctl", "is-active", unit, check=False).strip() == "active"

    def networkd(self) -> dict[str, bool]:
        """Whether systemd-networkd runs and whether it starts at boot."""
        properties = run(
            "systemctl", "show", "--property=ActiveState,UnitFileState", "systemd-networkd.service"
        )
        return {
            "active": "ActiveState=active" in properties,
            "enabled": "UnitFileState=enabled" in properties,
        }

    def ifupdown(self) -> list[str]:
        """Interfaces that ifupdown has up, without lo; empty if ifupdown is not installed."""
        if not shutil.which("ifquery"):
            return []
        interfaces = run("ifquery", "--state", check=False)
        return [name for line in interfaces.split() if (name := line.partition("=")[0]) != "lo"]


class Transaction:
    """One network change, from `arm` to `confirm` or `revert`."""

    def __init__(self, root: Path = Path("/"), kernel: Kernel | None = None) -> None:
        """A change of the host below `root`; tests replace `kernel`."""
        self.files = Files(root)
        self.kernel = kernel or Kernel()

    @contextlib.contextmanager
    def lock(self, force: bool = False) -> Iterator[None]:
        """One of apply, confirm and revert at a time.

        BusyError if the lock is taken for longer than LOCK_LIMIT; with `force` it then continues
        without the lock.
        """
        path = self.files.state / "lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Read-only, so that it can be opened on a read-only file system.
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC)
        except OSError as error:
            raise NetworkError(f"{path}: {error.strerror}; the network was not touched") from error
        try:
            deadline = time.monotonic() + LOCK_LIMIT
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        if force:
                            break
                        raise BusyError(
                            f"another step of a network change takes longer than "
                            f"{LOCK_LIMIT:g} s; see journalctl -u 'cairn-network-*'"
                        ) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(descriptor)

    def load(self, name: str) -> dict[str, Any]:
        """A JSON file of the change."""
        loaded: dict[str, Any] = json.loads((self.files.trial / name).read_text())
        return loaded

    def arm(self, request: dict[str, Any], source: str) -> dict[str, Any]:
        """Save the configuration, start the revert timer and `apply`; returns the preview.

        request: `files` (name to text), `hash`, `nics` (name to MAC), `devices` (name to
            addresses and mtu), `unmanaged` (addresses that Cairn must not touch, such as VIPs),
            `keep` (patterns of unit files), `window` (seconds).
        source: this program's text.
        """
        if not self.kernel.active(f"{TIMER}.timer"):
            self.revert("an earlier change was interrupted before its timer was started")
        with self.lock():
            if self.files.armed.exists():
                reverted = self.status()["reverted"]
                raise BusyError(
                    "an earlier network change is still being reverted; see "
                    f"journalctl -u {TIMER}.service"
                    if reverted
                    else "another network change waits for its confirmation; it reverts by itself "
                    f"within {self.load('request.json')['window']} s"
                )
            self._disarm()
            cards = self.kernel.cards()
            missing = [f"{n} ({mac})" for n, mac in request["nics"].items() if mac not in cards]
            if missing:
                raise NetworkError(
                    f"no NIC has the MAC address of {', '.join(missing)}; the host has "
                    + ", ".join(f"{name} ({mac})" for mac, name in sorted(cards.items()))
                )
            shutil.rmtree(self.files.trial, ignore_errors=True)
            preview = self.preview(request)
            try:
                self._save(request)
                write(self.files.state / "netcommit.py", source)
                self._install_boot_unit()
                self.files.reserve()
                # The saved files must be on the disk before `armed` exists.
                os.sync()
                write(self.files.armed, "")
                self._start_timers(request["window"])
            except (NetworkError, OSError) as error:
                self.files.armed.unlink(missing_ok=True)
                self._disarm()
                self.files.release()
                raise NetworkError(
                    f"the change cannot be prepared, the network was not touched: {error}"
                ) from error
        return preview

    @staticmethod
    def _disarm() -> None:
        """Stop the timers of a finished change and their services; call under the lock."""
        units = [f"{name}.{kind}" for name in (TIMER, APPLIER) for kind in ("timer", "service")]
        run("systemctl", "stop", *units, check=False)

    @staticmethod
    def _stop_applier() -> None:
        """Kill a hanging applier with its commands: it holds the lock."""
        run("systemctl", "stop", f"{APPLIER}.timer", check=False)
        run("systemctl", "kill", "--signal=KILL", f"{APPLIER}.service", check=False)

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
        """Addresses without the unmanaged ones, such as VIPs."""
        # "spare": in the request.json of a change that the previous release left armed.
        unmanaged = request.get("unmanaged", request.get("spare", ()))
        return [a for a in addresses if a.partition("/")[0] not in unmanaged]

    def _install_boot_unit(self) -> None:
        path = self.files.root / "etc/systemd/system" / BOOT_UNIT
        text = BOOT_TEXT.format(state="/var/lib/cairn/network")
        enabled = path.parent / "sysinit.target.wants" / BOOT_UNIT
        if not path.exists() or path.read_text() != text or not enabled.is_symlink():
            write(path, text)
            run("systemctl", "daemon-reload")
            run("systemctl", "enable", BOOT_UNIT)

    def _start_timers(self, window: int) -> None:
        program = ["/usr/bin/python3", str(self.files.state / "netcommit.py")]
        run(
            "systemd-run",
            f"--unit={TIMER}",
            "--collect",
            f"--on-active={window}s",
            "--timer-property=AccuracySec=100ms",
            # Retry until the old files are restored.
            "--property=Restart=on-failure",
            "--property=RestartSec=10s",
            *program,
            "revert",
        )
        # One second, so that this call's answer leaves before the network changes.
        run(
            "systemd-run",
            f"--unit={APPLIER}",
            "--collect",
            "--on-active=1s",
            "--timer-property=AccuracySec=100ms",
            f"--property=RuntimeMaxSec={window}s",
            *program,
            "apply",
        )

    def preview(self, request: dict[str, Any]) -> dict[str, Any]:
        """What `arm` with this request would change; changes nothing.

        Returns `before` and `after` (path to text of every file that configures the network,
        secrets masked), `links_before` and `links_after` (a line for each device of the planes)
        and `networkd` (whether it runs, and is reloaded instead of started).
        """
        present = self.files.configuration(request["keep"])
        before = {f"/{path.relative_to(self.files.root)}": shown(path) for path in present}
        folder = f"/{self.files.units.relative_to(self.files.root)}"
        after = {f"{folder}/{name}": text for name, text in request["files"].items()}
        if (interfaces := "/etc/network/interfaces") in before:
            after[interfaces] = LOOPBACK_ONLY
        state, cards = self.kernel.state(), self.kernel.cards()
        macs = {name: mac for mac, name in cards.items()}
        made = {netdev_name(t) for n, t in request["files"].items() if n.endswith(".netdev")}
        concerned = {cards[mac] for mac in request["nics"].values() if mac in cards}
        concerned |= {*self.files.netdevs(), *made, *request["devices"]}
        wanted: dict[str, dict[str, Any]] = {
            name: state.get(cards.get(mac, ""), {}) | {"addresses": []}
            for name, mac in request["nics"].items()
        }
        wanted |= {name: {"addresses": []} for name in made}
        for name, device in request["devices"].items():
            wanted[name] = wanted.get(name, {}) | device
        for device in state.values():
            device["addresses"] = self._own(device["addresses"], request)
        return {
            "before": before,
            "after": after,
            "links_before": [
                self._line(name, device, macs)
                for name, device in sorted(state.items())
                if name in concerned
            ],
            "links_after": [
                self._line(name, device, request["nics"]) for name, device in sorted(wanted.items())
            ],
            "networkd": self.kernel.networkd()["active"],
        }

    @staticmethod
    def _line(name: str, device: Mapping[str, Any], macs: Mapping[str, str]) -> str:
        parts = [f"mtu {device['mtu']}"] if "mtu" in device else []
        card = f" ({macs[name]})" if name in macs else ""
        return f"{name}{card}: {', '.join([*parts, *sorted(device['addresses'])])}"

    def apply(self) -> None:
        """Apply the new configuration; revert it at once if that fails."""
        with self.lock():
            if not self.files.armed.exists():
                return
            try:
                self._apply(self.load("request.json"), self.load("old.json"))
                self._note_outcome(applied=True, error="")
                return
            except (NetworkError, OSError) as error:
                failure = str(error)
                with contextlib.suppress(OSError):
                    self._note_outcome(applied=False, error=failure)
        self.revert(f"applying failed: {failure}", error=failure, applier=False)

    def _note_outcome(self, *, applied: bool, error: str) -> None:
        outcome = {"applied": applied, "error": error}
        write(self.files.trial / "outcome.json", json.dumps(outcome))

    def _apply(self, request: dict[str, Any], old: dict[str, Any]) -> None:
        before = self.files.netdevs()
        # Devices come up after those they depend on; they go down in reverse order.
        for interface in reversed(old["ifupdown"]):
            ifdown = ("timeout", str(IFUPDOWN_LIMIT), "ifdown", "--force", interface)
            run(*ifdown, limit=IFUPDOWN_LIMIT + 5)
        self.files.replace(request["files"], request["keep"])
        names = {mac: name for name, mac in request["nics"].items()}
        self._switch_devices(before, self.files.netdevs(), names)
        run("udevadm", "control", "--reload")
        run("systemctl", "enable", "--quiet", "systemd-networkd.service")
        self._reload(request["devices"])
        self._settle(request)
        if old["name_servers"] and self.files.name_servers() != old["name_servers"]:
            write(self.files.resolver, old["name_servers"])
        self.kernel.announce(request["devices"])

    def _switch_devices(
        self, before: Mapping[str, str], after: Mapping[str, str], names: Mapping[str, str]
    ) -> None:
        """Delete VLANs and bonds that change or disappear, and rename cards.

        A foreign device of a new device's name goes as well: networkd would keep it as it is.
        """
        for device in sorted({*before, *after}):
            if after.get(device) != before.get(device):
                self.kernel.delete(device)
        self.kernel.rename(names)

    def _reload(self, devices: Mapping[str, Any]) -> None:
        if self.kernel.networkd()["active"]:
            run("networkctl", "reload")
            present = self.kernel.show()
            run("networkctl", "reconfigure", *[d for d in devices if d in present])
        else:
            run("systemctl", "start", "systemd-networkd.service")

    def _settle(self, request: dict[str, Any]) -> None:
        """Wait for every address and MTU, then delete all other addresses."""
        deadline = time.monotonic() + SETTLE
        while lacking := self.lacking(request["devices"]):
            if time.monotonic() > deadline:
                reasons = [*lacking, *self.unlinked(request["nics"])]
                raise NetworkError(f"after {SETTLE:.0f} s still: {'; '.join(reasons)}")
            time.sleep(0.3)
        present = self.kernel.state()
        for device, configuration in request["devices"].items():
            others = set(present[device]["addresses"]) - set(configuration["addresses"])
            for address in self._own(sorted(others), request):
                run("ip", "address", "delete", address, "dev", device)

    def lacking(self, devices: Mapping[str, Any]) -> list[str]:
        """Addresses and MTUs of `devices` that the kernel does not have yet, as sentences."""
        sentences = []
        present = self.kernel.state()
        for device, configuration in devices.items():
            if device not in present:
                sentences.append(f"there is no {device}")
                continue
            lacks = set(configuration["addresses"]) - set(present[device]["addresses"])
            sentences += [f"{device} lacks {address}" for address in sorted(lacks)]
            mtu = configuration["mtu"]
            if present[device]["mtu"] != mtu:
                sentences.append(f"{device} has MTU {present[device]['mtu']}, not {mtu}")
        return sentences

    def unlinked(self, nics: Mapping[str, str]) -> list[str]:
        """Cards without link, as sentences.

        Preflight cannot check this: before the first run most cards are down.
        """
        linkless = self.kernel.linkless()
        return [
            f"{name} ({mac}) has no link: check its cable and switch port"
            for name, mac in nics.items()
            if name in linkless
        ]

    def status(self) -> dict[str, Any]:
        """`armed`, `applied`, `error`, the last revert's `reverted` (its reason) and `linkless`."""
        outcome: dict[str, Any] = {"applied": False, "error": ""}
        with contextlib.suppress(OSError, ValueError):
            outcome |= self.load("outcome.json")
        reverted: dict[str, Any] = {"reason": "", "linkless": [], "error": ""}
        with contextlib.suppress(OSError, ValueError):
            reverted |= self.load("reverted.json")
        return {
            "armed": self.files.armed.exists(),
            "applied": outcome["applied"],
            "error": outcome["error"] or reverted["error"],
            "reverted": reverted["reason"],
            "linkless": reverted["linkless"],
        }

    def confirm(self, wanted: str = "") -> dict[str, Any]:
        """Keep the new configuration.

        wanted: the hash of its units. It identifies a change that is already confirmed, if the
            answer of the first call was lost.
        NetworkError if the change was not applied, was reverted, or cannot be recorded.
        """
        with self.lock():
            if wanted and self._is_confirmed(wanted):
                return {"confirmed": True, "lonely_bonds": self.kernel.lonely_bonds()}
            status = self.status()
            if not status["armed"]:
                raise NetworkError(f"too late to confirm: {status['reverted']}")
            if not status["applied"]:
                raise NetworkError(
                    "there is nothing to confirm: the change was not applied "
                    + (f"({status['error']})" if status["error"] else "yet")
                )
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
            self.files.release()
            try:
                self._retire(old["saved"])
                write(self.files.state / "confirmed.json", json.dumps(confirmed))
                self.files.armed.unlink()
            except FileNotFoundError:
                raise NetworkError("too late to confirm: the change was just reverted") from None
            except OSError as error:
                raise NetworkError(
                    f"the change cannot be recorded and will be reverted: {error}"
                ) from error
            sync_folder(self.files.trial)
            self._disarm()
            shutil.rmtree(self.files.trial, ignore_errors=True)
        return {"confirmed": True, "lonely_bonds": self.kernel.lonely_bonds()}

    def _is_confirmed(self, wanted: str) -> bool:
        """Whether the last change was confirmed; a reverted one leaves its folder."""
        if self.files.trial.exists():
            return False
        try:
            confirmed = json.loads((self.files.state / "confirmed.json").read_text())
        except (OSError, ValueError):
            return False
        return bool(confirmed["hash"] == wanted)

    def _retire(self, saved: list[str]) -> None:
        """Keep the network configuration from before Cairn in `retired`."""
        for relative in saved:
            if not Path(relative).name.startswith(PREFIX) and not relative.startswith("run/"):
                target = self.files.state / "retired" / relative
                if not target.exists():
                    copy(self.files.old / relative, target)

    def revert(self, reason: str, error: str = "", applier: bool = True) -> None:
        """Restore the state before `arm`, in the kernel and in files.

        No step depends on the success of another.

        error: why applying failed, if it did.
        applier: whether an applier may be running; False in the applier itself.
        NetworkError, after all other steps, if the old files could not be restored; the change then
        stays armed, and the revert is retried.
        """
        if applier and self.files.armed.exists():
            self._stop_applier()
        with self.lock(force=True):
            if not self.files.armed.exists():
                return
            request, old = self.load("request.json"), self.load("old.json")
            error = error or self.status()["error"]
            self.files.release()
            # The old address answers before the revert has finished: from here on a status that
            # is read over it must not pass for one over the new network.
            with contextlib.suppress(OSError):
                self._note_outcome(applied=False, error=error)
            linkless = self._linkless(request["devices"])
            self._revert_kernel(request, old)
            failure = self._restore_files(request)
            if not failure:
                with contextlib.suppress(NetworkError):
                    self._restart_old(request, old)
            with contextlib.suppress(NetworkError):
                self._restore_kernel(request, old, patience=SETTLE / 3)
            with contextlib.suppress(NetworkError):
                self.kernel.announce(old["devices"])
            self._end_revert({"reason": reason, "linkless": linkless, "error": error}, failure)
            run("systemctl", "stop", f"{TIMER}.timer", check=False)

    def _revert_kernel(self, request: dict[str, Any], old: dict[str, Any]) -> None:
        """Restore names and addresses before any file: this needs neither disk nor networkd."""
        made = [text for name, text in request["files"].items() if name.endswith(".netdev")]
        with contextlib.suppress(NetworkError, OSError):
            saved = self.files.saved_netdevs()
            before = self.files.netdevs() | {netdev_name(text): text for text in made}
            self._switch_devices(before, saved, old["names"])
        with contextlib.suppress(NetworkError):
            self._restore_kernel(request, old)

    def _restore_files(self, request: dict[str, Any]) -> str:
        """Restore the old files; returns the error, or an empty string."""
        try:
            self.files.restore(request["keep"])
        except OSError as error:
            return f"the old files could not be restored: {error}"
        finally:
            run("udevadm", "control", "--reload", check=False)
        return ""

    def _end_revert(self, reverted: dict[str, Any], failure: str) -> None:
        """Write the revert's outcome, and disarm the change if the files are restored."""
        with contextlib.suppress(OSError):
            write(self.files.trial / "reverted.json", json.dumps(reverted))
        if failure:
            raise NetworkError(f"{failure}; the kernel uses the old network configuration")
        try:
            self.files.armed.unlink(missing_ok=True)
            sync_folder(self.files.trial)
        except OSError as error:
            raise NetworkError(f"the change could not be disarmed: {error}") from error

    def _linkless(self, devices: Mapping[str, Any]) -> list[str]:
        """Planes' devices without carrier: a possible reason for the missing confirmation."""
        linkless: set[str] = set()
        with contextlib.suppress(NetworkError):
            linkless = set(self.kernel.linkless())
        return [d for d, plane in devices.items() if plane["addresses"] and d in linkless]

    def _restart_old(self, request: dict[str, Any], old: dict[str, Any]) -> None:
        """Have networkd or ifupdown apply the old files; a failure does not stop the rest."""
        networkd = old["networkd"]
        if networkd["active"]:
            with contextlib.suppress(NetworkError):
                self._reload(dict.fromkeys(old["names"].values()))
        else:
            run("systemctl", "stop", *NETWORKD, check=False)
        if not networkd["enabled"]:
            run("systemctl", "disable", "--quiet", "systemd-networkd.service", check=False)
        for interface in old["ifupdown"]:
            # ifup fails if an address or route already exists.
            present = self.kernel.state().get(interface, {"addresses": []})
            for address in self._own(present["addresses"], request):
                run("ip", "address", "delete", address, "dev", interface, check=False)
            run("ip", "-4", "route", "flush", "default", "dev", interface, check=False)
            # A DHCP client that ifup starts must outlive this program's unit.
            run(
                *("systemd-run", "--quiet", "--scope", "--collect"),
                *("timeout", str(IFUPDOWN_LIMIT), "ifup", "--force", interface),
                check=False,
                limit=IFUPDOWN_LIMIT + 5,
            )

    def _restore_kernel(
        self, request: dict[str, Any], old: dict[str, Any], patience: float = 0.0
    ) -> None:
        """Restore exactly the saved addresses, MTUs and default routes, whatever had set them.

        networkd or ifupdown get `patience` seconds first; a host configured by hand has neither.
        """
        saved = old["devices"]
        deadline = time.monotonic() + patience
        while self.lacking(saved) and time.monotonic() < deadline:
            time.sleep(0.3)
        for device, present in self.kernel.state().items():
            had = saved.get(device, {"addresses": [], "mtu": present["mtu"]})
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
        """Have systemd revert now, so that the revert survives a broken connection."""
        if self.files.armed.exists():
            run("systemctl", "start", "--no-block", f"{TIMER}.service")

    def boot(self) -> None:
        """Revert before the network starts: restore the files, and the names udev has changed."""
        with self.lock():
            if not self.files.armed.exists():
                return
            request, old = self.load("request.json"), self.load("old.json")
            self.files.release()
            failure = self._restore_files(request)
            if not old["networkd"]["enabled"]:
                run("systemctl", "disable", "--quiet", "systemd-networkd.service", check=False)
                if not old["networkd"]["active"]:
                    # This boot has queued it, and would wait two minutes for its devices.
                    run("systemctl", "stop", "--no-block", *NETWORKD, check=False)
            # udev may still be renaming cards by the new files.
            run("udevadm", "settle", "--timeout=30", check=False, limit=35)
            with contextlib.suppress(NetworkError):
                self.kernel.rename(old["names"])
            self.kernel.trigger()
            reason = {"reason": "the host was restarted before the change was confirmed"}
            self._end_revert(reason, failure)


def main(arguments: list[str]) -> None:
    """Entry of the systemd units: apply, revert (the window has passed) or boot."""
    transaction = Transaction()
    if arguments == ["apply"]:
        transaction.apply()
    elif arguments == ["revert"]:
        transaction.revert(NOBODY)
    elif arguments == ["boot"]:
        transaction.boot()
    else:
        raise SystemExit("apply, revert or boot")


if __name__ == "__main__":
    main(sys.argv[1:])
