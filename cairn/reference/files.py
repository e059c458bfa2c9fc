"""docs/reference/files.md: the files that Cairn writes on hosts and on the control node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from . import contents
from .contents import Thing
from .markdown import code, made, page, section, table


@dataclass(frozen=True)
class Place:
    """A file or folder outside manifests: owner, mode, purpose, and what to do with it."""

    path: str
    owner: str
    mode: str
    what: str
    advice: str = ""


LEAVE = "leave it"
ON_HOSTS = (
    Place(
        "/etc/SERVICE",
        "root:root",
        "link",
        "configuration of a service; leads to its generation in force. An older folder of that "
        "name is kept as `/etc/SERVICE.before-cairn`",
        "read it; change variables, not files: the next run restores them",
    ),
    Place(
        "/etc/systemd/system/UNIT",
        "root:root",
        "link",
        "a unit of Cairn's; leads to the generation in force",
        "the same",
    ),
    Place(
        "/etc/systemd/system/UNIT.d/90-cairn.conf",
        "root:root",
        "0644",
        "drop-in for a unit of Debian's",
        "add a drop-in of another name for settings of your own",
    ),
    Place(
        "/var/lib/cairn/services/ROLE/generations/ID",
        "root:root",
        "0755",
        "a generation: `manifest.json`, `etc/`, `units/`, what was built, and a link to the "
        "virtualenv; a file in it has the owner and mode of the table below",
        "read it; never edit it",
    ),
    Place(
        "/var/lib/cairn/services/ROLE/current",
        "root:root",
        "link",
        "the generation in force, and `previous`, to which `make rollback` returns",
        LEAVE,
    ),
    Place(
        "/var/lib/cairn/services/ROLE/running.json",
        "root:root",
        "0644",
        "the fingerprint with which each unit was last started; the next run restarts a unit that "
        "is missing here",
        LEAVE,
    ),
    Place(
        "/var/lib/cairn/services/ROLE/ahead.json",
        "root:root",
        "0600",
        "the result of a switch in the background, until the host's turn",
        LEAVE,
    ),
    Place(
        "/var/lib/cairn/records",
        "root:root",
        "0755",
        "records, one per file: steps that are done once, and dates of renewal",
        "remove a record only where a message or a page says so",
    ),
    Place(
        "/var/lib/cairn/run.json",
        "root:root",
        "0644",
        "first controller: the lease of the run that changes the site",
        "remove it to release the lease ([two-operators.md](../two-operators.md))",
    ),
    Place(
        "/var/lib/cairn/lock",
        "root:root",
        "0644",
        "held while something changes the host",
        "`lslocks` shows the process of a run that hangs",
    ),
    Place(
        "/var/lib/cairn/network",
        "root:root",
        "0755",
        "commit-confirm: its program `netcommit.py`, `confirmed.json` (the network in force), "
        "`trial/` (a change that is not confirmed yet), `retired/` (configuration of other "
        "managers that was put aside)",
        "copy from `retired/` what you miss; leave the rest",
    ),
    Place(
        "/var/lib/cairn/rings",
        "root:root",
        "0700",
        "controllers of a site with swift: the rings' builders, and `backups/` of 50 states",
        "back it up: without builders the rings cannot change",
    ),
    Place(
        "/etc/systemd/network/20-cairn-*",
        "root:root",
        "0644",
        "units of the planes; other units here are put aside, except those of `network_keep`",
        "change the planes in the inventory",
    ),
    Place(
        "/etc/systemd/system/cairn-network-boot.service",
        "root:root",
        "0644",
        "returns to the old network at boot, if the power fails before a change is confirmed; "
        "exists only during a change",
        LEAVE,
    ),
    Place(
        "/etc/cairn/tls",
        "root:root",
        "0755",
        "the host's certificate (`host.pem`, 0644) and key (`host.key`, 0640, group `cairn-tls`), "
        "and programs that reload services after a renewal (`reload.d/`)",
        "`make renew` makes a new certificate; the key never leaves the host",
    ),
    Place(
        "/usr/local/share/ca-certificates/cairn-ca.crt",
        "root:root",
        "0644",
        "the site's authority; Debian links it as `/etc/ssl/certs/cairn-ca.pem`",
        LEAVE,
    ),
    Place(
        "/opt/cairn/venvs",
        "root:root",
        "0755",
        "virtualenvs, named by lock and hash, and `/opt/cairn/uv`, which builds them",
        "never install into one; the next run rebuilds one that you remove",
    ),
    Place(
        "/var/cache/cairn",
        "root:root",
        "0755",
        "uv's downloads (`uv/`) and packed virtualenvs in transfer (`archives/`)",
        "may be removed while no run is active",
    ),
    Place(
        "/run/cairn/drained",
        "root:root",
        "0755",
        "HAProxy's servers that a run has taken out of rotation",
        LEAVE,
    ),
    Place(
        "/run/cairn/haproxy_admin.py",
        "root:root",
        "0644",
        "what the timer of a drain runs: it restores the servers in `drained/`",
        LEAVE,
    ),
    Place("/run/cairn-apt.json", "root:root", "0600", "the last check of package sources", LEAVE),
    Place(
        "/run/cairn-ovs",
        "root:cairn-ovs",
        "2750",
        "Open vSwitch's socket for nova and neutron",
        LEAVE,
    ),
    Place(
        "/usr/sbin/policy-rc.d",
        "root:root",
        "0755",
        "keeps daemons from starting during package installation; removed afterwards",
        "after an interrupted run the next one removes it",
    ),
    Place(
        "/var/lib/nova/compute_id",
        "nova:nova",
        "0644",
        "compute hosts: the UUID by which nova identifies the host; a run restores it on a "
        "reinstalled host",
        LEAVE,
    ),
)
ON_CONTROL_NODE = (
    Place(
        "INVENTORY/group_vars/all/secrets.yml",
        "you",
        "0600",
        "all secrets of the site, encrypted by ansible-vault; `make secrets` writes it",
        "commit it; change it with `make edit-secrets`",
    ),
    Place(
        "INVENTORY/.vault-password",
        "you",
        "0600",
        "the password of that file; `make secrets` makes it for a new site",
        "keep a copy elsewhere; never commit it ([manage-secrets.md](../manage-secrets.md))",
    ),
    Place(
        "INVENTORY/.operator",
        "you",
        "0700",
        "`clouds.yaml` (0600, the administrator's password), `ca.pem`, the command `openstack`; "
        "or in `cairn_operator_dir`",
        "give `ca.pem` to users; each run writes them again. With swift, `rings/` here is the "
        "backup of the rings' builders",
    ),
    Place(
        "/etc/systemd/system/cairn-renew-*.timer",
        "root:root",
        "0644",
        "renews certificates with its service of the same name; for a user other than root in "
        "`~/.config/systemd/user`. `operator_renewal: false` leaves it out",
        "`systemctl list-timers 'cairn-renew-*'` ([manage-certificates.md]"
        "(../manage-certificates.md))",
    ),
    Place(
        "~/.cache/cairn/venvs",
        "you",
        "0755",
        "packed virtualenvs of all sites; one that was not used for 90 days is removed",
        "may be removed: the next run that needs one builds it on a host",
    ),
    Place(
        ".cache/last-run.json",
        "you",
        "0600",
        "the results of the last run or plan, as data, without secrets; `verify.json` beside it "
        "has the times and steps of the last verification",
        "for programs",
    ),
    Place(
        ".venv",
        "you",
        "0755",
        "the control node's tools, from `requirements.lock`; `tools/setup` makes it",
        "may be removed: `make tools` rebuilds it",
    ),
)
HEAD = """\
Service files are parts of a *generation* and follow from the inventory: change the variable
([variables.md](variables.md)), not the file. `make plan` shows a file that was changed by hand as
`would mend`, and the next run restores it. On a host everything belongs to root, except files that
a service writes.
"""


def rows(places: Iterable[Place]) -> list[list[str]]:
    """Rows of the files outside manifests."""
    return [
        [code(p.path), code(p.owner) if ":" in p.owner else p.owner, code(p.mode), p.what, p.advice]
        for p in places
    ]


def secrets() -> set[str]:
    """Files of hosts that contain a secret."""
    return {path for places in contents.secret_uses().values() for path in places}


def described(kind: str) -> list[Thing]:
    """Files or folders of all manifests, by path."""
    return sorted(contents.of(kind), key=lambda thing: thing.name)


def described_rows(kind: str) -> list[list[str]]:
    """Rows of the files of manifests."""
    holding = secrets()
    return [
        [
            code(thing.name),
            code(f"{thing.about.get('owner') or 'root'}:{thing.about.get('group') or 'root'}"),
            code(thing.about.get("mode") or "0755"),
            " ".join(filter(None, [contents.where(thing), thing.condition])),
            f"[{thing.role}](roles/{thing.role}.md)",
            "yes" if thing.name in holding or thing.about.get("secret") else "",
        ]
        for thing in described(kind)
    ]


def files_page() -> str:
    """The whole page."""
    columns = ["path", "owner", "mode", "what it is", "what to do with it"]
    return page(
        "Files",
        made("cairn/reference/files.py", "the services' descriptions"),
        HEAD,
        section(
            "On the control node",
            "`INVENTORY` is the site's folder; relative paths are in the checkout.",
            table(columns, rows(ON_CONTROL_NODE)),
        ),
        section("On hosts: Cairn's own", table(columns, rows(ON_HOSTS))),
        section(
            "On hosts: files of services",
            "Written by the role, as part of its generation. *Secrets* marks files with secrets.",
            table(
                ["file", "owner", "mode", "on", "role", "secrets"],
                described_rows("file"),
            ),
        ),
        section(
            "On hosts: folders of services",
            "Created by the role, filled by the service. Not in this table: databases, queues and "
            "volumes (`/var/lib/mysql`, `/var/lib/rabbitmq`, `/var/lib/ovn`, the volume group).",
            table(["folder", "owner", "mode", "on", "role"], described_rows("folder")),
        ),
    )
