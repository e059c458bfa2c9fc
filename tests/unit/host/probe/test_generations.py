"""What a host says of its units, as a stand-in for systemctl has it."""

from __future__ import annotations

import pytest

from cairn_host.probe import generations

SYSTEMCTL = """#!/bin/sh
echo "$1" >>"$0.calls"
case "$1" in
list-units)
    echo 'haproxy.service loaded active running HAProxy Load Balancer'
    echo 'mariadb.service loaded failed failed MariaDB database server' ;;
is-enabled)
    shift
    for unit in "$@"; do
        case "$unit" in haproxy*) echo enabled ;; mariadb*) echo disabled ;; mysql*) echo alias ;;
        *) [ "$QUIET" ] || echo not-found; false ;; esac
    done ;;
show)
    case "$4" in mysql*) echo failed ;; *) echo inactive ;; esac ;;
esac
"""


@pytest.fixture(params=["", "quiet"])
def systemctl(request, tmp_path, monkeypatch):
    """A systemctl that knows of two units; it may be silent on those that it does not know."""
    command = tmp_path / "systemctl"
    command.write_text(SYSTEMCTL)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("QUIET", request.param)
    return tmp_path / "systemctl.calls"


def test_units_are_known_by_every_name_and_unknown_ones_do_not_run(systemctl):
    units = ["mariadb.service", "haproxy.service", "mysql.service", "gone.service"]
    states = generations.unit_states(units)
    assert [states[unit]["ActiveState"] for unit in units] == [
        *("failed", "active", "failed", "inactive")
    ]
    enabled = [states[unit]["UnitFileState"] for unit in units]
    assert enabled[:3] == ["disabled", "enabled", "alias"]
    assert enabled[3] in ("", "not-found")


def test_many_units_cost_two_calls(systemctl):
    generations.unit_states(["mariadb.service", "haproxy.service"])
    assert systemctl.read_text().split() == ["list-units", "is-enabled"]


def test_a_host_without_units_is_asked_nothing(systemctl):
    assert generations.unit_states([]) == {}
    assert not systemctl.exists()


@pytest.mark.parametrize(
    ("text", "left"), [("#!/bin/sh\nexit 101\n", True), ("#!/bin/sh\n# the site's own\n", False)]
)
def test_what_keeps_daemons_from_starting_is_known_by_its_text(tmp_path, text, left):
    path = tmp_path / "policy-rc.d"
    assert not generations.policy_left(path)
    path.write_text(text)
    assert generations.policy_left(path) is left
