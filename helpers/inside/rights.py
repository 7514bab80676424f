"""What a process in a jail may still do: limits, another user's identity, and a filter on system calls."""

import ctypes
import os
import platform
import resource
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from helpers.inside.namespaces import NEW_USER
from helpers.inside.system import SET_NO_NEW_PRIVS, SET_SECCOMP, call

CAPABILITY_VERSION_3 = 0x20080522
KILL, SETGID, SETUID = 5, 6, 7
EPERM, ENOSYS = 1, 38


class Calls(NamedTuple):
    """Numbers of system calls, and of the architecture itself."""

    architecture: int
    socket: int
    clone: int
    others: tuple[int, ...]


# Where a filter can be had. The others are unshare, keyctl, add_key, request_key, bpf, perf_event_open and userfaultfd,
# and shmget, semget, msgget and mq_open, whose memory would outlive a process and lie in no folder.
CALLS = {
    "x86_64": Calls(0xC000003E, 41, 56, (272, 250, 248, 249, 321, 298, 323, 29, 64, 68, 240)),
    "aarch64": Calls(0xC00000B7, 198, 220, (97, 219, 217, 218, 280, 241, 282, 194, 190, 186, 180)),
}
IO_URING_SETUP, CLONE3 = 425, 435
UNIX, IPV4, IPV6, NETLINK = 1, 2, 10, 16


def limit(limits: Mapping[str, int]) -> None:
    """Take on resource limits, {name: value}, as far as ours are not lower; first to end when memory runs out."""
    # The machine ends this process and not the grader.
    Path("/proc/self/oom_score_adj").write_text("1000")
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        most = resource.getrlimit(kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))


def keep_capabilities(*kept: int) -> None:
    """Give up every capability but `kept`."""
    mask = sum(1 << number for number in kept)
    call("capset", struct.pack("=Ii", CAPABILITY_VERSION_3, 0), struct.pack("=6I", mask, mask, 0, 0, 0, 0))


def become(user: int) -> None:
    """Change from root to another user, without a way back."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    keep_capabilities()


def forbid(families: Iterable[int]) -> None:
    """Gain no right ever again, and make no sockets but those of `families`."""
    call("prctl", SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if platform.machine() in CALLS:
        filter_calls(families)


def filter_calls(families: Iterable[int]) -> None:
    """Forbid what namespaces do not cover: sockets of other families (vsock), keyrings, new user namespaces, BPF."""
    numbers = CALLS[platform.machine()]
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, unknown = 0x7FFF0000, 0x50000 | EPERM, 0x50000 | ENOSYS
    # (code, operand, instructions to skip when true, when false); offsets 0, 4 and 16 are number, arch and argument 1.
    program = [(load, 4, 0, 0), (equal, numbers.architecture, 1, 0), (give, refuse, 0, 0), (load, 0, 0, 0)]
    program += [(at_least, 0x40000000, 0, 1), (give, refuse, 0, 0)]
    # As if it were not there: its flags are in memory, where no filter sees them. The C library then uses clone.
    program += [(equal, CLONE3, 0, 1), (give, unknown, 0, 0)]
    for number in (*numbers.others, IO_URING_SETUP):
        program += [(equal, number, 0, 1), (give, refuse, 0, 0)]
    program += [(equal, numbers.clone, 0, 3), (load, 16, 0, 0), (any_bit, NEW_USER, 0, 1), (give, refuse, 0, 0)]
    program += [(load, 0, 0, 0), (equal, numbers.socket, 1, 0), (give, allow, 0, 0), (load, 16, 0, 0)]
    for family in families:
        program += [(equal, family, 0, 1), (give, allow, 0, 0)]
    program += [(give, refuse, 0, 0)]
    code = b"".join(struct.pack("=HBBI", code, true, false, operand) for code, operand, true, false in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    call("prctl", SET_SECCOMP, 2, struct.pack("@HP", len(program), ctypes.addressof(buffer)))
