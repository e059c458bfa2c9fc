"""A DHCP server with one lease: `dhcp.py DEVICE OWN-ADDRESS CLIENT-MAC CLIENT-ADDRESS`.

It offers itself as router and name server, too. Runs until it is killed.
"""

from __future__ import annotations

import socket
import struct
import sys

COOKIE = b"\x63\x82\x53\x63"
REPLY = 2
KIND, OFFER, ACK = 53, 2, 5
ANSWERS = {1: OFFER, 3: ACK}  # to discover and to request
LEASE_SECONDS = 3600


def options(packet: bytes) -> dict[int, bytes]:
    """Number to content of a packet's options."""
    found, at = {}, packet.index(COOKIE) + len(COOKIE)
    while packet[at] != 255:
        if packet[at] == 0:
            at += 1
            continue
        length = packet[at + 1]
        found[packet[at]] = packet[at + 2 : at + 2 + length]
        at += 2 + length
    return found


def answer(asked: bytes, kind: int, own: bytes, lease: bytes) -> bytes:
    """The offer or acknowledgement of the lease."""
    header = struct.pack("!BBBB4sHH", REPLY, 1, 6, 0, asked[4:8], 0, 0x8000)
    addresses = bytes(4) + lease + own + bytes(4)
    given = {
        KIND: bytes([kind]),
        54: own,  # who answers
        51: struct.pack("!I", LEASE_SECONDS),
        1: bytes([255, 255, 255, 0]),
        3: own,  # router
        6: own,  # name server
    }
    text = b"".join(bytes([n, len(value)]) + value for n, value in given.items())
    return header + addresses + asked[28:44] + bytes(192) + COOKIE + text + b"\xff"


def main() -> None:
    """Answer the one client."""
    device, own, mac, lease = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        server.bind(("", 67))
        while True:
            asked = server.recv(2048)
            kind = ANSWERS.get(options(asked).get(KIND, b"\0")[0])
            if kind and asked[28:34] == bytes.fromhex(mac.replace(":", "")):
                reply = answer(asked, kind, socket.inet_aton(own), socket.inet_aton(lease))
                server.sendto(reply, ("255.255.255.255", 68))


if __name__ == "__main__":
    main()
