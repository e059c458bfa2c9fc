"""Checks of API names, name servers, ports, NICs, planes and proxies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..site import proxies
from ..site.peers import judge
from ..site.window import Need
from .finding import ERROR, WARNING, Finding

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104


def check_network_window(window: int | None, need: Need) -> list[Finding]:
    """The operator's own window is long enough to confirm all changing hosts."""
    if not window or window >= need.window:
        return []
    return [
        Finding(
            WARNING,
            "network",
            f"network_window is {window} s; {need.count} hosts whose network changes need "
            f"{need.window} s with {need.forks} forks, where a call takes {need.call:.1f} s: "
            "their changes would be reverted before they are confirmed",
            f"remove network_window, or set it to {need.window}; or raise --forks",
        )
    ]


def check_nics(
    name: str, host: Mapping[str, Any], nics: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Every NIC of the inventory exists, has a link, and supports its MTU.

    nics: name to `mac`, `mtu` and `bond`, from `cairn_site.hosts`.
    """
    found = []
    cards = {nic["mac"]: (own, nic) for own, nic in host["nics"].items() if not nic["kind"]}
    for nic_name, given in nics.items():
        if given["mac"] not in cards:
            there = ", ".join(f"{mac} ({own})" for mac, (own, _) in sorted(cards.items()))
            found.append(
                Finding(
                    ERROR,
                    "nics",
                    f"has no NIC {given['mac']} ({nic_name}); it has {there}",
                    f"correct cairn_nics.{nic_name}.mac",
                    name,
                )
            )
            continue
        own, nic = cards[given["mac"]]
        if nic["link"] is False:
            # A bond works without one member.
            bond = given.get("bond")
            spared = bond and any(
                other.get("bond") == bond and cards.get(other["mac"], ("", {}))[1].get("link")
                for other in nics.values()
            )
            found.append(
                Finding(
                    WARNING if spared else ERROR,
                    "nics",
                    f"NIC {nic_name} ({given['mac']}, now {own}) has no link"
                    + (f"; {bond} works without it" if spared else ""),
                    "check the cable and the switch port",
                    name,
                )
            )
        if nic.get("max_mtu") and given["mtu"] > nic["max_mtu"]:
            found.append(
                Finding(
                    ERROR,
                    "nics",
                    f"NIC {nic_name} supports an MTU of {nic['max_mtu']} at most, "
                    f"not {given['mtu']}",
                    f"lower cairn_nics.{nic_name}.mtu and the MTU of its planes",
                    name,
                )
            )
    return found


def check_names(
    name: str,
    host: Mapping[str, Any],
    names: Mapping[str, str],
    vips: Mapping[str, str],
    public: Collection[str] = (),
) -> list[Finding]:
    """API names resolve to their VIPs, or the public name to an address in front of its VIP.

    names, vips: `internal` and `public`, as in `cairn_site`. public: `cairn_public_address`.
    """
    found = []
    for side, api in names.items():
        addresses = host["resolved"].get(api)
        fronts = list(public) if side == "public" else []
        if addresses and not {vips[side], *fronts} & set(addresses):
            remedy = f"correct the DNS or cairn_{side}_name"
            if side == "public":
                remedy += (
                    "; where a router or firewall forwards that address to the VIP, set "
                    f"cairn_public_address: {addresses[0]}"
                )
            found.append(
                Finding(
                    ERROR,
                    "names",
                    f"resolves {api} to {', '.join(addresses)}, not the {side} VIP {vips[side]}"
                    + (f" or {', '.join(fronts)} (cairn_public_address)" if fronts else ""),
                    remedy,
                    name,
                )
            )
        elif addresses == []:
            address = ", ".join(fronts or [vips[side]])
            found.append(
                Finding(
                    WARNING,
                    "names",
                    f"does not resolve {api}",
                    f"hosts have it in /etc/hosts; your users need it in the DNS ({address})",
                    name,
                )
            )
    return found


def check_proxies(
    name: str, variables: Mapping[str, Any], host: Mapping[str, Any], internal: str
) -> list[Finding]:
    """Proxies and index are URLs, and the host's services do not use a proxy among themselves.

    variables: those of `proxies.VARIABLES` that the host has. internal: the internal API name.
    """
    found = []
    for variable in ("cairn_http_proxy", "cairn_https_proxy", "cairn_pypi_index"):
        index = variable == "cairn_pypi_index"
        url = str(variables.get(variable) or "")
        schemes = ("https", "http", "file") if index else proxies.SCHEMES
        if url and (problem := proxies.url_problem(url, schemes)):
            example = "https://mirror.example/simple" if index else "http://proxy.example:3128"
            text = f"{variable} {problem}"
            found.append(Finding(ERROR, "proxies", text, f"correct it: {example}", name))
    proxy = host.get("service_proxy")
    if proxy and not proxies.is_excepted(internal, proxies.listed(proxy["no_proxy"])):
        found.append(
            Finding(
                ERROR,
                "proxies",
                f"sets a proxy for every service ({proxy['file']}, DefaultEnvironment=): the "
                "cloud's services would use it among themselves",
                f"remove it there (use cairn_http_proxy for package builds), or add "
                f"{internal} to its no_proxy; then systemctl daemon-reexec",
                name,
            )
        )
    return found


def check_name_servers(
    name: str, host: Mapping[str, Any], site: Mapping[str, Any], keep: Collection[str] = ()
) -> list[Finding]:
    """A network change does not remove the host's name servers.

    systemd-resolved loses a link's name servers when Cairn's units configure the link.
    keep: `network_keep`, units that stay and may configure name servers.
    """
    asked = host.get("name_servers") or {}
    if not asked.get("lent") or asked["kept"]:
        return []
    if host["network"]["hash"] == site["hosts"][name]["network"]:
        return []
    lent = " ".join(asked["lent"])
    return [
        Finding(
            WARNING if keep else ERROR,
            "names",
            f"has its name servers ({lent}) from DHCP or another link configuration, which "
            "Cairn replaces: no name would resolve afterwards",
            f"keep them: mkdir -p /etc/systemd/resolved.conf.d; printf '[Resolve]\\nDNS={lent}\\n' "
            "> /etc/systemd/resolved.conf.d/dns.conf; systemctl restart systemd-resolved",
            name,
        )
    ]


def check_ports(
    name: str,
    host: Mapping[str, Any],
    addresses: Mapping[str, str],
    ports: Iterable[Mapping[str, Any]],
    vips: Collection[str] = (),
) -> list[Finding]:
    """No other process listens on the ports of the host's services.

    ports: those of this host: role, protocol, port, plane and the units that may use it.
    """
    found = []
    for listener in ports:
        mine = {*EVERYWHERE, addresses.get(listener["plane"]), *vips}
        own = (*listener["units"], "haproxy.service")
        others = {
            entry["unit"] or "another process"
            for entry in host["listening"]
            if (entry["protocol"], entry["port"]) == (listener["protocol"], listener["port"])
            and entry["address"] in mine
            and entry["unit"] not in own
        }
        port, udp = listener["port"], listener["protocol"] == "udp"
        what = f"{'UDP ' if udp else ''}port {port} is {listener['role']}'s"
        look = f"ss -l{'u' if udp else 't'}np sport = :{port}"
        for other in sorted(others):
            found.append(
                Finding(
                    ERROR,
                    "ports",
                    f"{what}, but {other} listens on it",
                    f"stop it (systemctl disable --now {other})"
                    if other.endswith(".service")
                    else f"find and stop it ({look})",
                    name,
                )
            )
    return found


def check_peers(
    name: str, host: Mapping[str, Any], site: Mapping[str, Any], hosts: Mapping[str, Any]
) -> list[Finding]:
    """Neighbours answer at full MTU, if both ends have their planes.

    hosts: host name to `cairn_host` of every host. Hosts whose network is about to change are
    checked by commit-confirm instead.
    """

    def settled(other: str) -> bool:
        network = hosts.get(other, {}).get("network")
        return bool(network) and network["hash"] == site["hosts"][other]["network"]

    if not settled(name):
        return []
    answers = [a for a in host["peers"] if settled(a["host"])]
    missing = judge(answers, [a["host"] for a in answers], ()).missing
    return [
        Finding(
            ERROR,
            "peers",
            f"gets no answer from {peer}",
            "check cable, switch port, VLAN and MTU on the path",
            name,
        )
        for peer in missing
    ]


def check_network(name: str, host: Mapping[str, Any]) -> list[Finding]:
    """No network change waits for its confirmation, and iproute2 is installed."""
    found = []
    if host["network"]["unconfirmed"]:
        found.append(
            Finding(
                WARNING,
                "network",
                "a network change of an interrupted run waits for its confirmation",
                "nothing to do: it reverts by itself before another one starts",
                name,
            )
        )
    if not host["nics"]:
        text = "shows no NIC; is iproute2 missing?"
        found.append(Finding(ERROR, "network", text, "apt-get install iproute2", name))
    return found
