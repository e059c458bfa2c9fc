"""Trace every command that a host starts, as root, for secrets among its arguments.

Standard library only. The kernel reports each exec (proc connector: CONFIG_PROC_EVENTS); a process
of the highest priority reads the arguments before the new program gets far. Programs that had ended
already are counted. Without the connector /proc is polled, and what lives shorter than a round is
missed: `mode` says which of both it was.

Standard input: JSON, the secrets by name under `secrets`. SIGTERM ends it. The file that the first
argument names has the result as JSON and never a value: `mode`, `ready`, `execs` (seen), `unread`
(ended before its arguments were read), `lost` (events that the kernel had no room for), and
`found`, lines such as `queue_nova: arguments of mysql` with their numbers.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NETLINK_CONNECTOR = 11
CN_IDX_PROC = CN_VAL_PROC = 1
LISTEN, IGNORE = 1, 2
EXEC = 0x00000002
HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
MESSAGE = struct.Struct("=IIIIHH")  # cn_msg: idx, val, seq, ack, length, flags
EVENT = struct.Struct("=IIQ")  # proc_event: what, cpu, timestamp
PROCESS = struct.Struct("=II")  # exec_proc_event: pid, tgid
DONE = 3  # NLMSG_DONE
BUFFER = 64 << 20
SO_RCVBUFFORCE = 33
SHORTEST = 6
# Secrets that are not known beforehand are found by the option before them: cinder makes a CHAP
# password for each volume, and any program may have an option for a password.
SHAPES = {
    "CHAP password": re.compile(rb"node\.session\.auth\.password\0.*-v\0|rtstool\0create\0"),
    "option for a password": re.compile(
        rb"(?i)\0--?[\w-]*(?:password|passwd|secret)(?:=[^\0]|\0[^-\0])"
        rb"|\0[\w.-]*(?:password|passwd|secret)=[^\0]"
    ),
}


class NoConnectorError(Exception):
    """The kernel has no proc connector, or lets this process not listen to it."""


def words(secrets: dict[str, str]) -> dict[bytes, str]:
    """What to look for, with its name: a value, or each line of a text such as a key."""
    return {
        line.encode(): name
        for name, value in secrets.items()
        for line in value.strip().splitlines()
        if len(line) >= SHORTEST and not line.startswith("-----")
    }


class Trace:
    """What was seen so far."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self.words = words(secrets)
        self.execs = self.unread = self.lost = 0
        self.found: Counter[str] = Counter()

    def read(self, pid: int) -> None:
        """Look at the arguments of a process that has just begun."""
        self.execs += 1
        try:
            descriptor = os.open(f"/proc/{pid}/cmdline", os.O_RDONLY)
            try:
                arguments = os.read(descriptor, 1 << 20)
            finally:
                os.close(descriptor)
        except OSError:
            arguments = b""
        if arguments:
            self.search(arguments)
        else:
            self.unread += 1

    def search(self, arguments: bytes) -> None:
        """Note the secrets among arguments, by name."""
        path = arguments.partition(b"\0")[0]
        program = path.rpartition(b"/")[2].decode(errors="replace")
        names = {name for word, name in self.words.items() if word in arguments}
        names |= {name for name, shape in SHAPES.items() if shape.search(arguments)}
        for name in names:
            self.found[f"{name}: arguments of {program}"] += 1

    def result(self, mode: str) -> dict[str, Any]:
        """The whole result, as data."""
        counts = {"execs": self.execs, "unread": self.unread, "lost": self.lost}
        return {"mode": mode, "ready": True, **counts, "found": dict(self.found)}


def connect() -> socket.socket:
    """A socket on which the kernel reports programs that begin; NoConnectorError if it does not."""
    try:
        wire = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        wire.bind((0, CN_IDX_PROC))
    except OSError as error:
        raise NoConnectorError(str(error)) from None
    # Linux 6.6 and later can leave out all that is no exec; others take the operation only.
    for question in (struct.pack("=II", LISTEN, EXEC), struct.pack("=I", LISTEN)):
        ask(wire, question)
        if answers(wire):
            return wire
    raise NoConnectorError("the kernel reports nothing")


def answers(wire: socket.socket, seconds: float = 2) -> bool:
    """Whether the kernel reports a program that begins now."""
    child = os.posix_spawn("/bin/true", ["true"], {})
    deadline = time.monotonic() + seconds
    wire.settimeout(0.2)
    reported = False
    while not reported and time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            reported = (EXEC, child) in events(wire.recv(1 << 16))
    os.waitpid(child, 0)
    return reported


def ask(wire: socket.socket, question: bytes) -> None:
    """Tell the kernel to begin or to end."""
    message = MESSAGE.pack(CN_IDX_PROC, CN_VAL_PROC, 0, 0, len(question), 0) + question
    wire.send(HEADER.pack(HEADER.size + len(message), DONE, 0, 0, os.getpid()) + message)


def events(data: bytes) -> Iterator[tuple[int, int]]:
    """What happened and to which process, of a datagram."""
    while len(data) >= HEADER.size:
        length = HEADER.unpack_from(data)[0]
        start = HEADER.size + MESSAGE.size
        if length < start + EVENT.size + PROCESS.size or length > len(data):
            return
        what = EVENT.unpack_from(data, start)[0]
        yield what, PROCESS.unpack_from(data, start + EVENT.size)[1]
        data = data[(length + 3) & ~3 :]


def listen(trace: Trace, wire: socket.socket, going: Any, write: Any) -> None:
    """Read the arguments of each program that begins, as long as `going` says so."""
    wire.settimeout(0.5)
    written = 0.0
    while going():
        try:
            for what, pid in events(wire.recv(1 << 16)):
                if what == EXEC:
                    trace.read(pid)
        except TimeoutError:
            pass
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            trace.lost += 1
        if time.monotonic() - written > 5:
            written = time.monotonic()
            write()


def poll(trace: Trace, going: Any, write: Any) -> None:
    """Read the arguments of each process that was not there before."""
    known: dict[str, bytes] = {}
    written = 0.0
    while going():
        there = {name for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - quick
        for name in there:
            with contextlib.suppress(OSError):
                arguments = Path(f"/proc/{name}/cmdline").read_bytes()
                if known.get(name) != arguments:  # a process begins with its parent's arguments
                    known[name] = arguments
                    trace.execs += 1
                    trace.search(arguments)
        known = {name: value for name, value in known.items() if name in there}
        if time.monotonic() - written > 5:
            written = time.monotonic()
            write()


def save(path: Path, data: dict[str, Any]) -> None:
    """Write the result whole, for root only."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(data, file)
    fresh.rename(path)


def main() -> int:
    """Trace until SIGTERM."""
    path = Path(sys.argv[1])
    trace = Trace(json.load(sys.stdin)["secrets"])
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.append(1))
    with contextlib.suppress(OSError):
        # On one processor the new program does not run before its arguments were read.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(90))
    mode, wire = "connector", None
    try:
        wire = connect()
    except NoConnectorError as error:
        mode = f"poll ({error})"
    # A process that polls all the time gets the lowest priority.
    if wire is None:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    def write() -> None:
        save(path, trace.result(mode))

    write()
    if wire is None:
        poll(trace, lambda: not ended, write)
    else:
        listen(trace, wire, lambda: not ended, write)
        ask(wire, struct.pack("=I", IGNORE))
    write()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
