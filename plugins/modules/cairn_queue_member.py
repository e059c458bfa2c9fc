#!/usr/bin/python
"""Module: make this host's RabbitMQ a member of the controllers' cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: cairn_queue_member
short_description: Makes this host's RabbitMQ a member of the others' cluster
description:
  - A node starts alone and joins through this module, which looks at the nodes' clusters and not at
    the order of their start. If no other node runs yet, it stays alone as the first of a new
    cluster.
  - The cluster still knows a reinstalled node and would refuse it, so the module first removes the
    old node from the cluster. Afterwards every quorum queue and stream gets a replica on the node.
  - A node with virtual hosts of its own that is in no cluster is refused.
options:
  node:
    description: This host's node, such as C(rabbit@controller2).
    type: str
    required: true
  others:
    description: The nodes of the other controllers on which RabbitMQ runs.
    type: list
    elements: str
    required: true
author: Cairn
"""

EXAMPLES = r"""
- name: Join the cluster
  cairn_queue_member:
    node: rabbit@controller2
    others: [rabbit@controller1]
"""

RETURN = r"""
members:
  description: The nodes of this node's cluster.
  returned: success
  type: list
done:
  description: What was done, in words.
  returned: success
  type: list
"""

Run = Callable[..., str]
STREAMS = "list_queues", "name", "type", "--formatter", "json", "--vhost"
# Debian's package has no wrapper for this command that runs as the right user.
STREAM_TOOL = "runuser", "--user=rabbitmq", "--", "/usr/lib/rabbitmq/bin/rabbitmq-streams"
TIMEOUT = 600.0  # seconds for one command


class MemberError(Exception):
    """A command of RabbitMQ failed; the text says which, and how to fix it."""


def run(*words: str) -> str:
    """Run a command of RabbitMQ; returns its output. MemberError with the end of its errors."""
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
    """The nodes of a node's cluster; MemberError if the node does not run."""
    status = ask("rabbitmqctl", "--quiet", "--node", node, "--formatter", "json", "cluster_status")
    nodes: list[str] = json.loads(status)["disk_nodes"]
    return sorted(nodes)


def cluster_of(others: list[str], ask: Run = run) -> tuple[str, list[str]]:
    """The node to join and its cluster: the largest cluster among the nodes that answer."""
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
    """Join the others' cluster; returns its members, and what was done."""
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
    """Add a replica of every quorum queue and stream on a node; returns what was done."""
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


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "others": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=False,
    )
    result: dict[str, Any] = {"changed": False}
    try:
        nodes, done = join(module.params["node"], module.params["others"])
    except MemberError as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(changed=bool(done), members=nodes, done=done)


if __name__ == "__main__":
    main()
