"""The inside of a jail: closes it, gives up its rights, and leaves a supervisor in it that starts the kernel.

`helpers.course.run.sandbox` writes the plan. This runs by its path with `python -I -S` and needs the standard library
only: inside bubblewrap, which has made the namespaces and the file system, or in its place, or without either.
"""

import json
import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from helpers.inside import namespaces, rights, supervisor
from helpers.inside.system import SET_PDEATHSIG, call

Plan = dict[str, Any]


def settle(home: str, work: str, fonts: list[str]) -> None:
    """Make a home and an empty folder to work in; without `fonts`, matplotlib would take seconds to list them again."""
    Path(work).mkdir()
    place = Path(home, ".cache", "matplotlib")
    place.mkdir(parents=True)
    for path in map(Path, fonts):
        (place / path.name).write_bytes(path.read_bytes())
    os.chdir(work)


def set_apart(plan: Plan) -> None:
    """Give the plan's user a folder, with copies of the plan's files, and put it in the plan in the place of /tmp.

    When this process ends, however it does, all that this user still runs ends too, and all its files are removed.
    Until then the plan's control socket stays open.
    """
    place, user = tempfile.mkdtemp(prefix="course-"), plan["user"]
    ended, _kept_open = os.pipe()
    # Nobody's child in here: a supervisor ends what descends from it.
    if (between := os.fork()) == 0:
        if os.fork() == 0:
            sweep_up(user, ended, plan["control"], {"/tmp", "/var/tmp", "/dev/shm", str(Path(place).parent)})
        os._exit(0)
    os.waitpid(between, 0)
    os.close(ended)
    copies = {path: f"{place}/{Path(path).name}" for path in (*plan["files"], *plan["fonts"])}
    for path, copy in copies.items():
        shutil.copyfile(path, copy)
    for path in (place, *copies.values()):
        os.chown(path, user, user)
    plan["command"] = [copies.get(word, word) for word in plan["command"]]
    plan["fonts"] = [copies[path] for path in plan["fonts"]]
    plan["home"], plan["work"] = f"{place}/home", f"{place}/work"
    plan["scratch"] = ["/tmp", "/var/tmp", "/dev/shm", place]
    os.environ |= {"HOME": plan["home"], "TMPDIR": place}


def sweep_up(user: int, ended: int, control: int | None, folders: set[str]) -> None:
    """Once nobody holds the other end of the pipe `ended`, end all that a user runs and remove its files; then end."""
    os.setsid()
    os.dup2(ended, 0)
    os.dup2(ended if control is None else control, 1)
    os.closerange(2, 1 << 16)
    # Nobody writes: the end of the file comes when nobody is left who could. Until then root's, out of reach.
    os.read(0, 1)
    rights.become(user)
    try:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        remove_files_of(user, folders)
    finally:
        os._exit(0)


def remove_files_of(user: int, folders: set[str]) -> None:
    """Remove what a user has left in folders that are open to every user."""
    for folder in filter(os.path.isdir, folders):
        for entry in os.scandir(folder):
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == user:
                    shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else Path(entry).unlink()


def close(plan: Plan) -> None:
    """Close the jail around this process, which stays root where it was: whoever it starts takes on less."""
    os.umask(0o022)
    if plan["entries"]:
        namespaces.enter(plan["entries"])
    if plan["apart"]:
        if platform.machine() not in rights.CALLS:
            sys.exit(f"cannot forbid the network on {platform.machine()}")
        set_apart(plan)
    if plan["user"]:
        rights.keep_capabilities(rights.KILL, rights.SETUID, rights.SETGID)
    else:
        rights.keep_capabilities()
    # Where the network is not a namespace's: no sockets but what libzmq asks for the names of network cards.
    families = [rights.NETLINK] if plan["apart"] else [rights.UNIX, rights.IPV4, rights.IPV6, rights.NETLINK]
    rights.forbid(families)


def be_a_student(plan: Plan) -> None:
    """Take on the identity that the kernel has."""
    if plan["user"]:
        rights.become(plan["user"])


def confine(plan: Plan) -> None:
    """Become as confined as a kernel is, in a folder of its own."""
    rights.limit(plan["limits"])
    be_a_student(plan)
    # After the change of user, which forgets it.
    call("prctl", SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    settle(plan["home"], plan["work"], plan["fonts"])


def carry_out(plan: Plan, become: Callable[[list[str]], None]) -> None:
    """Make a jail as planned and have `become` turn a process in it into the plan's command; never returns."""
    call("prctl", SET_PDEATHSIG, signal.SIGKILL)
    nobody = socket.socket(socket.AF_UNIX)  # who listens where there is no supervisor; a closed jail makes no sockets
    if plan["confined"]:
        close(plan)

    def start(registrar: socket.socket) -> None:
        if plan["confined"]:
            confine(plan)
        else:
            os.setsid()
        registrar.set_inheritable(True)
        become([word.replace("{registrar}", str(registrar.fileno())) for word in plan["command"]])

    if plan["control"] is None:
        # Waited for, not become: a jail ends with its first process.
        command = os.fork()
        if command == 0:
            start(nobody)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]) % 256)
    supervisor.supervise(plan["control"], start, lambda: be_a_student(plan), plan["scratch"])


if __name__ == "__main__":
    carry_out(json.loads(sys.argv[1]), lambda command: os.execv(command[0], command))
