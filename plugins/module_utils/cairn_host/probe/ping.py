"""ICMP echo to many peers in parallel, unfragmented, with sockets only; needs root."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ECHO_REPLY, ECHO_REQUEST = 0, 8
IP_HEADER, ICMP_HEADER = 20, 8
# <linux/in.h>; the socket module has names for neither.
IP_MTU_DISCOVER, IP_PMTUDISC_PROBE = 10, 3
SMALL = 64


@dataclass
class Question:
    """One echo to one address; `size` of the whole IP packet, in bytes."""

    address: str
    size: int
    device: str = ""
    answered: bool = False
    error: str = ""


def checksum(data: bytes) -> int:
    """The Internet checksum of RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo(identifier: int, sequence: int, size: int) -> bytes:
    """An echo request in an IP packet of `size` bytes."""
    payload = bytes(size - IP_HEADER - ICMP_HEADER)
    unsigned = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, identifier, sequence)
    check = checksum(unsigned + payload)
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, check, identifier, sequence) + payload


def reply_sequence(packet: bytes, identifier: int) -> int | None:
    """The sequence number of an echo reply to `identifier`; None for other packets."""
    header = (packet[0] & 0x0F) * 4
    kind, _, _, its_identifier, sequence = struct.unpack_from("!BBHHH", packet, header)
    return int(sequence) if kind == ECHO_REPLY and its_identifier == identifier else None


def ask(questions: list[Question], timeout: float, tries: int = 2) -> None:
    """Send every question, repeat unanswered ones, and record the answers in place.

    timeout: seconds in total. A packet larger than the device's MTU is an immediate error. Packets
    are bound to the device, so that no other route can answer for a plane.
    """
    identifier = os.getpid() & 0xFFFF
    # A raw socket sees every ICMP packet of the host; one per device keeps planes apart.
    sockets: dict[str, socket.socket] = {}
    try:
        for question in questions:
            if question.device not in sockets:
                try:
                    sockets[question.device] = _socket(question.device)
                except OSError as error:
                    question.error = f"{question.device}: {error.strerror}"
        for _ in range(tries):
            waiting = {
                n: q for n, q in enumerate(questions) if not q.answered and q.device in sockets
            }
            for sequence, question in waiting.items():
                _send(sockets[question.device], question, identifier, sequence)
            deadline = time.monotonic() + timeout / tries
            _receive(sockets, waiting, identifier, deadline)
            if all(q.answered for q in questions):
                return
    finally:
        for opened in sockets.values():
            opened.close()


def _socket(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    try:
        # IP_PMTUDISC_PROBE sets the don't-fragment bit and ignores the cached path MTU.
        opened.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if device:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
    except OSError:
        opened.close()
        raise
    return opened


def _send(opened: socket.socket, question: Question, identifier: int, sequence: int) -> None:
    try:
        opened.sendto(echo(identifier, sequence, question.size), (question.address, 0))
        question.error = ""
    except OSError as error:
        question.error = error.strerror or str(error)


def _receive(
    sockets: dict[str, socket.socket],
    waiting: dict[int, Question],
    identifier: int,
    deadline: float,
) -> None:
    devices = {opened: device for device, opened in sockets.items()}
    open_questions = {n for n, q in waiting.items() if not q.error}
    while open_questions and (left := deadline - time.monotonic()) > 0:
        for opened in select.select(list(devices), [], [], left)[0]:
            packet, (address, _) = opened.recvfrom(65535)
            sequence = reply_sequence(packet, identifier)
            question = waiting.get(sequence) if sequence is not None else None
            if question and (question.address, question.device) == (address, devices[opened]):
                question.answered = True
                open_questions.discard(sequence or 0)


def link_error(device: str, folder: Path = Path("/sys/class/net")) -> str:
    """`<device> has no link` if it has no carrier (cable, or a switch without LACP), else empty."""
    try:
        carrier = (folder / device / "carrier").read_text().strip()
    except OSError:
        return ""  # the device is down, or the question has none
    return f"{device} has no link" if carrier == "0" else ""


def ask_peers(peers: list[dict[str, Any]], timeout: float) -> list[dict[str, Any]]:
    """Ping each peer (host, plane, address, device, size) with a small and a full-size packet.

    Returns each peer with `small` and `full` (whether it answered) and `error`, which also names a
    device without link.
    """
    pairs = [
        (
            Question(p["address"], SMALL, p.get("device", "")),
            Question(p["address"], int(p["size"]), p.get("device", "")),
        )
        for p in peers
    ]
    ask([question for pair in pairs for question in pair], timeout)
    return [
        peer
        | {
            "small": small.answered,
            "full": full.answered,
            "error": full.error or ("" if small.answered else link_error(full.device)),
        }
        for peer, (small, full) in zip(peers, pairs, strict=True)
    ]
