"""The lab: virtual machines on one computer that look like the hosts of an inventory."""

from pathlib import Path


def requirements() -> list[str]:
    """Debian packages that the lab needs on the machine that runs it."""
    lines = Path(__file__).with_name("packages.txt").read_text().splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
