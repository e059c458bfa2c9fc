"""Filters on planes: addresses of hosts, and the hosts that the role `network` has to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from cairn.site.addresses import addresses
from cairn.site.planes import (
    FIRST_HOST_NUMBER,
    Host,
    counted_address,
    read_first_number,
    read_number,
    read_plane,
)
from cairn.site.window import stale


def plane_address(
    planes: Mapping[str, Any], plane: str, number: int, first: int = FIRST_HOST_NUMBER
) -> str:
    """A host's address on a plane of `cairn_planes`, computed from its host number.

    For `ansible_host` in an inventory, where no fact exists yet.
    """
    if plane not in planes:
        raise AnsibleFilterError(f"plane {plane} is not in cairn_planes")
    problems: list[Any] = []
    read = read_plane(plane, planes[plane], problems)
    start = read_first_number(first, problems)
    host = Host("", (), read_number("", number, start, problems))
    address = counted_address(host, read, start, problems) if read else None
    if address is None or problems:
        raise AnsibleFilterError("; ".join(p.text for p in problems))
    return str(address)


def network_stale(site: Mapping[str, Any], hostvars: Mapping[str, Any]) -> list[str]:
    """The reached hosts whose network is not what `cairn_site` says, or has drifted."""
    return stale(site, hostvars)


def network_answers(hostvars: Mapping[str, Any], hosts: Sequence[str]) -> dict[str, Any]:
    """Host name to the result of its step "asked" of `cairn_network`, for hosts that ran it.

    An unreachable host has no `missing`: it became unreachable after the change, and prevents the
    confirmation.
    """
    answers = {}
    for host in hosts:
        asked = hostvars[host].get("__network_asked")
        if asked is not None:
            lost = ["the control node, after the change"] if "missing" not in asked else []
            answers[host] = {"missing": lost or list(asked["missing"])}
    return answers


def stated(hostvars: Mapping[str, Any], variable: str, hosts: Sequence[str] = ()) -> Any:
    """A variable's value on the first host that has it; None if no host has it.

    For `serial`, which Ansible templates before it reads any host's variables.
    """
    for host in hosts:
        value = hostvars[host].get(variable)
        if value is not None:
            return value
    return None


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {
            "stated": stated,
            "plane_address": plane_address,
            "plane_addresses": addresses,
            "network_stale": network_stale,
            "network_answers": network_answers,
        }
