"""A new service: a daemon of Debian's on the controllers.

Its role, scenario and changelog fragment are copies of templates. Its play, its flow and its row
in the guide are added to what is there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cairn.site import flows

from . import parts

SITE = "playbooks/site.yml"
FLOWS = "roles/service/files/flows.yml"
GUIDE = "docs/choose-services.md"
PLAY = """\
- name: "{title}: controllers"
  hosts: controller:&stale_{name}
  gather_facts: false
  any_errors_fatal: true
  serial: *turns
  roles: [{name}]
"""
FLOW = (
    "- {{name: {name}, kind: native, from: [controller], to: [controller], port: {port}, "
    "protocol: tcp, plane: management}}\n"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", help="of the service, its role and its variables")
    parser.add_argument("--port", type=int, required=True, help="on which it listens")
    parser.add_argument("--package", help="Debian's package (by default the name)")
    parser.add_argument("--unit", help="Debian's unit, without .service (by default the package)")


def check(root: Path, name: str, port: int) -> None:
    """Refuse a name or a port that another service has."""
    parts.require_name(name, "[a-z][a-z0-9]{2,20}", "service: letters and digits", "valkey")
    parts.require_new(root, f"roles/{name}")
    for flow in flows.read(root / FLOWS):
        if port in (flow.ports or ()):
            raise parts.ScaffoldError(f"port {port} is {flow.name}'s ({FLOWS})")


def with_play(name: str) -> parts.Change:
    """Return a change that adds a play for the service to a playbook, behind all with `serial`."""

    def change(playbook: str) -> str:
        plays = playbook.split("\n\n")
        serial = [
            number for number, play in enumerate(plays) if "  serial: *turns\n" in play + "\n"
        ]
        plays.insert(serial[-1] + 1, PLAY.format(name=name, title=name.capitalize()).rstrip("\n"))
        return "\n\n".join(plays)

    return change


def files(root: Path, asked: argparse.Namespace) -> dict[str, str]:
    """Return everything that is to be written: path to content."""
    name, port = asked.name, asked.port
    check(root, name, port)
    package = asked.package or name
    words = {
        "example-package": package,
        "example-unit": asked.unit or package,
        "example": name,
        "8999": str(port),
    }
    row = f"| {name} | | | nothing; it listens on port {port} |"
    return parts.copies("service", words) | parts.changed(
        root,
        {
            SITE: with_play(name),
            FLOWS: lambda text: text + FLOW.format(name=name, port=port),
            GUIDE: parts.with_row("| service |", row),
        },
    )
