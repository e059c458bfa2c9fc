"""A controller's RabbitMQ joins the cluster of the others."""

from __future__ import annotations

import json

import pytest

from cairn_host.messaging import cluster
from cairn_host.messaging.cluster import MemberError

ME, PEER, THIRD = "rabbit@c2", "rabbit@c1", "rabbit@c3"


def test_a_command_that_hangs_is_an_error_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "TIMEOUT", 0.2)
    with pytest.raises(MemberError, match=r"^sleep 60: timed out after 0\.2 s; see journal"):
        cluster.run("sleep", "60")


class Rabbits:
    """Nodes, as the commands of RabbitMQ see them."""

    def __init__(self, clusters: dict[str, list[str]]) -> None:
        self.clusters = clusters
        self.vhosts: dict[str, list[str]] = {}
        self.said: list[str] = []

    def __call__(self, *words: str) -> str:
        arguments = [word for word in words if not word.startswith("--")]
        node = words[words.index("--node") + 1] if "--node" in words else ME
        if "cluster_status" in words:
            if node not in self.clusters:
                raise MemberError(f"{node} is not running")
            return json.dumps({"disk_nodes": self.clusters[node]})
        if "list_vhosts" in words:
            return "\n".join(self.vhosts.get(ME, []))
        if "list_queues" in words:
            return json.dumps([{"name": "q", "type": "quorum"}, {"name": "fan", "type": "stream"}])
        if "forget_cluster_node" in words:
            self.clusters[node].remove(arguments[-1])
        if "join_cluster" in words:
            if ME in self.clusters[arguments[-1]]:
                raise MemberError("inconsistent_cluster")
            whole = sorted([ME, *self.clusters[arguments[-1]]])
            self.clusters = dict.fromkeys(whole, whole)
            self.vhosts[ME] = self.vhosts.get(arguments[-1], [])
        self.said.append(" ".join(word for word in arguments if word != "rabbitmqctl"))
        return ""


def test_the_first_stays_alone() -> None:
    assert cluster.join(ME, [], Rabbits({ME: [ME]})) == ([ME], [])


def test_a_member_does_nothing() -> None:
    rabbits = Rabbits({ME: [PEER, ME], PEER: [PEER, ME]})
    assert cluster.join(ME, [PEER, THIRD], rabbits) == ([PEER, ME], [])
    assert rabbits.said == []


def test_a_new_node_joins() -> None:
    rabbits = Rabbits({ME: [ME], PEER: [PEER]})
    found, done = cluster.join(ME, [PEER], rabbits)
    assert found == [PEER, ME]
    assert done == [f"joined {PEER}"]
    assert rabbits.said == ["stop_app", f"join_cluster {PEER}", "start_app"]


def test_a_rebuilt_node_takes_the_place_of_the_old_one() -> None:
    three = [PEER, ME, THIRD]
    rabbits = Rabbits({ME: [ME], PEER: three, THIRD: three})
    rabbits.vhosts[PEER] = ["/nova"]
    found, done = cluster.join(ME, [PEER, THIRD], rabbits)
    assert found == [PEER, ME, THIRD]
    assert done[0] == f"{PEER} forgot the former {ME}"
    assert rabbits.said[:4] == [
        "stop_app",
        f"{PEER} forget_cluster_node {ME}",
        f"join_cluster {PEER}",
        "start_app",
    ]
    assert f"rabbitmq-queues grow {ME} all" in rabbits.said
    tool = "runuser /usr/lib/rabbitmq/bin/rabbitmq-streams"
    assert f"{tool} add_replica /nova fan {ME}" in rabbits.said


def test_a_node_that_is_off_is_passed_over() -> None:
    rabbits = Rabbits({ME: [ME], THIRD: [THIRD]})
    assert cluster.join(ME, [PEER, THIRD], rabbits)[0] == [ME, THIRD]


def test_nobody_to_join_is_an_error() -> None:
    with pytest.raises(MemberError, match=r"no other node answers.*\n.*c1 is not running"):
        cluster.join(ME, [PEER], Rabbits({ME: [ME]}))


def test_what_holds_queues_of_its_own_is_not_overrun() -> None:
    rabbits = Rabbits({ME: [ME], PEER: [PEER]})
    rabbits.vhosts[ME] = ["/nova"]
    with pytest.raises(MemberError, match=r"has virtual hosts of its own \(/nova\)"):
        cluster.join(ME, [PEER], rabbits)
    assert rabbits.said == []


def test_the_node_runs_again_when_it_may_not_join() -> None:
    rabbits = Rabbits({ME: [ME], PEER: [PEER]})
    asked = rabbits.__call__

    def refuse(*words: str) -> str:
        if "join_cluster" in words:
            raise MemberError("no")
        return asked(*words)

    with pytest.raises(MemberError, match="no"):
        cluster.join(ME, [PEER], refuse)
    assert rabbits.said[-1] == "start_app"
