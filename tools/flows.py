#!/usr/bin/env python3
"""Write docs/flows.md, a drawing and a table for each plane, from roles/service/files/flows.yml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cairn.site.flows import PUBLIC, Flow, read

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs/flows.md"
HEAD = """\
# Who talks to whom

<!-- Made by tools/flows.py from roles/service/files/flows.yml: change that file, run the tool. -->

The parts of the cloud talk in four ways: HTTP (the REST APIs), AMQP (RPC within a service), SQL (a
service to its own database) and native (a driver to hardware or software). Each of them stands here
once, with its port and plane. A test in the lab holds every listening socket of every host against
this list: it must be on the plane's address or VIP, or on the loopback. Give a firewall the same.
"""
TITLES = {
    "management": "Management plane",
    "storage": "Storage plane: volumes and objects",
    "service": "Service plane: instances",
    PUBLIC: "The public VIP",
}
NODES = {
    "all": "every host",
    "clients": "clients",
    "operator": "operator",
    "outside": "outside",
}


def drawing(flows: Sequence[Flow]) -> str:
    """Return a Mermaid flowchart: an arrow from group to group, with the flows it carries."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for flow in flows:
        for source in flow.sources:
            for target in flow.targets:
                carried = arrows.setdefault((source, target), [])
                if flow.name not in carried:
                    carried.append(flow.name)
    lines = ["```mermaid", "flowchart LR"]
    nodes = dict.fromkeys(node for arrow in arrows for node in arrow)
    lines += [f"    {node}([{NODES[node]}])" for node in nodes if node in NODES]
    for (source, target), names in arrows.items():
        lines.append(f'    {source} -->|"{"<br>".join(names)}"| {target}')
    return "\n".join([*lines, "```"])


def table(flows: Sequence[Flow]) -> str:
    """Return a Markdown table of the flows."""
    lines = ["| flow | kind | from | to | port |", "|---|---|---|---|---|"]
    for flow in flows:
        port = f"{flow.protocol} {flow.port}".strip()
        lines.append(
            f"| {flow.name} | {flow.kind} | {', '.join(flow.sources)} "
            f"| {', '.join(flow.targets)} | {port} |"
        )
    return "\n".join(lines)


def page(flows: Sequence[Flow]) -> str:
    """Return the whole page."""
    parts = [HEAD]
    for plane, title in TITLES.items():
        here = [flow for flow in flows if flow.plane == plane]
        if here:
            parts.append(f"## {title}\n\n{drawing(here)}\n\n{table(here)}\n")
    reasons = [f"- {flow.name}: {flow.wildcard}" for flow in flows if flow.wildcard]
    parts.append("## On every address\n\nThese alone listen on all of a host's addresses:\n")
    return "\n".join([*parts, *reasons]) + "\n"


if __name__ == "__main__":
    DOCS.write_text(page(read()))
