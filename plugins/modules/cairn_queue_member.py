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
  - A node starts alone and joins by this module, which decides by what the nodes say and not by the
    order in which they start. Where no other node runs yet it stays alone, as the first of a new
    cluster.
  - A node that was built anew is still known to the others, who would refuse it. They are told to
    forget the old one first. Afterwards every quorum queue and stream gets a replica here.
  - A node that has virtual hosts of its own, and is in no cluster, is refused.
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
  description: The nodes of the cluster that this one is in now.
  returned: success
  type: list
done:
  description: What was done, in words.
  returned: success
  type: list
"""

Run = Callable[..., str]
STREAMS = "list_queues", "name", "type", "--formatter", "json", "--vhost"
# Debian's package has no command for it, as it has for the others, that runs as the right user.
STREAM_TOOL = "runuser", "--user=rabbitmq", "--", "/usr/lib/rabbitmq/bin/rabbitmq-streams"
TIMEOUT = 600.0  # seconds for one command


class MemberError(Exception):
    """RabbitMQ did not do what was asked; the text is for the operator."""


def run(*words: str) -> str:
    """Run a command of RabbitMQ's to its end; what it prints. MemberError with its last words."""
    try:
        done = subprocess.run(
            words,
            cwd="/",  # that the user rabbitmq, too, can read
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
        said = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise MemberError(f"{' '.join(words)}:\n" + "\n".join(said))
    return done.stdout


def members(node: str, ask: Run = run) -> list[str]:
    """The nodes of the cluster that a node is in; MemberError where it does not run."""
    said = ask("rabbitmqctl", "--quiet", "--node", node, "--formatter", "json", "cluster_status")
    found: list[str] = json.loads(said)["disk_nodes"]
    return sorted(found)


def cluster_of(others: list[str], ask: Run = run) -> tuple[str, list[str]]:
    """The node to join, and its cluster: that of most members among the nodes that answer."""
    clusters, problems = [], []
    for node in others:
        try:
            clusters.append((node, members(node, ask)))
        except MemberError as error:
            problems.append(str(error))
    if not clusters:
        raise MemberError("no other node answers, so none can be joined\n" + "\n".join(problems))
    return max(clusters, key=lambda found: len(found[1]))


def join(node: str, others: list[str], ask: Run = run) -> tuple[list[str], list[str]]:
    """Have the node in the others' cluster; its members, and what was done."""
    own = members(node, ask)
    if not others or set(own) & set(others):
        return own, []
    vhosts = ask("rabbitmqctl", "--quiet", "--no-table-headers", "list_vhosts").split()
    if len(own) > 1 or vhosts:
        raise MemberError(
            f"{node} is in no cluster with {', '.join(others)}, but has virtual hosts of its own "
            f"({', '.join(vhosts)}): joining would lose what is in them. If they are not needed, "
            "run `rabbitmqctl stop_app`, `rabbitmqctl reset`, `rabbitmqctl start_app` here, and "
            "then this again"
        )
    peer, cluster = cluster_of(others, ask)
    done = []
    ask("rabbitmqctl", "--quiet", "stop_app")
    try:
        if node in cluster:
            ask("rabbitmqctl", "--quiet", "--node", peer, "forget_cluster_node", node)
            done.append(f"{peer} forgot the {node} that was before")
        ask("rabbitmqctl", "--quiet", "join_cluster", peer)
    finally:
        ask("rabbitmqctl", "--quiet", "start_app")
    done.append(f"joined {peer}")
    return members(node, ask), done + replicas(node, ask)


def replicas(node: str, ask: Run = run) -> list[str]:
    """Give every quorum queue and stream a replica on a node; what was done."""
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
    """Join, and tell."""
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "others": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=False,
    )
    result: dict[str, Any] = {"changed": False}
    try:
        found, done = join(module.params["node"], module.params["others"])
    except MemberError as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(changed=bool(done), members=found, done=done)


if __name__ == "__main__":
    main()
