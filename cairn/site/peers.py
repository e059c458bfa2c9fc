"""Which hosts must answer a host on which plane. Control node only, pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NEIGHBOURS = 4


def _peer(site: Mapping[str, Any], me: str, other: str, plane: str) -> dict[str, Any]:
    return {
        "host": other,
        "plane": plane,
        "address": site["hosts"][other]["addresses"][plane],
        "device": site["hosts"][me]["devices"][plane],
        "size": site["planes"][plane]["mtu"],
    }


def all_peers(site: Mapping[str, Any], me: str) -> list[dict[str, Any]]:
    """All other hosts on each plane of a host. `site` is `cairn_site`."""
    return [
        _peer(site, me, other, plane)
        for plane in site["hosts"][me]["addresses"]
        for other, entry in site["hosts"].items()
        if other != me and plane in entry["addresses"]
    ]


def neighbours(site: Mapping[str, Any], me: str, count: int = NEIGHBOURS) -> list[dict[str, Any]]:
    """The next `count` hosts of each plane, in a ring: every host is asked, at linear cost."""
    chosen = []
    for plane in site["hosts"].get(me, {"addresses": {}})["addresses"]:
        ring = [h for h, entry in site["hosts"].items() if plane in entry["addresses"]]
        at = ring.index(me)
        following = (ring[at + 1 :] + ring[:at])[:count]
        chosen += [_peer(site, me, other, plane) for other in following]
    return chosen


@dataclass(frozen=True)
class Judgement:
    """`missing` answers prevent the confirmation; hosts in `off` are only reported."""

    missing: tuple[str, ...]
    off: tuple[str, ...]


def judge(
    answers: Iterable[Mapping[str, Any]], reached: Collection[str], excused: Collection[str]
) -> Judgement:
    """Distinguish peers that should have answered from hosts that are off.

    A peer is alive if Ansible reached it in this run or if it answers on any plane. It must then
    answer on every plane at full MTU, unless it is in `excused`. A peer that answers on no plane is
    off.

    answers: the result of `ping.ask_peers`.
    """
    answers = list(answers)
    alive = set(reached) | {a["host"] for a in answers if a["small"] or a["full"]}
    missing = [
        sentence(a)
        for a in answers
        if a["host"] in alive and a["host"] not in excused and not a["full"]
    ]
    off = sorted({a["host"] for a in answers if a["host"] not in alive})
    return Judgement(tuple(missing), tuple(off))


def sentence(answer: Mapping[str, Any]) -> str:
    """`compute2 (198.18.20.14) on plane storage at 9000 bytes, though it answers small packets`."""
    text = (
        f"{answer['host']} ({answer['address']}) on plane {answer['plane']} "
        f"at {answer['size']} bytes"
    )
    if answer["small"]:
        text += ", though it answers small packets: an MTU on the way is too low"
    if answer["error"]:
        text += f" ({answer['error']})"
    return text
