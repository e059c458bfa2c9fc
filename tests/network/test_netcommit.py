"""A change of the network that is not confirmed leaves nothing behind, whenever it is cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cairn import netcommit, netstate

from .conftest import MAC, OTHER_MAC, Host


def test_begin_changes_nothing_yet(host: Host) -> None:
    before = host.files()
    result = host.begin()
    assert host.files() == before
    assert result["before"]["10-bootstrap.network"] == "[Match]\nName=eth0\n"


def test_begin_arms_the_timer_before_anything_is_applied(host: Host) -> None:
    host.begin()
    started = [c for c in host.commands if c.startswith("systemd-run")]
    assert "--on-active=45s" in started[0]
    assert started[0].endswith("netcommit.py revert")
    assert started[1].endswith("netcommit.py apply")


def test_begin_makes_the_next_boot_revert(host: Host) -> None:
    host.begin()
    unit = (host.root / "etc/systemd/system/cairn-network-boot.service").read_text()
    assert "ConditionPathExists=/var/lib/cairn/network/trial/armed" in unit
    assert "Before=network-pre.target systemd-networkd.service" in unit
    assert (host.root / "var/lib/cairn/network/netcommit.py").read_text() == "program"


def test_a_nic_that_is_not_there_is_told_before_anything_happens(host: Host) -> None:
    with pytest.raises(netcommit.NetworkError, match=r"no NIC .* stor0 \(52:54:00:99:99:99\)"):
        host.begin(nics={"stor0": "52:54:00:99:99:99"})
    assert not host.trial.files.armed.exists()


def test_a_timer_that_cannot_be_armed_ends_the_trial(host: Host) -> None:
    host.failing = "systemd-run"
    with pytest.raises(netcommit.NetworkError):
        host.begin()
    assert not host.trial.files.armed.exists()


def test_only_one_change_at_a_time(host: Host) -> None:
    host.begin()
    with pytest.raises(netcommit.BusyError, match="within 45 s"):
        host.begin()


def test_a_trial_whose_timer_is_gone_is_reverted_first(host: Host) -> None:
    before = host.files()
    host.begin()
    host.trial.apply()
    host.kernel.timer = False
    host.begin()
    assert host.files() == before


def test_apply_puts_everything_else_aside(host: Host) -> None:
    host.begin()
    host.trial.apply()
    assert host.trial.status() == {"armed": True, "applied": True, "error": "", "reverted": ""}
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
    host.begin()
    host.trial.apply()
    assert sorted(host.kernel.devices["mgmt0"]["addresses"]) == ["10.0.0.10/24", "10.0.0.13/24"]


def test_revert_brings_back_files_names_and_addresses(host: Host) -> None:
    files, devices, names = host.files(), host.kernel.state(), host.kernel.cards()
    host.begin()
    host.trial.apply()
    host.trial.revert("nobody confirmed")
    assert host.files() == files
    assert host.kernel.state() == devices
    assert host.kernel.cards() == names
    assert host.trial.status()["reverted"] == "nobody confirmed"
    assert not host.trial.files.armed.exists()


def test_revert_leaves_a_vip_where_it_went_meanwhile(host: Host) -> None:
    host.begin()
    host.trial.apply()
    host.kernel.devices["mgmt0"]["addresses"].append("10.0.0.10/24")
    host.trial.revert("x")
    assert "10.0.0.10/24" in host.kernel.devices["eth0"]["addresses"]


def test_addresses_that_never_come_are_a_failure_that_reverts_at_once(host: Host) -> None:
    before = host.files()
    host.begin()
    host.kernel.wanted = {}
    host.trial.apply()
    status = host.trial.status()
    assert not status["armed"]
    assert "mgmt0 lacks 10.0.0.13/24" in status["error"]
    assert host.files() == before


def test_a_card_without_a_link_is_named_as_the_reason(host: Host) -> None:
    # Only a card that is up sees its cable: as eth1, before the change, it could not tell.
    host.begin(
        nics={"mgmt0": MAC, "stor0": OTHER_MAC},
        devices={
            "mgmt0": {"addresses": ["10.0.0.13/24"], "mtu": 1500},
            "stor0": {"addresses": ["10.0.20.13/24"], "mtu": 1500},
        },
    )
    host.kernel.wanted.pop("stor0")  # networkd gives it no address before there is a link
    host.kernel.unlinked = {"stor0"}
    host.trial.apply()
    assert host.trial.status()["error"] == (
        "after 0 s still: stor0 lacks 10.0.20.13/24; "
        f"stor0 ({OTHER_MAC}) has no link: check its cable and the switch's port"
    )


def test_a_command_that_fails_reverts_at_once(host: Host) -> None:
    before = host.files()
    host.begin()
    host.failing = "systemctl enable --quiet systemd-networkd"
    host.trial.apply()
    assert "refused" in host.trial.status()["error"]
    assert host.files() == before


def test_confirm_keeps_the_change_and_the_installers_files(host: Host) -> None:
    host.begin()
    host.trial.apply()
    assert host.trial.confirm() == {"confirmed": True}
    assert "systemctl stop cairn-network-revert.timer" in host.commands
    retired = host.root / "var/lib/cairn/network/retired/etc"
    assert (retired / "systemd/network/10-bootstrap.network").exists()
    assert (retired / "network/interfaces").read_text() == "auto eth0\n"
    confirmed = json.loads((host.root / "var/lib/cairn/network/confirmed.json").read_text())
    assert confirmed["hash"] == "new"


def test_after_confirm_neither_timer_nor_boot_reverts(host: Host) -> None:
    host.begin()
    host.trial.apply()
    host.trial.confirm()
    after = host.files()
    host.trial.revert("late")
    host.trial.boot()
    assert host.files() == after


def test_confirming_too_late_is_an_error(host: Host) -> None:
    host.begin()
    host.trial.apply()
    host.trial.revert("the window passed")
    with pytest.raises(netcommit.NetworkError, match="too late to confirm: the window passed"):
        host.trial.confirm()


def test_a_second_change_deletes_devices_that_are_other_now(host: Host) -> None:
    def vlan(number: int) -> dict[str, str]:
        name = f"mgmt0.{number}"
        return {
            f"20-cairn-{name}.netdev": f"[NetDev]\nName={name}\nKind=vlan\n[VLAN]\nId={number}\n"
        }

    host.begin(files=vlan(20))
    host.trial.apply()
    host.trial.confirm()
    host.begin(files=vlan(21))
    host.trial.apply()
    assert host.kernel.deleted == ["mgmt0.20"]
    host.trial.revert("x")
    assert host.kernel.deleted == ["mgmt0.20", "mgmt0.21"]


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
        patched.setattr(netcommit, "write", counted(netcommit.write))
        patched.setattr(netcommit, "run", counted(host.run))
        patched.setattr(netcommit.shutil, "copy2", counted(netcommit.shutil.copy2))
        try:
            host.begin()
            host.trial.apply()
        except PowerCutError:
            pass
    host.trial.boot()
    assert {k: v for k, v in host.files().items() if "/." not in k} == before
    assert not host.trial.files.armed.exists()


def test_the_probe_finds_no_drift_after_confirm(host: Host) -> None:
    host.begin()
    host.trial.apply()
    host.trial.confirm()
    nics = {
        name: {"addresses": d["addresses"], "mtu": d["mtu"], "up": True}
        for name, d in host.kernel.devices.items()
    }
    assert netstate.read_network(host.root, nics) == {"hash": "new", "trial": False, "drift": []}
    (host.units / "20-cairn-mgmt0.network").write_text("changed\n")
    (host.units / "20-cairn-mgmt0.link").unlink()
    (host.units / "30-stray.network").write_text("x\n")
    nics["mgmt0"] = {"addresses": [], "mtu": 1400, "up": False}
    assert netstate.read_network(host.root, nics)["drift"] == [
        "20-cairn-mgmt0.link is missing",
        "20-cairn-mgmt0.network was changed on the host",
        "30-stray.network is not Cairn's (network_keep keeps it)",
        "mgmt0 has MTU 1400, not 1500",
        "mgmt0 is down",
        "mgmt0 lacks 10.0.0.13/24",
    ]


def test_the_probe_before_the_first_run(host: Host) -> None:
    assert netstate.read_network(host.root, {}) == {"hash": None, "trial": False, "drift": []}
    host.begin()
    assert netstate.read_network(host.root, {})["trial"]
