"""The inside of a jail: closes it, sets its limits, gives up every privilege and becomes the kernel.

`helpers.course.run.sandbox` writes the plan. This runs by its path with `python -I -S` and needs the standard library
only: inside bubblewrap, which has made the namespaces and the file system, or in its place, or without either.
"""

import ctypes
import json
import os
import platform
import resource
import shutil
import struct
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)

# From the kernel's headers: sched.h, mount.h, prctl.h, fcntl.h.
NEW_NAMESPACES = 0x20000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000  # mounts, host name, IPC, processes, network
NEW_USER = 0x10000000
NOSUID, NODEV, BIND, REC, PRIVATE = 2, 4, 4096, 16384, 1 << 18
DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
SET_PDEATHSIG, SET_SECCOMP, SET_NO_NEW_PRIVS = 1, 22, 38
CAPABILITY_VERSION_3 = 0x20080522
SIGKILL, EPERM, ENOSYS = 9, 1, 38


def call(name, *arguments):
    """Call a function of the C library; OSError where it fails."""
    if getattr(LIBC, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def enter(entries):
    """Become the first process in namespaces of our own, with `entries` as the only files, as bubblewrap does."""
    user, group = os.getuid(), os.getgid()
    call("unshare", NEW_NAMESPACES if user == 0 else NEW_NAMESPACES | NEW_USER)
    call("prctl", SET_PDEATHSIG, SIGKILL)
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    go_on_in_a_child()
    furnish(entries)


def go_on_in_a_child():
    """Fork; the parent waits for the child, buries orphans, and ends as the child did."""
    child = os.fork()
    if child == 0:
        return
    ended = None
    while ended != child:
        ended, status = os.wait()
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def furnish(entries):
    """Make an empty root, bring `entries` into it, and forget the old one."""
    call("mount", None, b"/", None, REC | PRIVATE, None)
    call("mount", b"tmpfs", b"/tmp", b"tmpfs", NOSUID | NODEV, b"mode=755")
    Path("/tmp/old").mkdir()
    call("pivot_root", b"/tmp", b"/tmp/old")
    os.chdir("/")
    closed = ["/"]
    for kind, path, what in entries:
        if kind == "folder":
            Path(path).mkdir(exist_ok=True)
        elif kind == "link":
            Path(path).symlink_to(what)
        elif kind == "bind":
            bind(path, what, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)
        elif kind == "dev":
            Path(path).mkdir()
            for name in ("null", "zero", "full", "random", "urandom"):
                bind(f"{path}/{name}", f"{path}/{name}", ATTR_NOSUID)
            for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
                Path(path, name).symlink_to(f"/proc/self/fd{target}")
        else:
            Path(path).mkdir(exist_ok=True)
            options = {"proc": None, "empty": b"mode=755", "scratch": f"mode=1777,size={what}".encode()}[kind]
            system = b"proc" if kind == "proc" else b"tmpfs"
            call("mount", system, path.encode(), system, NOSUID | NODEV, options)
            closed += [path] if kind == "empty" else []
    call("umount2", b"/old", DETACH)
    Path("/old").rmdir()
    for path in closed:
        set_attributes(path, ATTR_RDONLY, recursive=False)


def bind(path, source, attributes):
    """Show the old root's `source` at `path`."""
    source = Path(f"/old{source}")
    if source.is_dir():
        Path(path).mkdir(exist_ok=True)
    else:
        Path(path).touch()
    call("mount", bytes(source), path.encode(), None, BIND | REC, None)
    set_attributes(path, attributes, recursive=True)


def set_attributes(path, attributes, recursive):
    """Set attributes of a mount and keep those it has: mount_setattr, which older C libraries have no name for."""
    wanted = struct.pack("=4Q", attributes, 0, 0, 0)
    here, flags = ctypes.c_long(-100), ctypes.c_long(0x8000 if recursive else 0)
    call("syscall", ctypes.c_long(442), here, path.encode(), flags, wanted, ctypes.c_long(len(wanted)))


# Numbers of system calls, and of the architecture itself, where a filter can be had.
CALLS = {
    "x86_64": {"arch": 0xC000003E, "socket": 41, "clone": 56, "others": (272, 250, 248, 249, 321, 298, 323)},
    "aarch64": {"arch": 0xC00000B7, "socket": 198, "clone": 220, "others": (97, 219, 217, 218, 280, 241, 282)},
}
IO_URING_SETUP, CLONE3 = 425, 435
UNIX, IPV4, IPV6, NETLINK = 1, 2, 10, 16


def filter_calls(families):
    """Forbid what namespaces do not cover: sockets of other families (vsock), keyrings, new user namespaces, BPF.

    `others` are unshare, keyctl, add_key, request_key, bpf, perf_event_open and userfaultfd.
    """
    numbers = CALLS[platform.machine()]
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, unknown = 0x7FFF0000, 0x50000 | EPERM, 0x50000 | ENOSYS
    # (code, operand, instructions to skip when true, when false); offsets 0, 4 and 16 are number, arch and argument 1.
    program = [(load, 4, 0, 0), (equal, numbers["arch"], 1, 0), (give, refuse, 0, 0), (load, 0, 0, 0)]
    program += [(at_least, 0x40000000, 0, 1), (give, refuse, 0, 0)]
    # As if it were not there: its flags are in memory, where no filter sees them. The C library then uses clone.
    program += [(equal, CLONE3, 0, 1), (give, unknown, 0, 0)]
    for number in (*numbers["others"], IO_URING_SETUP):
        program += [(equal, number, 0, 1), (give, refuse, 0, 0)]
    program += [(equal, numbers["clone"], 0, 3), (load, 16, 0, 0), (any_bit, NEW_USER, 0, 1), (give, refuse, 0, 0)]
    program += [(load, 0, 0, 0), (equal, numbers["socket"], 1, 0), (give, allow, 0, 0), (load, 16, 0, 0)]
    for family in families:
        program += [(equal, family, 0, 1), (give, allow, 0, 0)]
    program += [(give, refuse, 0, 0)]
    code = b"".join(struct.pack("=HBBI", code, true, false, operand) for code, operand, true, false in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    call("prctl", SET_SECCOMP, 2, struct.pack("@HP", len(program), ctypes.addressof(buffer)))


def give_up(limits, user, families):
    """Take on `limits` and the identity `user` (0: keep our own), and drop every right, for good.

    Of sockets, those of `families` can still be made.
    """
    # Where the machine runs out of memory, it ends this process and not the grader.
    Path("/proc/self/oom_score_adj").write_text("1000")
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        most = resource.getrlimit(kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))
    if user:
        become(user)
    call("capset", struct.pack("=Ii", CAPABILITY_VERSION_3, 0), bytes(24))
    call("prctl", SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if platform.machine() in CALLS:
        filter_calls(families)


def become(user):
    """Change from root to another user, without a way back."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def settle(home, work, fonts):
    """Make a home and an empty folder to work in; without `fonts`, matplotlib would take seconds to list them again."""
    Path(work).mkdir()
    place = Path(home, ".cache", "matplotlib")
    place.mkdir(parents=True)
    for path in map(Path, fonts):
        (place / path.name).write_bytes(path.read_bytes())
    os.chdir(work)


def set_apart(plan):
    """Give the plan's user a folder, with copies of the plan's files, and put it in the plan in the place of /tmp.

    When this process ends, however it does, all that this user still runs ends too, and all its files are removed.
    """
    place, user = tempfile.mkdtemp(prefix="course-"), plan["user"]
    ended, _kept_open = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.dup2(ended, 0)
        os.closerange(1, 1 << 16)
        # Nobody writes: the end of the file comes when nobody is left who could. Until then root's, out of reach.
        os.read(0, 1)
        become(user)
        try:
            with suppress(ProcessLookupError):
                os.kill(-1, SIGKILL)
            remove_files_of(user, {"/tmp", "/var/tmp", "/dev/shm", str(Path(place).parent)})
        finally:
            os._exit(0)
    os.close(ended)
    copies = {path: f"{place}/{Path(path).name}" for path in (*plan["files"], *plan["fonts"])}
    for path, copy in copies.items():
        shutil.copyfile(path, copy)
    for path in (place, *copies.values()):
        os.chown(path, user, user)
    plan["command"] = [copies.get(word, word) for word in plan["command"]]
    plan["fonts"] = [copies[path] for path in plan["fonts"]]
    plan["home"], plan["work"] = f"{place}/home", f"{place}/work"
    os.environ |= {"HOME": plan["home"], "TMPDIR": place}


def remove_files_of(user, folders):
    """Remove what a user has left in folders that are open to every user."""
    for folder in filter(os.path.isdir, folders):
        for entry in os.scandir(folder):
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == user:
                    shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else Path(entry).unlink()


def main():
    """Do as the plan says."""
    plan = json.loads(sys.argv[1])
    os.umask(0o022)
    if plan["entries"]:
        enter(plan["entries"])
    if plan["apart"]:
        if platform.machine() not in CALLS:
            sys.exit(f"cannot forbid the network on {platform.machine()}")
        set_apart(plan)
    # Where the network is not a namespace's: no sockets but what libzmq asks for the names of network cards.
    give_up(plan["limits"], plan["user"], [NETLINK] if plan["apart"] else [UNIX, IPV4, IPV6, NETLINK])
    # After the change of user, which forgets it.
    call("prctl", SET_PDEATHSIG, SIGKILL)
    settle(plan["home"], plan["work"], plan["fonts"])
    # Process 1 stays behind, as closely confined as the kernel: when it ends, nothing in its namespace goes on.
    go_on_in_a_child()
    os.setsid()
    os.execv(plan["command"][0], plan["command"])


if __name__ == "__main__":
    main()
