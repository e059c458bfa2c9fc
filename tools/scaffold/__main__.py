"""Make the files of a new service: `python -m tools.scaffold NAME --port PORT …`.

The service is a daemon of Debian's on the controllers. Its role, scenario and changelog fragment
are copies of what stands beside this file, where `example` is its name, `example-package` and
`example-unit` are Debian's, and 8999 is its port. Its play, its flow and its row in the guide are
added to what is there.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from cairn.site import flows

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = Path(__file__).parent
SITE = "playbooks/site.yml"
FLOWS = "roles/service/files/flows.yml"
GUIDE = "docs/choose-services.md"
NAME = re.compile(r"[a-z][a-z0-9]{2,20}")
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


class ScaffoldError(Exception):
    """What is wrong with the wish, for the person at the terminal."""


def check(root: Path, name: str, port: int) -> None:
    """Refuse a name or a port that another service has."""
    if not NAME.fullmatch(name):
        raise ScaffoldError(f"{name!r} is no name of a service: letters and digits, such as valkey")
    if (root / "roles" / name).exists():
        raise ScaffoldError(f"roles/{name} is there already")
    for flow in flows.read(root / FLOWS):
        if port in (flow.ports or ()):
            raise ScaffoldError(f"port {port} is {flow.name}'s ({FLOWS})")


def copies(name: str, port: int, package: str, unit: str) -> dict[str, str]:
    """Return the files of the service: path to content."""
    words = {"example-package": package, "example-unit": unit, "example": name, "8999": str(port)}
    pattern = re.compile("|".join(words))

    def filled(text: str) -> str:
        return pattern.sub(lambda found: words[found.group()], text)

    return {
        filled(str(path.relative_to(TEMPLATE))): filled(path.read_text())
        for folder in ("roles", "molecule", "changelog.d")
        for path in sorted((TEMPLATE / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def with_play(playbook: str, name: str) -> str:
    """Return the playbook with a play for the service, after all that take turns."""
    plays = playbook.split("\n\n")
    turns = [number for number, play in enumerate(plays) if "  serial: *turns\n" in play + "\n"]
    plays.insert(turns[-1] + 1, PLAY.format(name=name, title=name.capitalize()).rstrip("\n"))
    return "\n\n".join(plays)


def with_row(page: str, name: str, port: int) -> str:
    """Return the page with a row for the service in the table of those that a site chooses."""
    head, begin, rest = page.partition("| service |")
    table, end, after = rest.partition("\n\n")
    return f"{head}{begin}{table}\n| {name} | | | nothing; it listens on port {port} |{end}{after}"


def make(root: Path, name: str, port: int, package: str, unit: str) -> list[str]:
    """Write everything; return the paths of what was written."""
    check(root, name, port)
    written = copies(name, port, package, unit)
    written[SITE] = with_play((root / SITE).read_text(), name)
    written[FLOWS] = (root / FLOWS).read_text() + FLOW.format(name=name, port=port)
    written[GUIDE] = with_row((root / GUIDE).read_text(), name, port)
    for path, content in written.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return list(written)


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="make service", description="Make a new service.")
    parser.add_argument("name", help="of the service, its role and its variables")
    parser.add_argument("--port", type=int, required=True, help="on which it listens")
    parser.add_argument("--package", help="Debian's package (by default the name)")
    parser.add_argument("--unit", help="Debian's unit, without .service (by default the package)")
    asked = parser.parse_args()
    try:
        package = asked.package or asked.name
        written = make(ROOT, asked.name, asked.port, package, asked.unit or package)
    except ScaffoldError as error:
        print(f"service: error: {error}", file=sys.stderr)
        return 1
    print("\n".join(["written:", *(f"  {path}" for path in written)]))
    print("next: docs/contributing/add-a-service.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
