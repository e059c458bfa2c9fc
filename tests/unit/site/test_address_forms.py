"""Which forms of networks, addresses, ranges and MACs count: judged by Python's own ipaddress."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from netaddr import IPNetwork

from cairn.site.planes import Problem, Reader, overlap, read_plane

PART = st.one_of(
    st.integers(0, 300).map(str),
    st.sampled_from(["0", "10", "010", "0x0a", "0o12", "255", "256", "1e1", "1_0", "+1", "-1", ""]),
    st.text("0123456789abfx_+- ,/:٣", max_size=4),
)
ADDRESS = st.one_of(
    st.lists(PART, min_size=1, max_size=5).map(".".join),
    st.ip_addresses().map(str),
    st.ip_addresses(v=4).map(str),
)
PREFIX = st.one_of(
    st.integers(-1, 34).map(str),
    st.integers(0, 32).map(lambda n: str(ipaddress.ip_network(f"0.0.0.0/{n}").netmask)),
    st.integers(0, 32).map(lambda n: str(ipaddress.ip_network(f"0.0.0.0/{n}").hostmask)),
    PART,
    ADDRESS,
)
NETWORK = st.one_of(
    st.builds("{}/{}".format, ADDRESS, PREFIX),
    st.ip_addresses(v=4).flatmap(
        lambda a: st.integers(0, 32).map(
            lambda n: str(ipaddress.ip_network(f"{a}/{n}", strict=False))
        )
    ),
    ADDRESS,
)
PAIR = st.one_of(
    st.text("0123456789abcdefABCDEF", min_size=2, max_size=2),
    st.text("0123456789abcdefABCDEFxg:-. \n", max_size=3),
)
MAC = st.one_of(
    st.builds(
        lambda parts, sign: sign.join(parts),
        st.lists(PAIR, min_size=5, max_size=8),
        st.sampled_from([":", "-", ".", "", "_"]),
    ),
    st.builds(
        lambda parts, sign: sign.join(parts),
        st.lists(st.text("0123456789abcdefABCDEF", min_size=2, max_size=2), min_size=6, max_size=6),
        st.sampled_from([":", "-"]),
    ),
    st.integers(0, 2**48),
)
PLAIN = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


ENDS = {str(ipaddress.IPv4Address(number)) for number in (0, 2**32 - 1)}


def reader() -> tuple[Reader, list[Problem]]:
    problems: list[Problem] = []
    return Reader(problems, "x"), problems


def judged(kind: Callable[[str], Any], text: str) -> str | None:
    try:
        return str(kind(text))
    except ValueError:
        return None


@given(NETWORK)
@example("10.1")
@example("10.1/16")
@example("10.0.0.0/ 24")
@example("10.0.0.0/+24")
@example("10.0.0.0/2_4")
@example("10.0.0.0/024")
@example("010.0.0.0/24")
@example("0x0a.0.0.0/24")
@example("10.0.0.0/24\n")
@example("10.0.0.0/0.0.0.255")
@example("10.0.0.0/255.255.0.0")
@example("10.0.0.0")
@example("::/0")
@example("1.2.3.4/5/6")
def test_a_network_is_what_ipaddress_takes_for_one(text: str) -> None:
    read, problems = reader()
    found = read.network("x", text)
    assert (str(found) if found is not None else None) == judged(ipaddress.IPv4Network, text)
    assert bool(problems) == (found is None)
    mended = judged(lambda t: ipaddress.IPv4Network(t, strict=False), text)
    if found is None and mended:
        assert problems[0].text.endswith(f"a host's address; the network is {mended}")


@given(ADDRESS)
@example("10.1")
@example("167772161")
@example("0")
@example("")
@example("10.0.0.1/8")
@example("10.0.0.1 ")
@example("10.0.0.1\0")
@example("10.0.0.01")
@example("0x0a000001")
@example("::ffff:10.0.0.1")
def test_an_address_is_what_ipaddress_takes_for_one(text: str) -> None:
    read, problems = reader()
    everything = IPNetwork("0.0.0.0/0")
    found = read.address("x", text, everything)
    wanted = judged(ipaddress.IPv4Address, text)
    usable = wanted not in {None, *ENDS}
    assert (str(found) if found is not None else None) == (wanted if usable else None)
    assert bool(problems) == (found is None)


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4), st.integers(-2, 2))
def test_ends_of_a_network_are_no_addresses_of_hosts(
    start: Any, prefix: int, other: Any, step: int
) -> None:
    network = ipaddress.ip_network(f"{start}/{prefix}", strict=False)
    for end in (int(network.network_address), int(network.broadcast_address), int(other)):
        text = str(ipaddress.IPv4Address(max(0, min(2**32 - 1, end + step))))
        address = ipaddress.IPv4Address(text)
        ends = (network.network_address, network.broadcast_address)
        usable = address in network and (network.num_addresses <= 2 or address not in ends)
        found = reader()[0].address("x", text, IPNetwork(str(network)))
        assert (found is not None) is usable


@given(ADDRESS, ADDRESS, st.sampled_from(["-", " - ", "..", ""]))
def test_a_range_has_two_addresses_in_order(first: str, last: str, dash: str) -> None:
    read, problems = reader()
    text = f"{first}{dash}{last}"
    found = read.range("x", text, IPNetwork("0.0.0.0/0"))
    ends = [judged(ipaddress.IPv4Address, part.strip()) for part in text.split("-", 1)]
    right = (
        len(ends) == 2
        and all(ends)
        and not ENDS & set(ends)
        and ipaddress.IPv4Address(ends[0] or "") <= ipaddress.IPv4Address(ends[1] or "")
    )
    assert (str(found) if found is not None else None) == (
        "-".join(map(str, ends)) if right else None
    )
    assert bool(problems) == (found is None)


@given(MAC)
@example("5254.0012.3456")
@example("525400123456")
@example("52:54:0:12:34:56")
@example("52:54:00:12:34:56\n")
@example("52-54-00:12-34-56")
@example("52:54:00:12:34:56:78:90")
@example(41135532896)
@example(None)
def test_a_mac_has_six_pairs_of_digits(value: Any) -> None:
    read, problems = reader()
    found = read.mac("x", value)
    text = str(value).lower().replace("-", ":")
    assert (str(found) if found is not None else None) == (text if PLAIN.fullmatch(text) else None)
    assert bool(problems) == (found is None)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**12), st.integers(20, 32)), min_size=2, max_size=5, unique=True
    )
)
def test_networks_overlap_where_ipaddress_says_so(given_networks: list[tuple[int, int]]) -> None:
    networks = [
        ipaddress.ip_network((number << 4, p), strict=False) for number, p in given_networks
    ]
    for one, other in combinations(networks, 2):
        assert overlap(IPNetwork(str(one)), IPNetwork(str(other))) is one.overlaps(other)


@pytest.mark.parametrize("prefix", range(33))
def test_without_a_range_hosts_count_up_to_the_last_but_one(prefix: int) -> None:
    network = ipaddress.ip_network(f"0.0.0.0/{prefix}")
    plane = read_plane("x", {"cidr": str(network)}, [])
    assert plane is not None
    if network.num_addresses < 13:
        assert plane.range is None
    else:
        assert str(plane.range) == f"{network[11]}-{network[-2]}"
