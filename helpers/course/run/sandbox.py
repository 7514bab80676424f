"""What keeps a student's code in: no network, no file but the system and its own scratch, no process but its own.

`tier()` is the best this machine offers, found by trying. "namespaces" makes them with the system calls bubblewrap is
made of (`helpers.inside.namespaces`); "bubblewrap" runs `bwrap`, which some machines allow more than us. Both see the
same files, have the same limits and give up the same rights, but only into the first can a kernel be forked that has
imported everything (`helpers.course.run.warm`). "own user" is for root in a container that permits neither, as a
platform for autograders has. "none" is macOS, Windows, and any other Linux.

Inside, the system and Python are read-only. Of the course there are data/ and helpers/ without its grading core. All
that can be written lies in memory, is bounded, and is gone with the kernel. The kernel talks through sockets that are
made out here, so that no folder of this machine needs to be open to it.

With "own user" nothing is hidden that is open to every user: answers and submissions must not be. There is no network,
limits and rights are as above, and processes and files end with the kernel, but its files are on disk, unbounded.
"""

import json
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from helpers import COURSE, DATA

NONE = "none"
OWN_USER = "own user"
# The best first.
JAILS = ("namespaces", "bubblewrap", OWN_USER)
# Whether kernels can be forked, and the supervisor that keeps their copies can see all that they start.
SUPERVISED = sys.platform == "linux"
JAIL = COURSE / "helpers" / "inside" / "jail.py"
PARTS = ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "share", "pyvenv.cfg")
SETTINGS = ("alternatives", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "nsswitch.conf")
IDENTITY = {"HOME": "/tmp/home", "TMPDIR": "/tmp", "USER": "student", "LOGNAME": "student"}
# A user of its own for every kernel that root starts, from the range that systemd keeps for such users: limits on
# processes do not bind root, and are counted by user.
USERS = range(61184, 65520)
SECRET = ("solutions", "tests", "grading")
# Ubuntu's switch, since 23.10: no namespaces for a user's programs but those that a profile names.
RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")

Plan = dict[str, Any]
Entry = tuple[str, str, str]


class NoIsolation(Exception):
    """This machine cannot keep a student's code in."""


def require(*secret: str | Path) -> None:
    """Raise NoIsolation where there is no tier but "none", or none that hides the files and folders `secret`."""
    if tier() == NONE:
        reasons = "; ".join(f"{name}: {trial(name)}" for name in JAILS)
        advice = "Install bubblewrap (Linux: apt install bubblewrap)"
        if RESTRICTED.is_file() and RESTRICTED.read_text().strip() == "1":
            advice = (
                "This system's AppArmor forbids what bubblewrap needs. Permit it until the next start with "
                "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
            )
        raise NoIsolation(
            f"Students' code cannot be isolated here ({reasons}). {advice}, "
            "or run it with your rights, on your files and your network: --unsafe."
        )
    if tier() == OWN_USER and (problem := exposed(secret)):
        raise NoIsolation(f"Students' code would run as another user, but {problem}.")


def exposed(secret: Iterable[str | Path]) -> str | None:
    """Return what is to be done about the first of some files and folders that is open to every user, or None."""
    for path in (Path(path).resolve() for path in secret):
        reached = path.exists() and all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)
        if reached and path.stat().st_mode & (stat.S_IROTH | stat.S_IXOTH):
            return f"{path} is open to every user: chmod -R o-rwx {path}"
    return None


def described(name: str) -> str:
    """Say in one line what a tier means."""
    if name == NONE:
        return "Isolation: NONE. Students' code ran with your rights: it could read, change and send what you can."
    if name == OWN_USER:
        return f"Isolation: {name}. Students' code saw no network and no file but what is open to every user."
    return f"Isolation: {name}. Students' code saw no network, no file of yours and no process but its own."


@cache
def tier() -> str:
    """Return the name of the best tier here: "namespaces", "bubblewrap", "own user" or "none"."""
    return next((name for name in JAILS if trial(name) is None), NONE)


@cache
def trial(name: str) -> str | None:
    """Try a tier once, with the files and limits of a kernel; return what is in its way, or None."""
    if sys.platform != "linux":
        return "needs Linux"
    if name == "bubblewrap" and not shutil.which("bwrap"):
        return "not installed"
    if name == OWN_USER and os.getuid() != 0:
        return "needs root"
    if name == OWN_USER and (problem := exposed(COURSE / folder for folder in SECRET)):
        return problem
    plan = planned(name, [sys.executable, "-c", "import zmq"], limits(2 << 30, 1 << 26, 64, 20), 1 << 26)
    try:
        done = subprocess.run(jailed(name, plan), env=os.environ | IDENTITY, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        return "did not answer within 30 seconds"
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def limits(memory: int, scratch: int, processes: int, seconds: int) -> dict[str, int]:
    """Return the resource limits of a process: bytes of memory and of a file, processes and threads, CPU seconds."""
    return {"AS": memory, "FSIZE": scratch, "NPROC": processes, "CPU": seconds, "CORE": 0}


def planned(
    name: str,
    command: list[str],
    limits: dict[str, int],
    scratch: int,
    files: Iterable[str | Path] = (),
    control: int | None = None,
    folder: str = "",
) -> Plan:
    """Return the plan of a jail, which `helpers.inside.jail` carries out.

    Args:
        name: the tier; with "none", there is a supervisor but no jail.
        command: a program that is visible inside, and its arguments.
        limits: from `limits`.
        scratch: bytes of /tmp, and of /dev/shm.
        files: other files to show, read-only.
        control: the number of a socket on which a supervisor is asked, which starts the program and puts the number of
            the socket for its copies in the place of "{registrar}"; without it there is no supervisor.
        folder: where the program starts in the tier "none".
    """
    plan: Plan = {"command": command, "control": control, "confined": name != NONE}
    if name == NONE:
        return plan | {"user": 0, "scratch": [folder]}
    files = [str(path) for path in files]
    user = random.choice(unused_users()) if os.getuid() == 0 else 0
    plan |= {"limits": limits, "user": user, "files": files, "fonts": fonts(), "apart": name == OWN_USER}
    plan |= {"home": IDENTITY["HOME"], "work": "/tmp/work", "scratch": ["/tmp", "/dev/shm"]}
    return plan | {"entries": [] if name == OWN_USER else furniture(scratch, [*files, *fonts()])}


def jailed(name: str, plan: Plan) -> list[str]:
    """Return the command that carries out the plan of a jail of the tier `name`."""
    return by_bubblewrap(plan) if name == "bubblewrap" else in_jail(plan)


def by_bubblewrap(plan: Plan) -> list[str]:
    """Return the command of the tier "bubblewrap", which makes namespaces and file system by itself."""
    entries = plan["entries"]
    options = {
        "bind": lambda path, source: ["--ro-bind", source, path],
        "link": lambda path, target: ["--symlink", target, path],
        "proc": lambda path, _: ["--proc", path],
        "dev": lambda path, _: ["--dev", path],
        "folder": lambda path, _: ["--dir", path],
        "empty": lambda path, _: ["--tmpfs", path],
        "scratch": lambda path, size: ["--perms", "1777", "--size", str(size), "--tmpfs", path],
    }
    arguments = [word for kind, path, what in entries for word in options[kind](path, what)]
    for kind, path, _ in [*entries, ("empty", "/", "")]:
        arguments += ["--remount-ro", path] if kind in ("empty", "dev") else []
    arguments += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--die-with-parent"]
    if plan["user"]:
        # Its process 1 stays root's, out of the kernel's reach; another user's would not hear that bwrap has died.
        arguments += ["--cap-drop", "ALL"]
        arguments += [word for name in ("KILL", "SETUID", "SETGID") for word in ("--cap-add", f"CAP_{name}")]
    else:
        # Its process 1 would be the same user's and less confined than the kernel.
        arguments += ["--unshare-user", "--as-pid-1"]
    return [shutil.which("bwrap") or "bwrap", *arguments, "--", *in_jail(plan | {"entries": []})]


def in_jail(plan: Plan) -> list[str]:
    """Return the command that carries out a plan."""
    return [sys.executable, "-I", "-S", str(JAIL), json.dumps(plan)]


def unused_users() -> list[int]:
    """Return those of USERS that no process belongs to."""
    used = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError):
            used.add(process.stat().st_uid)
    return [user for user in USERS if user not in used]


def furniture(scratch: int, files: Iterable[str | Path]) -> list[Entry]:
    """Return all that is visible inside as (kind, path, source or target or size), folders before what is in them."""
    shown = [Path(root, part) for root in ("/", "/usr", "/usr/local", *python_folders()) for part in PARTS]
    shown += [Path("/etc", name) for name in SETTINGS]
    shown += [Path("/nix/store"), Path("/sys/devices/system/cpu"), *executables()]
    # Packages installed elsewhere (`pip install --user`), but no checkout that an editable install points to.
    shown += [Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    shown += [path for path in (COURSE / "helpers").iterdir() if path.name != "course"]
    shown += [DATA, *map(Path, files)]
    entries = {"/proc": ("proc", ""), "/dev": ("dev", ""), str(COURSE): ("empty", "")}
    entries |= {path: ("scratch", str(scratch)) for path in ("/dev/shm", "/tmp")}
    for path in sorted(shown):
        around = next((entries[str(folder)] for folder in path.parents if str(folder) in entries), ("", ""))
        if around[0] in ("bind", "link") or not path.exists():
            continue
        link = path.parent == Path("/") and path.is_symlink()
        entries[str(path)] = ("link", str(path.readlink())) if link else ("bind", str(path.resolve()))
    # By themselves they would be open to their owner only.
    for name in list(entries):
        entries |= {str(folder): ("folder", "") for folder in Path(name).parents[:-1] if str(folder) not in entries}
    return [(kind, path, what) for path, (kind, what) in sorted(entries.items(), key=lambda entry: Path(entry[0]))]


def python_folders() -> list[str]:
    """Return the folders of this Python: its virtual environment and what that was made from."""
    return [sys.prefix, sys.base_prefix]


def executables() -> Iterator[Path]:
    """Yield the paths by which sys.executable is reached, one link after the other."""
    path = Path(sys.executable)
    while path.is_symlink():
        path = path.parent / path.readlink()
        yield path


@cache
def fonts() -> list[str]:
    """Return matplotlib's list of fonts, in a list, made where there is none."""
    import matplotlib

    place = Path(matplotlib.get_cachedir())
    if not list(place.glob("fontlist-*.json")):
        from matplotlib import font_manager  # noqa: F401
    return [str(path) for path in place.glob("fontlist-*.json")]


def short_place() -> str:
    """Return a folder for temporary folders with sockets in them: a socket's path has 107 bytes at most."""
    place = tempfile.gettempdir()
    return place if len(place) < 80 or tier() == NONE else "/tmp"
