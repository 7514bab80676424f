"""Namespaces of our own with the only files a kernel may see: what bubblewrap does, with the same system calls."""

import ctypes
import os
import signal
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from helpers.inside.system import SET_PDEATHSIG, call

# From the kernel's headers: sched.h, mount.h.
NEW_NAMESPACES = 0x20000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000  # mounts, host name, IPC, processes, network
NEW_USER = 0x10000000
NOSUID, NODEV, BIND, REC, PRIVATE = 2, 4, 4096, 16384, 1 << 18
DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4

Entry = tuple[str, str, str]


def enter(entries: Iterable[Entry]) -> None:
    """Become the first process in namespaces of our own, with `entries` (kind, path, what) as the only files."""
    user, group = os.getuid(), os.getgid()
    call("unshare", NEW_NAMESPACES if user == 0 else NEW_NAMESPACES | NEW_USER)
    call("prctl", SET_PDEATHSIG, signal.SIGKILL)
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    go_on_in_a_child()
    furnish(entries)


def go_on_in_a_child() -> None:
    """Fork; the parent waits for the child and ends as it did."""
    child = os.fork()
    if child == 0:
        call("prctl", SET_PDEATHSIG, signal.SIGKILL)
        return
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def furnish(entries: Iterable[Entry]) -> None:
    """Make an empty root, bring `entries` into it, and forget the old one."""
    call("mount", None, b"/", None, REC | PRIVATE, None)
    call("mount", b"tmpfs", b"/tmp", b"tmpfs", NOSUID | NODEV, b"mode=755")
    Path("/tmp/old").mkdir()
    call("pivot_root", b"/tmp", b"/tmp/old")
    os.chdir("/")
    closed = ["/"]
    for kind, path, what in entries:
        FURNISH[kind](path, what)
        closed += [path] if kind == "empty" else []
    call("umount2", b"/old", DETACH)
    Path("/old").rmdir()
    for path in closed:
        set_attributes(path, ATTR_RDONLY, recursive=False)


def folder(path: str, _what: str) -> None:
    """Make a folder."""
    Path(path).mkdir(exist_ok=True)


def link(path: str, target: str) -> None:
    """Make a link."""
    Path(path).symlink_to(target)


def shown(path: str, source: str) -> None:
    """Show a file or folder of the old root, read-only."""
    bind(path, source, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)


def devices(path: str, _what: str) -> None:
    """Show the devices that do no harm."""
    Path(path).mkdir()
    for name in ("null", "zero", "full", "random", "urandom"):
        bind(f"{path}/{name}", f"{path}/{name}", ATTR_NOSUID)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        Path(path, name).symlink_to(f"/proc/self/fd{target}")


def proc(path: str, _what: str) -> None:
    """Show the processes of this namespace."""
    mounted(path, b"proc", None)


def empty(path: str, _what: str) -> None:
    """Make an empty folder that later entries are brought into."""
    mounted(path, b"tmpfs", b"mode=755")


def scratch(path: str, size: str) -> None:
    """Make a folder in memory, open to every user, for `size` bytes."""
    mounted(path, b"tmpfs", f"mode=1777,size={size}".encode())


FURNISH: dict[str, Callable[[str, str], None]] = {
    "folder": folder,
    "link": link,
    "bind": shown,
    "dev": devices,
    "proc": proc,
    "empty": empty,
    "scratch": scratch,
}


def mounted(path: str, system: bytes, options: bytes | None) -> None:
    """Mount a new file system at `path`."""
    Path(path).mkdir(exist_ok=True)
    call("mount", system, path.encode(), system, NOSUID | NODEV, options)


def bind(path: str, source: str, attributes: int) -> None:
    """Show the old root's `source` at `path`."""
    old = Path(f"/old{source}")
    if old.is_dir():
        Path(path).mkdir(exist_ok=True)
    else:
        Path(path).touch()
    call("mount", bytes(old), path.encode(), None, BIND | REC, None)
    set_attributes(path, attributes, recursive=True)


def set_attributes(path: str, attributes: int, recursive: bool) -> None:
    """Set attributes of a mount and keep those it has: mount_setattr, which older C libraries have no name for."""
    wanted = struct.pack("=4Q", attributes, 0, 0, 0)
    here, flags = ctypes.c_long(-100), ctypes.c_long(0x8000 if recursive else 0)
    call("syscall", ctypes.c_long(442), here, path.encode(), flags, wanted, ctypes.c_long(len(wanted)))
