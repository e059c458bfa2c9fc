"""Who founds the MariaDB cluster, and when a node of it may serve."""

from __future__ import annotations

import http.client
import subprocess
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from cairn.errors import CairnError
from cairn.service.clusters import galera_founder, others_with

CONTROLLERS = ["c1", "c2", "c3"]


@pytest.fixture
def founder() -> Callable[..., str]:
    """Ask the filter; keywords say what a controller reports, others are bare."""

    def ask(**reported: dict[str, Any]) -> str:
        bare: dict[str, Any] = {"services": {}, "records": {}}
        hostvars = {name: {"cairn_host": reported.get(name, bare)} for name in CONTROLLERS}
        return str(galera_founder(CONTROLLERS, hostvars))

    return ask


def holding(**records: str) -> dict[str, Any]:
    """A controller that runs MariaDB, with these records."""
    return {"services": {"mysql": {"current": "abc"}}, "records": records}


def test_the_first_of_bare_controllers_founds(founder: Callable[..., str]) -> None:
    assert founder() == "c1"


def test_nobody_founds_a_second_cluster(founder: Callable[..., str]) -> None:
    member = holding(**{"mysql-cluster": "x"})
    assert founder(c2=member) == ""
    assert founder(c1=holding(), c3=member) == ""


def test_the_one_that_was_alone_brings_its_databases(founder: Callable[..., str]) -> None:
    assert founder(c1=holding()) == "c1"


def test_databases_elsewhere_than_on_the_first_are_not_overrun(
    founder: Callable[..., str],
) -> None:
    with pytest.raises(CairnError, match=r"c2 holds the databases.*first in the group"):
        founder(c2=holding())


def test_two_sets_of_databases_are_for_a_person_to_choose_from(
    founder: Callable[..., str],
) -> None:
    with pytest.raises(CairnError, match="c1 and c2 each hold databases"):
        founder(c1=holding(), c2=holding())


def test_an_unknown_controller_stops_it(founder: Callable[..., str]) -> None:
    with pytest.raises(CairnError, match="c3: the state of this controller is unknown"):
        founder(c3={})


def test_an_unknown_controller_is_no_matter_where_there_is_a_cluster(
    founder: Callable[..., str],
) -> None:
    assert founder(c1={}, c2=holding(**{"mysql-cluster": "x"})) == ""


def test_a_service_is_joined_where_it_runs() -> None:
    hostvars = {"c1": {"cairn_host": holding()}, "c2": {"cairn_host": holding()}, "c3": {}}
    assert others_with(CONTROLLERS, "mysql", hostvars, "c2") == ["c1"]
    assert others_with(CONTROLLERS, "mysql", hostvars, "c3") == ["c1", "c2"]
    assert others_with(CONTROLLERS, "rabbitmq", hostvars, "c3") == []


# --- galera-health ---------------------------------------------------------------------------


@pytest.fixture
def health(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("roles/mysql/files/galera-health.py")


@pytest.mark.parametrize(
    ("ready", "state", "problem"),
    [
        ("ON", "Synced", None),
        ("ON", "Donor/Desynced", None),
        ("ON", "Joined", "not in step: Joined"),
        ("OFF", "Initialized", "not ready: Initialized"),
    ],
)
def test_a_node_serves_when_it_is_in_step(
    health: ModuleType, ready: str, state: str, problem: str | None
) -> None:
    status = f"wsrep_local_state_comment\t{state}\nwsrep_ready\t{ready}\n"
    assert health.problem(status) == problem


def test_a_server_that_is_in_no_cluster_does_not_serve(health: ModuleType) -> None:
    assert health.problem("") == "not ready: no wsrep status"


@pytest.mark.parametrize(("problem", "status"), [(None, 200), ("not ready", 503)])
def test_the_answer_tells_the_load_balancer_and_why(
    health: ModuleType, monkeypatch: pytest.MonkeyPatch, problem: str | None, status: int
) -> None:
    looks: list[None] = []
    monkeypatch.setattr(health, "look", lambda: (looks.append(None), problem)[1])
    health.VERDICT.renew()
    server = health.http.server.ThreadingHTTPServer(("127.0.0.1", 0), health.Handler)
    # The load balancers of three controllers ask, MariaDB is asked once.
    for _ in range(3):
        threading.Thread(target=server.handle_request, daemon=True).start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.read().decode()) == (status, f"{problem or 'serving'}\n")
        connection.close()
    server.server_close()
    assert len(looks) == 1


GONE = "ERROR 2002 (HY000): Can't connect to local server through socket '/run/x.sock' (111)"
BUSY = "ERROR 2013 (HY000): Lost connection to server at 'handshake'"


@pytest.fixture
def verdict(health: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """The verdict after each look at the node, from (seconds since the last, its answer).

    None for an answer: the look does not end.
    """

    def look(*looks: tuple[float, subprocess.CompletedProcess[str] | None]) -> list[Any]:
        verdict, clock, verdicts = health.Verdict(), [100.0], []
        monkeypatch.setattr(health.time, "monotonic", lambda: clock[0])
        for seconds, answer in looks:
            clock[0] += seconds
            monkeypatch.setattr(health.subprocess, "run", lambda *_, said=answer, **__: said)
            if answer:
                verdict.renew()
            verdicts.append(verdict.get())
        return verdicts

    return look


def said(error: str = "", state: str = "Synced") -> subprocess.CompletedProcess[str]:
    status = f"wsrep_local_state_comment\t{state}\nwsrep_ready\tON\n"
    return subprocess.CompletedProcess([], 1 if error else 0, "" if error else status, error)


def test_a_busy_node_is_taken_for_what_it_was_but_not_for_ever(
    verdict: Callable[..., list[Any]],
) -> None:
    looks = [(1, said()), (7, said(BUSY)), (7, said(BUSY)), (7, said(BUSY)), (1, said())]
    assert verdict(*looks) == [None, None, None, BUSY, None]


def test_a_node_that_never_answered_does_not_serve(verdict: Callable[..., list[Any]]) -> None:
    assert verdict((0, said(BUSY))) == [BUSY]


def test_a_node_that_is_down_or_out_of_step_fails_at_once(
    verdict: Callable[..., list[Any]],
) -> None:
    assert verdict((1, said()), (1, said(GONE))) == [None, GONE]
    assert verdict((1, said()), (1, said(state="Joined"))) == [None, "not in step: Joined"]


def test_an_old_verdict_is_not_kept_when_the_looks_hang(verdict: Callable[..., list[Any]]) -> None:
    assert verdict((1, said()), (10, None), (10, None)) == [None, None, "no answer yet"]


def test_a_host_that_cannot_ask_is_no_reason_to_end(
    health: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(health.subprocess, "run", refuse)
    verdict = health.Verdict()
    verdict.renew()
    assert "Cannot allocate memory" in verdict.get()


def test_a_client_that_hangs_is_a_node_that_does_not_answer(
    health: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: Any, timeout: float, **__: Any) -> None:
        raise subprocess.TimeoutExpired("mariadb", timeout)

    monkeypatch.setattr(health.subprocess, "run", hang)
    with pytest.raises(TimeoutError, match="no answer within 6 s"):
        health.look()
