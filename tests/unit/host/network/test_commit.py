"""A change of the network that is not confirmed leaves nothing behind, whenever it is cut off."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cairn_host.network import commit
from cairn_host.probe import network

from .conftest import MAC, OTHER_MAC, Host


def test_begin_changes_nothing_yet(host: Host) -> None:
    before = host.files()
    preview = host.change.preview(host.request())
    assert host.files() == before
    assert host.arm() == preview
    assert host.files() == before


def test_a_preview_names_all_files_and_links_that_the_change_touches(host: Host) -> None:
    netplan = host.root / "etc/netplan/01-site.yaml"
    netplan.parent.mkdir()
    netplan.write_text("wifis:\n  password: Geheim\n")
    (host.units / "50-ipmi-other.network").write_text("kept by a pattern\n")
    request = host.request(keep=["50-ipmi*"])
    host.kernel.devices["eth0"]["addresses"].append("10.0.0.10/24")  # a VIP is others'
    preview = host.change.preview(request)
    assert preview["before"] == {
        "/etc/systemd/network/10-bootstrap.network": "[Match]\nName=eth0\n",
        "/etc/network/interfaces": "auto eth0\n",
        "/etc/network/interfaces.d/eth1": "auto eth1\n",
        "/etc/netplan/01-site.yaml": "wifis:\n  password: ********\n",
    }
    assert preview["after"] == {
        "/etc/systemd/network/20-cairn-mgmt0.link": "link\n",
        "/etc/systemd/network/20-cairn-mgmt0.network": "network\n",
        "/etc/network/interfaces": commit.LOOPBACK_ONLY,
    }
    assert preview["links_before"] == [f"eth0 ({MAC}): mtu 1500, 10.0.0.200/24"]
    assert preview["links_after"] == [f"mgmt0 ({MAC}): mtu 1500, 10.0.0.13/24"]
    # What the run then does is that.
    host.change.arm(request, "program")
    host.kernel.wanted = request["devices"]
    host.change.apply()
    kept = {f"etc/systemd/network/50-ipmi{end}.network" for end in ("", "-other")}
    assert {f"/{path}" for path in host.files().keys() - kept} == set(preview["after"])
    host.change.confirm()
    again = host.change.preview(request)
    assert again["before"] == again["after"]
    assert again["links_before"] == again["links_after"]


@pytest.mark.parametrize(
    "line",
    ["  wpa-psk Geheim", "PrivateKey=Geheim", "      password: Geheim", "PresharedKey = Geheim"],
)
def test_secrets_in_others_files_are_shown_to_nobody(tmp_path: Path, line: str) -> None:
    path = tmp_path / "file"
    path.write_text(f"a 1\n{line}\nb 2\n")
    text = commit.shown(path)
    assert "Geheim" not in text
    assert text.splitlines()[0] == "a 1" and text.splitlines()[2] == "b 2"


def test_begin_arms_the_timer_before_anything_is_applied(host: Host) -> None:
    host.arm()
    started = [c for c in host.commands if c.startswith("systemd-run")]
    assert "--on-active=45s" in started[0]
    assert started[0].endswith("netcommit.py revert")
    assert started[1].endswith("netcommit.py apply")


def test_begin_makes_the_next_boot_revert(host: Host) -> None:
    host.arm()
    unit = (host.root / "etc/systemd/system/cairn-network-boot.service").read_text()
    assert "ConditionPathExists=/var/lib/cairn/network/trial/armed" in unit
    assert "Before=network-pre.target systemd-networkd.service" in unit
    assert (host.root / "var/lib/cairn/network/netcommit.py").read_text() == "program"


def test_a_nic_that_is_not_there_is_an_error_before_anything_happens(host: Host) -> None:
    with pytest.raises(commit.NetworkError, match=r"no NIC .* stor0 \(52:54:00:99:99:99\)"):
        host.arm(nics={"stor0": "52:54:00:99:99:99"})
    assert not host.change.files.armed.exists()


def test_a_timer_that_cannot_be_started_ends_the_change(host: Host) -> None:
    host.failing = "systemd-run"
    with pytest.raises(commit.NetworkError):
        host.arm()
    assert not host.change.files.armed.exists()


def test_only_one_change_at_a_time(host: Host) -> None:
    host.arm()
    with pytest.raises(commit.BusyError, match="within 45 s"):
        host.arm()


def test_a_change_whose_timer_is_gone_is_reverted_first(host: Host) -> None:
    before = host.files()
    host.arm()
    host.change.apply()
    host.kernel.timer = False
    host.arm()
    assert host.files() == before


def test_a_change_that_the_previous_release_left_armed_keeps_its_vips(host: Host) -> None:
    host.arm()
    host.change.apply()
    path = host.change.files.trial / "request.json"
    request = json.loads(path.read_text())
    request["spare"] = request.pop("unmanaged")
    path.write_text(json.dumps(request))
    host.kernel.devices["mgmt0"]["addresses"] += ["10.0.0.10/24", "10.0.0.99/24"]
    host.change.revert("nobody confirmed")
    deleted = [line for line in host.commands if line.startswith("ip address delete")]
    assert any("10.0.0.99" in line for line in deleted)
    assert not any("10.0.0.10/" in line for line in deleted)


def test_apply_puts_everything_else_aside(host: Host) -> None:
    host.arm()
    host.change.apply()
    assert host.change.status() == {
        **{"armed": True, "applied": True, "error": ""},
        **{"reverted": "", "linkless": []},
    }
    assert set(host.files()) == {
        "etc/systemd/network/20-cairn-mgmt0.link",
        "etc/systemd/network/20-cairn-mgmt0.network",
        "etc/systemd/network/50-ipmi.network",
        "etc/network/interfaces",
    }
    assert "eth0" not in (host.root / "etc/network/interfaces").read_text()
    assert host.kernel.names[MAC] == "mgmt0"
    assert host.kernel.devices["mgmt0"]["addresses"] == ["10.0.0.13/24"]


def test_apply_leaves_vips_alone(host: Host) -> None:
    host.kernel.devices["eth0"]["addresses"].append("10.0.0.10/24")
    host.arm()
    host.change.apply()
    assert sorted(host.kernel.devices["mgmt0"]["addresses"]) == ["10.0.0.10/24", "10.0.0.13/24"]


def test_revert_brings_back_files_names_and_addresses(host: Host) -> None:
    files, devices, names = host.files(), host.kernel.state(), host.kernel.cards()
    host.arm()
    host.change.apply()
    host.change.revert("nobody confirmed")
    assert host.files() == files
    assert host.kernel.state() == devices
    assert host.kernel.cards() == names
    assert host.change.status()["reverted"] == "nobody confirmed"
    assert not host.change.files.armed.exists()


def test_a_revert_ends_though_neighbours_get_no_announcement(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise commit.NetworkError("ip failed")

    host.arm()
    host.change.apply()
    monkeypatch.setattr(host.kernel, "announce", refuse)
    host.change.revert("nobody confirmed")
    assert host.change.status()["reverted"] == "nobody confirmed"
    assert not host.change.files.armed.exists()


def test_while_it_reverts_nobody_takes_the_old_network_for_the_new(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    host.arm()
    host.change.apply()
    # By then the old addresses are back, and the control node gets through over them.
    monkeypatch.setattr(host.kernel, "announce", lambda _: seen.append(host.change.status()))
    host.change.revert("nobody confirmed")
    (status,) = seen
    assert (status["armed"], status["applied"]) == (True, False)


def test_a_full_disk_keeps_no_revert_from_its_work(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = commit.write

    def refuse(path: Path, *more: object) -> None:
        if path.name == "outcome.json":
            raise OSError("No space left on device")
        write(path, *more)

    devices = host.kernel.state()
    host.arm()
    host.change.apply()
    monkeypatch.setattr(commit, "write", refuse)
    host.change.revert("nobody confirmed")
    assert host.kernel.state() == devices
    assert not host.change.files.armed.exists()


def test_revert_leaves_a_vip_where_it_went_meanwhile(host: Host) -> None:
    host.arm()
    host.change.apply()
    host.kernel.devices["mgmt0"]["addresses"].append("10.0.0.10/24")
    host.change.revert("x")
    assert "10.0.0.10/24" in host.kernel.devices["eth0"]["addresses"]


def test_addresses_that_never_come_are_a_failure_that_reverts_at_once(host: Host) -> None:
    before = host.files()
    host.arm()
    host.kernel.wanted = {}
    host.change.apply()
    status = host.change.status()
    assert not status["armed"]
    assert "mgmt0 lacks 10.0.0.13/24" in status["error"]
    assert host.files() == before


def test_a_card_without_a_link_is_named_as_the_reason(host: Host) -> None:
    # Only a card that is up sees its cable: as eth1, before the change, it could not tell.
    host.arm(
        nics={"mgmt0": MAC, "stor0": OTHER_MAC},
        devices={
            "mgmt0": {"addresses": ["10.0.0.13/24"], "mtu": 1500},
            "stor0": {"addresses": ["10.0.20.13/24"], "mtu": 1500},
        },
    )
    host.kernel.wanted.pop("stor0")  # networkd gives it no address before there is a link
    host.kernel.unlinked = {"stor0"}
    host.change.apply()
    assert host.change.status()["error"] == (
        "after 0 s still: stor0 lacks 10.0.20.13/24; "
        f"stor0 ({OTHER_MAC}) has no link: check its cable and switch port"
    )


def test_a_command_that_fails_reverts_at_once(host: Host) -> None:
    before = host.files()
    host.arm()
    host.failing = "systemctl enable --quiet systemd-networkd"
    host.change.apply()
    assert "refused" in host.change.status()["error"]
    assert host.files() == before


def test_confirm_keeps_the_change_and_the_installers_files(host: Host) -> None:
    host.arm()
    host.change.apply()
    assert host.change.confirm() == {"confirmed": True, "lonely_bonds": []}
    assert any(c.startswith("systemctl stop cairn-network-revert.timer") for c in host.commands)
    retired = host.root / "var/lib/cairn/network/retired/etc"
    assert (retired / "systemd/network/10-bootstrap.network").exists()
    assert (retired / "network/interfaces").read_text() == "auto eth0\n"
    confirmed = json.loads((host.root / "var/lib/cairn/network/confirmed.json").read_text())
    assert confirmed["hash"] == "new"


def test_after_confirm_neither_timer_nor_boot_reverts(host: Host) -> None:
    host.arm()
    host.change.apply()
    host.change.confirm()
    after = host.files()
    host.change.revert("late")
    host.change.boot()
    assert host.files() == after


def test_confirming_too_late_is_an_error(host: Host) -> None:
    host.arm()
    host.change.apply()
    host.change.revert("the window passed")
    with pytest.raises(commit.NetworkError, match="too late to confirm: the window passed"):
        host.change.confirm()


def test_a_second_change_deletes_devices_that_are_other_now(host: Host) -> None:
    def vlan(number: int) -> dict[str, str]:
        name = f"mgmt0.{number}"
        return {
            f"20-cairn-{name}.netdev": f"[NetDev]\nName={name}\nKind=vlan\n[VLAN]\nId={number}\n"
        }

    there = {"addresses": [], "mtu": 1500}
    host.arm(files=vlan(20))
    host.change.apply()
    host.change.confirm()
    host.kernel.devices["mgmt0.20"] = there
    host.arm(files=vlan(21))
    host.change.apply()
    assert host.kernel.deleted == ["mgmt0.20"]
    host.kernel.devices["mgmt0.21"] = there
    host.change.revert("x")
    assert host.kernel.deleted == ["mgmt0.20", "mgmt0.21"]


def bond(mode: str, name: str = "bond0") -> str:
    return f"[NetDev]\nName={name}\nKind=bond\n[Bond]\nMode={mode}\n"


def test_a_bond_that_somebody_else_made_is_not_taken_as_it_is(host: Host) -> None:
    """By ifupdown: no unit tells of it. By netplan: in /run, and under another name."""
    netplan = host.root / "run/systemd/network/10-netplan-old0.netdev"
    netplan.parent.mkdir(parents=True)
    netplan.write_text(bond("802.3ad", "old0"))
    host.kernel.devices |= {n: {"addresses": [], "mtu": 1500} for n in ("bond0", "old0")}
    host.arm(files={"20-cairn-bond0.netdev": bond("active-backup")})
    host.change.apply()
    assert host.kernel.deleted == ["bond0", "old0"]
    assert not netplan.exists()


def test_links_owners_and_modes_come_back(host: Host) -> None:
    masked = host.units / "99-default.link"
    masked.symlink_to("/dev/null")
    private = host.root / "etc/netplan/01-site.yaml"
    private.parent.mkdir()
    private.write_text("network: {}\n")
    private.chmod(0o640)
    group = 4 if os.geteuid() == 0 else os.getgid()
    os.chown(private, -1, group)
    host.arm()
    host.change.apply()
    assert not masked.is_symlink() and not private.exists()
    host.change.revert("x")
    assert masked.readlink() == Path("/dev/null")
    assert (private.stat().st_mode & 0o777, private.stat().st_gid) == (0o640, group)


def test_a_revert_says_which_planes_had_no_link(host: Host) -> None:
    host.arm()
    host.change.apply()
    host.kernel.unlinked = {"mgmt0", "eth1"}
    host.change.revert("x")
    assert host.change.status()["linkless"] == ["mgmt0"]


def test_new_places_of_addresses_are_announced_to_neighbours(host: Host) -> None:
    host.arm()
    host.change.apply()
    assert host.kernel.announced == [("mgmt0", "10.0.0.13/24")]
    host.change.revert("x")
    assert host.kernel.announced[1:] == [("eth0", "10.0.0.200/24")]


def test_an_announcement_is_a_question_for_ones_own_address() -> None:
    frame = commit.announcement("02:00:00:00:00:0a", "10.0.0.13")
    assert frame.hex(" ", 2).split() == [
        *("ffff", "ffff", "ffff", "0200", "0000", "000a", "0806"),
        *("0001", "0800", "0604", "0001", "0200", "0000", "000a"),
        *("0a00", "000d", "0000", "0000", "0000", "0a00", "000d"),
    ]


# --- what ifupdown had up


def test_ifupdown_lets_go_of_everything_and_name_servers_stay(host: Host) -> None:
    host.kernel.ifupdown_has = ["eth0", "eth1"]
    host.arm()
    host.change.apply()
    assert [c for c in host.commands if "ifdown" in c] == [
        "timeout 60 ifdown --force eth1",
        "timeout 60 ifdown --force eth0",
    ]
    assert host.resolver.read_text() == "nameserver 10.0.0.53\n"


def test_name_servers_that_a_program_kept_in_run_become_a_file(host: Host) -> None:
    kept = host.root / "run/resolv.conf"
    kept.parent.mkdir()
    kept.write_text("nameserver 10.0.0.53\n")
    host.resolver.unlink()
    host.resolver.symlink_to(kept)
    host.kernel.ifupdown_has = ["eth0"]
    host.arm()
    host.change.apply()
    assert not host.resolver.is_symlink()
    assert host.resolver.read_text() == "nameserver 10.0.0.53\n"
    host.change.revert("x")
    assert host.resolver.readlink() == kept


def test_a_revert_lets_ifupdown_start_from_nothing(host: Host) -> None:
    """An address that is there already is an error to ifup, and its interface then not up."""
    host.kernel.ifupdown_has = ["eth0"]
    host.arm()
    host.change.apply()
    host.kernel.devices["mgmt0"]["addresses"].append("10.0.0.10/24")  # a VIP is not its own
    host.commands.clear()
    host.change.revert("x")
    up = next(n for n, c in enumerate(host.commands) if c.endswith("ifup --force eth0"))
    assert "ip address delete 10.0.0.13/24 dev eth0" in host.commands[:up]
    assert not any("10.0.0.10" in c for c in host.commands[:up])


def test_a_dhcp_client_that_a_revert_starts_outlives_it(host: Host) -> None:
    host.kernel.ifupdown_has = ["eth0"]
    host.arm()
    host.change.apply()
    host.change.revert("x")
    assert "systemd-run --quiet --scope --collect timeout 60 ifup --force eth0" in host.commands


def test_a_boot_within_the_window_is_ifupdowns_again(host: Host) -> None:
    """Hotplug waits for an event of each NIC; networkd, enabled by the change, would time out."""
    host.kernel.ifupdown_has = ["eth0"]
    host.arm()
    host.change.apply()
    host.commands.clear()
    host.change.boot()
    assert host.resolver.read_text() == "nameserver 10.0.0.53\n"
    assert "systemctl disable --quiet systemd-networkd.service" in host.commands
    assert any(c.startswith("systemctl stop --no-block systemd-netw") for c in host.commands)
    assert host.commands[-1] == "udevadm trigger --action=add --subsystem-match=net"
    assert host.kernel.names[MAC] == "eth0"


def test_a_boot_within_the_window_leaves_networkd_that_was_there(host: Host) -> None:
    host.kernel.networkd_state = {"active": True, "enabled": False}  # netplan starts it
    host.arm()
    host.change.apply()
    host.commands.clear()
    host.change.boot()
    assert not any(c.startswith("systemctl stop") for c in host.commands)


# --- bonds


@pytest.mark.parametrize(
    ("bond", "lonely"),
    [
        ({"mode": "active-backup"}, []),
        ({"mode": "802.3ad"}, ["bond0"]),
        ({"mode": "802.3ad", "ad_info": {"partner_mac": "00:00:00:00:00:00"}}, ["bond0"]),
        ({"mode": "802.3ad", "ad_info": {"partner_mac": "02:00:00:00:0a:01"}}, []),
    ],
)
def test_a_bond_without_lacp_partner_is_found(
    bond: dict[str, Any], lonely: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {"eth0": {}, "bond0": {"linkinfo": {"info_kind": "bond", "info_data": bond}}}
    monkeypatch.setattr(commit.Kernel, "show", lambda _self: shown)
    assert commit.Kernel().lonely_bonds() == lonely


class PowerCutError(BaseException):
    """The host loses its power: nothing after this happens."""


@pytest.mark.parametrize("step", range(1, 30))
def test_a_power_cut_anywhere_boots_with_the_old_configuration(
    host: Host, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.files()
    steps = 0

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == step:
                raise PowerCutError
            return function(*arguments, **named)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(commit, "write", counted(commit.write))
        patched.setattr(commit, "run", counted(host.run))
        patched.setattr(commit.shutil, "copy2", counted(commit.shutil.copy2))
        try:
            host.arm()
            host.change.apply()
        except PowerCutError:
            pass
    host.change.boot()
    assert {k: v for k, v in host.files().items() if "/." not in k} == before
    assert not host.change.files.armed.exists()


def test_the_probe_finds_no_drift_after_confirm(host: Host) -> None:
    host.arm()
    host.change.apply()
    host.change.confirm()
    nics = {
        name: {"addresses": d["addresses"], "mtu": d["mtu"], "up": True}
        for name, d in host.kernel.devices.items()
    }
    assert network.read_network(host.root, nics) == {
        "hash": "new",
        "unconfirmed": False,
        "drift": [],
    }
    (host.units / "20-cairn-mgmt0.network").write_text("changed\n")
    (host.units / "20-cairn-mgmt0.link").unlink()
    (host.units / "30-stray.network").write_text("x\n")
    nics["mgmt0"] = {"addresses": [], "mtu": 1400, "up": False}
    assert network.read_network(host.root, nics)["drift"] == [
        "20-cairn-mgmt0.link is missing",
        "20-cairn-mgmt0.network was changed on the host",
        "30-stray.network is not Cairn's (network_keep keeps it)",
        "mgmt0 has MTU 1400, not 1500",
        "mgmt0 is down",
        "mgmt0 lacks 10.0.0.13/24",
    ]


def test_the_probe_before_the_first_run(host: Host) -> None:
    assert network.read_network(host.root, {}) == {"hash": None, "unconfirmed": False, "drift": []}
    host.arm()
    assert network.read_network(host.root, {})["unconfirmed"]
