"""The commands of the docs: which of them the lab runs, in which words, and why not the others.

A command is run as it is written, with what belongs to the example site replaced by what the lab
has: the inventory, addresses, and names, which begin with PREFIX so that they can be removed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "cairn-docs-"
# Its commands build on one another, and run in the order of the page.
FIRST_DAY = "first-day"
FENCED = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    ((?:make|python|CAIRN_LAB)\b.*)$", re.MULTILINE)
EXTERNAL = "198.51.100"
IMAGE = "debian-13-genericcloud-amd64.qcow2"
KEY = "~/.ssh/id_ed25519.pub"
NAMES = ("external", "campus", "small", "medium", "large", "debian-13", "web", "ada")

# As `make openstack ARGS=…` and plain commands alike; without the comment behind them.
RUN = (
    r"openstack (compute service|network agent|volume service|volume message|hypervisor) list.*",
    r"openstack (server|volume) list --all-projects .*",
    r"openstack (token issue|endpoint list .*|allocation candidate list .*)",
    r"make plan INVENTORY=inventories/site",
    r"make journals ARGS=--show",
    r"python -m lab status",
    r"ansible -i inventories/site .* 'systemctl --failed .*'",
    r"ansible-playbook -i inventories/site playbooks/preflight\.yml( --limit storage)?",
    r"ansible-playbook -i inventories/lab playbooks/site\.yml --check -v",
)
# Of the first day only; `openstack --os-cloud cloud` is the user's own.
RUN_FIRST_DAY = (
    r"openstack (network|subnet|flavor|image|project|user|router|subnet pool) create .*",
    r"openstack (role add|quota set|router add subnet|network set) .*",
    r"openstack (server list|project cleanup --dry-run .*)",
    r"inventories/site/\.operator/openstack server list",
    r"openstack --os-cloud cloud (keypair|security group rule|floating ip) create .*",
)
LEFT_OUT = {
    r"(\$EDITOR|cp -r|git clone|cd|export|alias|curl -fLO|sudo apt-get install) .*": (
        "sets up a shell or a site, or downloads; test_readme.py follows such a page"
    ),
    r"OS_CLIENT_CONFIG_FILE=.*": "starts outside the lab's network",
    r"make (site|verify|lab|lab-\S+|test|molecule|lint|unit|labs|venvs|audit|lab-up secrets)\b.*": (
        "a step of `make test`, or what comes before it"
    ),
    r"make plan( INVENTORY=\S+)? ARGS=.*|make plan( INVENTORY=/\S+)?": "the same with an argument "
    "that the lab does not have",
    r"make (ha|day-two|bad-days|bench)\b.*": "takes hours",
    r"make (secrets|edit-secrets|setup|tools|lock|release|service|check|module|docs)\b.*": (
        "changes files of the site or of the project; tests/unit follows it in a copy"
    ),
    r"make (rollback|renew|rotate-keys)\b.*": "changes services; tests of bad days run it",
    r"make journals( ARGS=--(boot|new))?": "fails where services complain; --new moves the mark",
    r"openstack (--os-compute-api-version 2.74 )?server (create|evacuate|show|event list) .*": (
        "needs an instance or room for one; tests/lab/browser makes instances"
    ),
    r"openstack --os-cloud cloud server .*": "needs an instance or room for one; "
    "tests/lab/browser makes instances",
    r"openstack (compute service|network agent|endpoint) (set|delete) .*": "takes a service away",
    r"openstack (volume service set|volume migrate|volume show|floating ip show|router show) .*": (
        "needs what a site has, by its identifier or name"
    ),
    r"ansible-playbook .* playbooks/(swift-rings|network|role|verify|preflight)\.yml.*": (
        "changes the cloud, or asks for an argument that the lab does not have"
    ),
    r"ansible-playbook .* playbooks/site\.yml -e .*": "changes the cloud",
    r"(ANSIBLE_INVENTORY=\S+ )?ansible-vault .*": "changes secrets; tests/unit/secrets has it",
    r"ssh.*|systemctl .*|journalctl .*|openssl .*|keytool .*|java .*": "on a host, or a user's "
    "machine",
    r"python3 -m venv .*|~/openstack/bin/pip .*": "on a user's machine, with downloads",
    r"(pytest|ruff|mypy|towncrier|git push)\b.*": "for contributors; tests/unit/tools follows it",
    r"python -m guest.*": "the lab's cloud has the guest already",
    r"\.venv/bin/python tests/lab/cloud/traced\.py .*": "tests/lab/day_two traces a run",
    r"(CAIRN_LAB=\S+ )?(python -m lab|ansible-playbook) .*|python tools/setup.*": (
        "makes, stops or removes machines; tests/lab/machines does"
    ),
    r"openstack --os-cloud cloud server list": "the same as the administrator's",
}


@dataclass(frozen=True)
class Command:
    """A command of a page, as it is written there without its comment."""

    page: str
    text: str

    @property
    def plain(self) -> str:
        """The command that is judged: of `make openstack` the one that it runs."""
        words = shlex.split(self.text)
        given = [word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")]
        if words[:2] == ["make", "openstack"] and given:
            return f"openstack {given[0]}"
        return self.text

    @property
    def runs(self) -> bool:
        """Whether the lab runs it."""
        patterns = RUN + (RUN_FIRST_DAY if self.page == FIRST_DAY else ())
        return any(re.fullmatch(pattern, self.plain) for pattern in patterns)

    @property
    def reasons(self) -> list[str]:
        """The patterns of LEFT_OUT that it fits."""
        return [pattern for pattern in LEFT_OUT if re.fullmatch(pattern, self.plain)]


@cache
def commands() -> tuple[Command, ...]:
    """All commands of README and of the docs, in the order of the pages."""
    found: dict[Command, None] = {}
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text()
        blocks = FENCED.findall(text) or (INDENTED.findall(text) if page.stem == "lab" else [])
        for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
            if command := " ".join(re.sub(r"(^|\s+)#\s.*", "", line).split()):
                found[Command(page.stem, command)] = None
    return tuple(found)


def of_page(page: str) -> list[Command]:
    """The commands of a page that the lab runs, in their order."""
    return [command for command in commands() if command.page == page and command.runs]


def others() -> list[Command]:
    """Every other command that the lab runs, once, whichever pages have it."""
    found: dict[str, Command] = {}
    for command in commands():
        if command.page != FIRST_DAY and command.runs:
            found.setdefault(command.text, command)
    return list(found.values())


def replacements(planes: Mapping[str, Any], image: Path, key: Path, compute: str) -> dict[str, str]:
    """Words of the example and what the lab has instead; `planes` is the file of its networks."""
    networks = planes["cairn_provider_networks"]
    external = networks["external"]
    start, end = external["allocation"].split("-")
    return {
        f"{EXTERNAL}.0/24": external["cidr"],
        f"{EXTERNAL}.1": external["gateway"],
        f"start={EXTERNAL}.20,end={EXTERNAL}.250": f"start={start},end={end}",
        "1200": networks["tenant-vlans"]["vlans"].split("-")[1],
        IMAGE: str(image),
        KEY: str(key),
        "compute4": compute,
        **{name: PREFIX + name for name in NAMES},
    }


def in_lab(command: Command, words: Mapping[str, str], inventory: Path) -> str:
    """The command for the lab."""
    text = command.text.replace("inventories/site", str(inventory))
    if command.plain == command.text and not command.text.startswith("openstack "):
        return text
    given = shlex.split(command.plain)[1:]
    if given[:3] == ["subnet", "pool", "create"]:
        words = {**words, "default": f"{PREFIX}default"}
    arguments = shlex.join(words.get(word, word) for word in given)
    if command.plain == command.text:
        return f"openstack {arguments}"
    return f"make openstack INVENTORY={inventory} ARGS={shlex.quote(arguments)}"


def undecided(chosen: Iterable[Command]) -> list[Command]:
    """Commands of which nothing says whether the lab runs them."""
    return [command for command in chosen if not command.runs and not command.reasons]
