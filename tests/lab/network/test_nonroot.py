"""On real machines: a user who becomes root by sudo, and hosts behind a jump host.

Needs root and about 1 GiB of memory: `pytest -m lab tests/lab/network`. Makes a
lab of its own, `net`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn.service import registry
from cairn.site import secrets

from .machines import Done, Machines, wait

pytestmark = pytest.mark.lab
HOSTS = ("east", "west")
PASSWORD = "of a user's own"
USER = {"ansible_user": "debian", "ansible_become": True}
ASKED = USER | {"ansible_become_password": PASSWORD}
ACCOUNT = f"""
set -e
useradd --create-home --shell /bin/bash debian
echo {shlex.quote(f"debian:{PASSWORD}")} | chpasswd
usermod --append --groups sudo debian
install -d -m 700 -o debian -g debian /home/debian/.ssh
install -m 600 -o debian -g debian /root/.ssh/authorized_keys /home/debian/.ssh
"""
PLANES = yaml.safe_load((Path(__file__).parent / "inventory/group_vars/all.yml").read_text())[
    "cairn_planes"
]


def planes(mtu: int) -> dict[str, Any]:
    """The planes, with another MTU of the storage plane."""
    return {"cairn_planes": PLANES | {"storage": PLANES["storage"] | {"mtu": mtu}}}


@pytest.fixture(scope="module")
def machines(root: Path) -> Iterator[Machines]:
    """Two machines with a user debian, whom sudo asks for a password; removed afterwards."""
    made = Machines(root, "net", "tests/lab/network/inventory")
    up = made.lab("up")
    try:
        assert up.returncode == 0, up.stderr
        for host in HOSTS:
            made.shell(host, ACCOUNT)
        yield made
    finally:
        made.lab("destroy")


@pytest.fixture(scope="module")
def settled(machines: Machines) -> Machines:
    """The network is in force, made so by the user with the password."""
    done = machines.play(ASKED)
    assert done.returncode == 0, done.stdout
    return machines


@pytest.fixture
def without_password(machines: Machines) -> Iterator[None]:
    for host in HOSTS:
        machines.shell(host, "echo 'debian ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/debian")
    yield
    for host in HOSTS:
        machines.shell(host, "rm /etc/sudoers.d/debian")


@pytest.fixture(scope="module")
def playbook(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Done]:
    """Run a playbook as the user, with made-up secrets of a site."""
    described = registry.descriptions()
    made = secrets.complete(secrets.required(described, PLANES), {})
    folder = tmp_path_factory.mktemp("site")
    file = folder / "variables.json"

    def run(name: str, *more: str, **variables: Any) -> Done:
        site = {"cairn_secrets": made, "cairn_services": [], **ASKED, **variables}
        file.write_text(json.dumps(site))
        file.chmod(0o600)
        command = [*machines.play_command({})[:1], name, "-i", machines.inventory]
        return machines.run([*command, "-e", f"@{file}", *more])

    return run


def test_a_user_with_a_password_changes_the_network_and_confirms(settled: Machines) -> None:
    shown = settled.shell("west", "ip -br address; cat /var/lib/cairn/network/confirmed.json")
    assert "stor0.20@stor0   UP             198.18.20.12/24" in shown
    done = settled.play(ASKED)
    assert done.returncode == 0 and "network : Apply" not in done.stdout


@pytest.mark.usefixtures("without_password")
def test_a_user_without_a_password_changes_it_too(settled: Machines) -> None:
    for mtu in (1450, 1500):
        done = settled.play(USER | planes(mtu))
        assert done.returncode == 0, done.stdout
        assert f"mtu {mtu}" in settled.shell("west", "ip link show dev stor0.20")


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        (USER, "debian needs a password to become root, and none was given"),
        (USER | {"ansible_become_password": "wrong"}, "debian should become root is wrong"),
        ({"ansible_user": "debian"}, "Cairn runs as debian"),
    ],
)
def test_a_login_that_does_not_become_root_is_explained(
    settled: Machines, variables: dict[str, Any], text: str
) -> None:
    done = settled.play(variables)
    assert done.returncode != 0
    assert text in " ".join(done.stdout.split()), done.stdout


@pytest.mark.usefixtures("settled")
def test_preflight_names_every_host_whose_login_does_not_become_root(
    playbook: Callable[..., Done],
) -> None:
    done = playbook("playbooks/preflight.yml", ansible_become_password="wrong")
    assert done.returncode != 0
    text = " ".join(done.stdout.split())
    assert "east, west: the password with which debian should become root is wrong" in text, text
    assert "nothing was touched" in text


def test_a_network_is_changed_through_a_jump_host_by_new_connections(settled: Machines) -> None:
    config = settled.root / ".lab" / settled.name / "ssh_config"
    jump = "{{ ' -o ProxyJump=debian@east' if inventory_hostname == 'west' else '' }}"
    through = ASKED | {
        "ansible_ssh_common_args": f"-F '{config}'{jump}",
        # A site that shares connections in its own way.
        "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60 "
        f"-o ControlPath=/run/cairn/{settled.name}/own-%C",
    }
    try:
        for mtu in (1450, 1500):
            begin = settled.shell("west", "date +%s").strip()
            done = settled.play(through | planes(mtu), "--limit", "west")
            assert done.returncode == 0, done.stdout
            assert f"mtu {mtu}" in settled.shell("west", "ip link show dev stor0.20")
            log = settled.shell("west", f"journalctl --unit ssh --since @{begin} --output cat")
            logins = [line for line in log.splitlines() if "for debian from" in line]
            assert {line.split(" from ")[1].split()[0] for line in logins} == {"198.18.0.11"}
            # The shared one at first; then each step of commit-confirm on its own.
            assert len(logins) >= 3, log
    finally:
        for socket in Path(f"/run/cairn/{settled.name}").glob("own-*"):
            socket.unlink()


@pytest.mark.usefixtures("settled")
def test_a_user_builds_deploys_and_rolls_back(
    machines: Machines, playbook: Callable[..., Done], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = playbook("tests/lab/network/build.yml")
    assert done.returncode == 0, done.stdout
    archives = sorted((tmp_path / "cairn/venvs").glob("small-1_*.tar.gz"))
    assert len(archives) == 1 and archives[0].stat().st_size > 100_000
    for role in ("base", "pki", "chrony"):
        done = playbook("playbooks/role.yml", "-e", f"role={role}")
        assert done.returncode == 0, done.stdout
    shell = machines.shell
    first = shell("east", "readlink /var/lib/cairn/services/chrony/current")
    done = playbook("playbooks/role.yml", "-e", "role=chrony", chrony_pools=["ntp.example.org"])
    assert done.returncode == 0, done.stdout
    assert shell("east", "readlink /var/lib/cairn/services/chrony/current") != first
    done = playbook("playbooks/rollback.yml", "-e", "service=chrony")
    assert done.returncode == 0, done.stdout
    assert shell("east", "readlink /var/lib/cairn/services/chrony/current") == first
    # What the user leaves behind: no files of Ansible's, none of root's in the home.
    left = shell(
        "east",
        "find /home/debian -newer /etc/hostname -user root; ls /home/debian/.ansible/tmp || true",
    )
    assert not left.strip(), left


FILL = """
until test -e /var/lib/cairn/network/trial/armed; do sleep 0.05; done
sleep {seconds}
fallocate --length $(($(stat --file-system --format '%f * %S' /) - (1 << 20))) /filler
cat /dev/zero > /filler2
"""


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("seconds", [0, 6])
def test_a_disk_that_fills_up_during_a_change_costs_nobody_the_old_network(
    machines: Machines, seconds: int
) -> None:
    """While it is applied, and when it is in force: with a real disk and systemd's timer."""
    files = "ip -br address | sort; cat /etc/systemd/network/*"
    before = machines.shell("west", files)
    right = {name: {"interface": f"{name[:4]}0"} for name in ("storage", "service")}
    right["management"] = {"interface": "mgmt0"}
    wrong = right | {"management": {"interface": "mgmt0", "address": "198.18.0.77"}}
    chosen = f"{json.dumps(wrong)} if inventory_hostname == 'west' else {json.dumps(right)}"
    variables = {"cairn_host_planes": f"{{{{ {chosen} }}}}", "network_window": 30}
    fill = FILL.format(seconds=seconds)
    machines.shell("west", f"systemd-run --unit=filler{seconds} sh -c {shlex.quote(fill)}")
    try:
        done = machines.play(ASKED | variables, "--limit", "west")
        assert done.returncode != 0
        assert "The old configuration is restored and the host is reachable" in " ".join(
            done.stdout.split()
        ), done.stdout
        wait(60, lambda: machines.ssh("west", "true").returncode == 0, "west did not come back")
        assert "armed" not in machines.shell("west", "ls /var/lib/cairn/network/trial")
        assert machines.shell("west", files) == before
    finally:
        machines.shell("west", f"rm -f /filler*; systemctl stop filler{seconds}.service || true")
