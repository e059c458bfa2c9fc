"""ssh's ProxyCommand: connect inside a network namespace and hand the socket over.

With ProxyUseFdpass ssh uses the socket itself: no process stays between it and the host.
"""

import array
import os
import socket
import sys

CLONE_NEWNET = 0x40000000


def main(namespace: str, host: str, port: str) -> None:
    """Send a socket that is connected to host and port over standard output."""
    with open(namespace) as handle:  # noqa: PTH123 - pathlib would double this script's start
        os.setns(handle.fileno(), CLONE_NEWNET)
    peer = socket.create_connection((host, int(port)), timeout=20)
    peer.settimeout(None)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    out = socket.socket(fileno=1)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [peer.fileno()]))]
    out.sendmsg([b"\0"], rights)
    out.detach()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"{sys.argv[2]}: {error} (is the lab up?)")
