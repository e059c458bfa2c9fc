"""Who is asked, and what silence means."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.site.peers import all_peers, judge, neighbours
from cairn_host.probe import ping


def site(count: int) -> dict[str, Any]:
    return {
        "planes": {"management": {"mtu": 1500}, "storage": {"mtu": 9000}},
        "hosts": {
            f"h{n}": {
                "addresses": {"management": f"10.0.0.{n}"}
                | ({"storage": f"10.0.20.{n}"} if n % 2 else {}),
                "devices": {"management": "mgmt0", "storage": "stor0.20"},
            }
            for n in range(1, count + 1)
        },
    }


def test_all_peers_of_a_host() -> None:
    asked = [(p["host"], p["plane"], p["size"], p["device"]) for p in all_peers(site(3), "h1")]
    assert asked == [
        ("h2", "management", 1500, "mgmt0"),
        ("h3", "management", 1500, "mgmt0"),
        ("h3", "storage", 9000, "stor0.20"),
    ]


@given(count=st.integers(1, 30), each=st.integers(1, 5))
def test_neighbours_reach_everybody_at_linear_cost(count: int, each: int) -> None:
    made = site(count)
    asked = [(p["host"], p["plane"]) for me in made["hosts"] for p in neighbours(made, me, each)]
    members = {
        p: [h for h, e in made["hosts"].items() if p in e["addresses"]] for p in made["planes"]
    }
    for plane, hosts in members.items():
        expected = min(each, len(hosts) - 1)
        assert all(asked.count((h, plane)) == expected for h in hosts)


def answer(host: str, plane: str, small: bool, full: bool, error: str = "") -> dict[str, Any]:
    return {
        "host": host,
        "plane": plane,
        "address": "10.0.0.9",
        "size": 9000 if plane == "storage" else 1500,
        "small": small,
        "full": full,
        "error": error,
    }


def test_everybody_answers() -> None:
    judgement = judge([answer("a", "management", True, True)], ["a"], [])
    assert (judgement.missing, judgement.off) == ((), ())


def test_a_wrong_vlan_is_named_with_plane_and_size() -> None:
    answers = [answer("a", "management", True, True), answer("a", "storage", False, False)]
    assert judge(answers, [], []).missing == ("a (10.0.0.9) on plane storage at 9000 bytes",)


def test_a_small_mtu_on_the_way_differs_from_a_wrong_vlan() -> None:
    (text,) = judge([answer("a", "storage", True, False)], [], []).missing
    assert text.endswith("though it answers small packets: an MTU on the way is too low")


def test_the_kernels_own_error_is_shown() -> None:
    (text,) = judge([answer("a", "storage", False, False, "Message too long")], ["a"], []).missing
    assert text.endswith("(Message too long)")


def test_a_host_that_answers_nowhere_is_off_and_only_named() -> None:
    answers = [answer("a", "management", False, False), answer("a", "storage", False, False)]
    judgement = judge(answers, [], [])
    assert (judgement.missing, judgement.off) == ((), ("a",))


def test_a_host_that_ansible_reached_must_answer() -> None:
    assert judge([answer("a", "management", False, False)], ["a"], []).missing


def test_an_excused_host_may_be_silent() -> None:
    answers = [answer("a", "management", True, True), answer("a", "storage", False, False)]
    assert judge(answers, ["a"], ["a"]).missing == ()


@pytest.mark.parametrize("size", [64, 1500, 9000, 9001])
def test_an_echo_has_its_size_and_a_right_checksum(size: int) -> None:
    packet = ping.echo(7, 3, size)
    assert len(packet) + ping.IP_HEADER == size
    assert ping.checksum(packet) == 0


def test_a_device_without_carrier_is_an_error(tmp_path: Path) -> None:
    for device, carrier in (("bond0", "0"), ("mgmt0", "1")):
        (tmp_path / device).mkdir()
        (tmp_path / device / "carrier").write_text(f"{carrier}\n")
    errors = {d: ping.link_error(d, tmp_path) for d in ("bond0", "mgmt0", "gone0")}
    assert errors == {"bond0": "bond0 has no link", "mgmt0": "", "gone0": ""}


def test_only_answers_to_oneself_count() -> None:
    def reply(kind: int, identifier: int) -> bytes:
        return b"\x45" + bytes(19) + struct.pack("!BBHHH", kind, 0, 0, identifier, 5)

    assert ping.reply_sequence(reply(0, 7), 7) == 5
    assert ping.reply_sequence(reply(0, 8), 7) is None
    assert ping.reply_sequence(reply(8, 7), 7) is None
