"""Proxies: what uses them to reach the outside, and the cloud's own addresses, which never do.

Standard library only: the proof uses it too. Commands of Cairn on a host do not get the host's
environment (/etc/environment); those that need a proxy get it from here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

SCHEMES = ("http", "https", "socks5", "socks5h")
VARIABLES = ("cairn_http_proxy", "cairn_https_proxy", "cairn_no_proxy", "cairn_pypi_index")
LOCAL = ("localhost", "127.0.0.0/8", "::1")


def listed(value: Any) -> list[str]:
    """Names of `cairn_no_proxy`: a list, or text with commas as in no_proxy."""
    parts = str(value or "").split(",") if not isinstance(value, list) else value
    return [text for part in parts if (text := str(part).strip())]


def own_addresses(site: Mapping[str, Any]) -> list[str]:
    """The cloud's own planes, VIPs and API names, in the form of no_proxy."""
    planes = [plane["cidr"] for plane in site["planes"].values() if plane.get("cidr")]
    found = [*LOCAL, *planes, *site["vips"].values(), *site["names"].values()]
    return list(dict.fromkeys(found))


def environment(variables: Mapping[str, Any], site: Mapping[str, Any]) -> dict[str, str]:
    """The environment for package builds on a host; empty without a proxy.

    variables: those of VARIABLES that the host has. Both cases are set, as programs differ.
    """
    http = str(variables.get("cairn_http_proxy") or "")
    https = str(variables.get("cairn_https_proxy") or "") or http
    if not https:
        return {}
    excepted = [*own_addresses(site), *listed(variables.get("cairn_no_proxy"))]
    found = {"https_proxy": https, "no_proxy": ",".join(dict.fromkeys(excepted))}
    if http:
        found["http_proxy"] = http
    return found | {name.upper(): value for name, value in found.items()}


def index(url: str) -> dict[str, str]:
    """The environment with which uv uses a package index instead of PyPI; empty without one.

    Credentials are removed from the URL, so that uv's messages cannot show them.
    """
    if not url:
        return {}
    parts = urlsplit(url)
    if not parts.username:
        return {"UV_DEFAULT_INDEX": url}
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return {
        "UV_DEFAULT_INDEX": f"cairn={bare}",
        "UV_INDEX_CAIRN_USERNAME": unquote(parts.username),
        "UV_INDEX_CAIRN_PASSWORD": unquote(parts.password or ""),
    }


def asked_through(variables: Mapping[str, Any], site: Mapping[str, Any]) -> tuple[str, str]:
    """The package index without credentials, and its proxy ("" for none).

    Both are empty if the site has no index, as uv has its own default, or if one of the variables
    is no URL, which preflight reports.
    """
    urls = [str(variables.get(name) or "") for name in VARIABLES if name != "cairn_no_proxy"]
    if any(url and url_problem(url, (*SCHEMES, "file")) for url in urls):
        return "", ""
    given = variables.get("cairn_pypi_index")
    if not given:
        return "", ""
    parts = urlsplit(str(given))
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    found = environment(variables, site)
    direct = is_excepted(parts.hostname or "", listed(found.get("no_proxy")))
    return bare, "" if direct else found.get(f"{parts.scheme}_proxy", "")


def url_problem(url: str, schemes: Iterable[str] = SCHEMES) -> str:
    """The problem of a proxy's or an index's URL, as the rest of a sentence; "" if it is valid."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in schemes or not parts.hostname:
        return f"is no URL that starts with {' or '.join(f'{s}://' for s in schemes)}"
    return ""


def is_excepted(host: str, no_proxy: Iterable[str]) -> bool:
    """Whether no_proxy includes a name or an address, by the rules of `requests`."""
    for entry in no_proxy:
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            domain = entry.lstrip(".").lower()
            if host.lower() == domain or host.lower().endswith(f".{domain}"):
                return True
    return False


def exempt(environment: Mapping[str, str], hosts: Iterable[str]) -> dict[str, str]:
    """no_proxy, in both cases, extended by `hosts`."""
    before = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    text = ",".join(dict.fromkeys([*listed(before), *filter(None, hosts)]))
    return {"no_proxy": text, "NO_PROXY": text}
