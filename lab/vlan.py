"""VLAN interfaces on machines whose kernel has none (8021q): two tiny eBPF programs do it.

A veth pair stands for the interface: what leaves the one end gets the tag, what the bridge sends
to the other end must have it and loses it. Linux 6.6 or later.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
import subprocess
from pathlib import Path

from lab.connect import CLONE_NEWNET
from lab.run import LabError

_SYSCALL = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _PROG_ATTACH = 5, 8
_SCHED_CLS, _TCX_EGRESS = 3, 47
_VLAN_PUSH, _VLAN_POP = 18, 19  # helper functions
_VLAN_PRESENT, _VLAN_TCI = 20, 24  # where struct __sk_buff has them
_PASS, _DROP = 0, 2


def _instruction(
    code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)


def _mov(register: int, value: int) -> bytes:
    return _instruction(0xB7, register, value=value)


def _call(function: int) -> bytes:
    return _instruction(0x85, value=function)


def _load(register: int, offset: int) -> bytes:
    return _instruction(0x61, register, 1, offset)  # 32 bits of the packet's context, r1


_EXIT = _instruction(0x95)


def push(vlan: int) -> bytes:
    """A program that tags each packet with `vlan`."""
    return b"".join([
        _mov(2, 0x0081), _mov(3, vlan), _call(_VLAN_PUSH),  # 0x8100 in network order
        _instruction(0x15, 0, offset=2, value=0),           # if r0 == 0, pass
        _mov(0, _DROP), _EXIT,
        _mov(0, _PASS), _EXIT,
    ])  # fmt: skip


def pop(vlan: int) -> bytes:
    """A program that takes the tag `vlan` off and drops packets without it."""
    return b"".join([
        _load(2, _VLAN_PRESENT), _instruction(0x15, 2, offset=6, value=0),
        _load(2, _VLAN_TCI), _instruction(0x57, 2, value=0xFFF),
        _instruction(0x55, 2, offset=3, value=vlan),        # if r2 != vlan, drop
        _call(_VLAN_POP),
        _mov(0, _PASS), _EXIT,
        _mov(0, _DROP), _EXIT,
    ])  # fmt: skip


def native() -> bool:
    """Whether the machine's kernel has VLAN interfaces."""
    probe = ["ip", "link", "add", "link", "lo", "name", "probe", "type", "vlan", "id", "1"]
    done = subprocess.run(["unshare", "--net", *probe], capture_output=True, check=False)
    return done.returncode == 0


def attach(namespace: Path, device: str, program: bytes) -> None:
    """Run `program` on what leaves `device`; it stays until the device is removed."""
    child = os.fork()
    if child == 0:  # a process of its own may enter the namespace without a way back
        try:
            with namespace.open() as handle:
                os.setns(handle.fileno(), CLONE_NEWNET)
            _attach(device, program)
        except BaseException as error:  # the exit status reports it
            os.write(2, f"{error}\n".encode())
            os._exit(1)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise LabError(
            f"{device}: the machine's kernel has neither VLAN interfaces (8021q) nor "
            "eBPF at interfaces (6.6 or later) to stand in for them"
        )


def _attach(device: str, program: bytes) -> None:
    code = ctypes.create_string_buffer(program, len(program))
    license_ = ctypes.create_string_buffer(b"GPL")
    load = struct.pack(
        "<IIQQIIQII",
        _SCHED_CLS,
        len(program) // 8,
        ctypes.addressof(code),
        ctypes.addressof(license_),
        0,
        0,
        0,
        0,
        0,
    )
    loaded = _bpf(_PROG_LOAD, load)
    index = socket.if_nametoindex(device)
    _bpf(_PROG_ATTACH, struct.pack("<IIIIIIQ", index, loaded, _TCX_EGRESS, 0, 0, 0, 0))


def _bpf(command: int, attributes: bytes) -> int:
    number = _SYSCALL.get(platform.machine())
    if number is None:
        raise LabError(f"bpf(2) is not known for {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = int(libc.syscall(number, command, buffer, len(attributes)))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf command {command}")
    return result
