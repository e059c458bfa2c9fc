"""This host's RabbitMQ as a member of the cluster of the controllers.

The nodes' clusters decide, not the order in which the nodes started: each starts alone and joins.
`ask` runs a command of RabbitMQ and returns its output, as `run` does.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

from .. import errors

Run = Callable[..., str]
STREAMS = "list_queues", "name", "type", "--formatter", "json", "--vhost"
# Debian's package has no wrapper for this command that runs as the right user.
STREAM_TOOL = "runuser", "--user=rabbitmq", "--", "/usr/lib/rabbitmq/bin/rabbitmq-streams"
TIMEOUT = 600.0  # seconds for one command


class MemberError(errors.HostError):
    """A command of RabbitMQ failed; the text says which, and how to fix it."""


def run(*words: str) -> str:
    """Run a command of RabbitMQ; returns its output.

    MemberError with the end of its errors, or if it exceeds TIMEOUT.
    """
    try:
        done = subprocess.run(
            words,
            cwd="/",  # readable by the user rabbitmq
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise MemberError(
            f"{' '.join(words)}: timed out after {TIMEOUT:g} s; see journalctl -u rabbitmq-server"
        ) from None
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise MemberError(f"{' '.join(words)}:\n" + "\n".join(output))
    return done.stdout


def members(node: str, ask: Run = run) -> list[str]:
    """The nodes of a node's cluster, sorted; MemberError if the node does not run."""
    status = ask("rabbitmqctl", "--quiet", "--node", node, "--formatter", "json", "cluster_status")
    nodes: list[str] = json.loads(status)["disk_nodes"]
    return sorted(nodes)


def cluster_of(others: list[str], ask: Run = run) -> tuple[str, list[str]]:
    """The node to join and its cluster: the largest cluster among the nodes that answer.

    MemberError if none of `others` answers.
    """
    clusters, problems = [], []
    for node in others:
        try:
            clusters.append((node, members(node, ask)))
        except MemberError as error:
            problems.append(str(error))
    if not clusters:
        raise MemberError("no other node answers, so none can be joined\n" + "\n".join(problems))
    return max(clusters, key=lambda cluster: len(cluster[1]))


def join(node: str, others: list[str], ask: Run = run) -> tuple[list[str], list[str]]:
    """Join the cluster of `others`; returns its members, and what was done, as sentences.

    Without others the node stays alone, as the first of a new cluster. The cluster still knows a
    reinstalled node and would refuse it as inconsistent (RabbitMQ's clustering guide), so it first
    forgets the node. MemberError if no other node answers, a command fails, or the node has virtual
    hosts of its own, whose contents would be lost; the node runs again in any case.
    """
    own = members(node, ask)
    if not others or set(own) & set(others):
        return own, []
    vhosts = ask("rabbitmqctl", "--quiet", "--no-table-headers", "list_vhosts").split()
    if len(own) > 1 or vhosts:
        raise MemberError(
            f"{node} is in no cluster with {', '.join(others)}, but has virtual hosts of its own "
            f"({', '.join(vhosts)}): joining would lose their contents. If they are not needed, "
            "run `rabbitmqctl stop_app`, `rabbitmqctl reset` and `rabbitmqctl start_app` on this "
            "host, and run again"
        )
    peer, cluster = cluster_of(others, ask)
    done = []
    ask("rabbitmqctl", "--quiet", "stop_app")
    try:
        if node in cluster:
            ask("rabbitmqctl", "--quiet", "--node", peer, "forget_cluster_node", node)
            done.append(f"{peer} forgot the former {node}")
        ask("rabbitmqctl", "--quiet", "join_cluster", peer)
    finally:
        ask("rabbitmqctl", "--quiet", "start_app")
    done.append(f"joined {peer}")
    return members(node, ask), done + replicas(node, ask)


def replicas(node: str, ask: Run = run) -> list[str]:
    """Add a replica of every quorum queue and stream on a node; returns what was done.

    By default RabbitMQ adds none when a node joins (its guides of quorum queues and streams).
    MemberError if a command fails.
    """
    vhosts = ask("rabbitmqctl", "--quiet", "--no-table-headers", "list_vhosts").split()
    if not vhosts:
        return []
    ask("rabbitmq-queues", "--quiet", "grow", node, "all")
    streams = 0
    for vhost in vhosts:
        for queue in json.loads(ask("rabbitmqctl", "--quiet", *STREAMS, vhost)):
            if queue["type"] == "stream":
                command = (*STREAM_TOOL, "--quiet", "add_replica", "--vhost", vhost)
                ask(*command, queue["name"], node)
                streams += 1
    return [f"replicas of the queues of {len(vhosts)} virtual hosts and of {streams} streams"]
