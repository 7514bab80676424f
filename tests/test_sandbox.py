"""What a student's code can reach from inside: probes that try, in every tier that this machine offers."""

import contextlib
import itertools
import json
import os
import platform
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from helpers import COURSE
from helpers.course import grade
from helpers.course.pages import source
from helpers.course.release import notebooks
from helpers.course.run import execute, finished, sandbox, warm
from helpers.course.run.limits import Limits

pytestmark = pytest.mark.kernel

MB = 1 << 20
LIMITS = Limits(cell=30, notebook=60, output=2_000_000, scratch=32 * MB, processes=64)
UNCACHED_TIER = sandbox.tier.__wrapped__


FORKED = "namespaces, forked"


@pytest.fixture(scope="module", params=[*sandbox.JAILS, FORKED])
def tier(request):
    """A tier with kernels that are started afresh, or the one with kernels that are forked from a server."""
    name = request.param.partition(",")[0]
    with pytest.MonkeyPatch.context() as patch:
        if name == sandbox.OWN_USER:
            offer_own_user(patch)
        if reason := sandbox.trial.__wrapped__(name):
            pytest.skip(f"this machine offers no {name}: {reason}")
        patch.setattr(sandbox, "tier", lambda: name)
        if request.param != FORKED:
            patch.setattr(warm, "server", lambda environment: None)
        yield name


def offer_own_user(patch):
    """Grade with a Python that another user can start, in a checkout that is open to every user."""
    patch.setattr(sandbox, "SECRET", ())
    patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path.endswith("-packages")))
    patch.setattr(sys, "executable", python_for_all())
    environment = execute.environment()
    environment["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]
    patch.setattr(execute, "environment", lambda: environment)


def python_for_all():
    """Return a Python of this version that every user can start."""
    system = f"/usr/bin/python3.{sys.version_info.minor}"
    python = Path(sys.executable).resolve()
    closed = any(not folder.stat().st_mode & stat.S_IXOTH for folder in python.parents)
    return system if closed and Path(system).exists() else sys.executable


def session(*sources, limits=LIMITS):
    """Run cells in one kernel; return the text of each, errors as their names, and the number of the last one."""
    cells = [new_code_cell(source, id=f"c{number}") for number, source in enumerate(sources)]
    with execute.session(cells, limits) as done:
        outputs = [done.outputs.get(cell.id, []) for cell in cells]
    return ["".join(o.get("text", "") or o.get("ename", "") for o in each) for each in outputs], done.ended


def running(mark):
    """Return the command lines on this machine, seen from outside, that have `mark` as an argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        found += [words] if mark.encode() in words else []
    return found


def gone(mark, seconds=10):
    """Wait until no process with `mark` is left; tell whether that happened."""
    end = time.monotonic() + seconds
    while running(mark) and time.monotonic() < end:
        time.sleep(0.05)
    return not running(mark)


numbers = itertools.count(int(time.time()))


def new_mark():
    """Return a number of seconds to sleep that no other process has."""
    return f"{next(numbers)}.{os.getpid()}"


SET_UP = """
import ctypes, json, os, resource, socket, subprocess, sys, time
from pathlib import Path

def attempt(function):
    try:
        print("done:", function())
    except (OSError, MemoryError, ValueError, subprocess.CalledProcessError) as problem:
        print("blocked:", type(problem).__name__, problem)

def raw_clone(flags):
    number = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine)
    if number is None:
        raise OSError("no filter on this architecture")
    child = ctypes.CDLL(None, use_errno=True).syscall(number, flags | 17, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    if child < 0:
        raise OSError(ctypes.get_errno(), "clone")
    return os.waitpid(child, 0)

def connect(family, kind, address):
    with socket.socket(family, kind) as s:
        s.settimeout(3)
        s.connect(address)
        return s.send(b"probe")
"""

# One cell each; a name in braces is one of the aims that `run_probes` fills in.
BLOCKED = {
    "TCP": "connect(socket.AF_INET, socket.SOCK_STREAM, ('1.1.1.1', 80))",
    "TCP over IPv6": "connect(socket.AF_INET6, socket.SOCK_STREAM, ('2606:4700:4700::1111', 80))",
    "UDP": "connect(socket.AF_INET, socket.SOCK_DGRAM, ('8.8.8.8', 53))",
    "TCP to a port of this machine": "connect(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', {tcp}))",
    "abstract Unix socket": "connect(socket.AF_UNIX, socket.SOCK_STREAM, '\\0{abstract}')",
    "Unix socket": "connect(socket.AF_UNIX, socket.SOCK_STREAM, '{outside}/socket')",
    "socket to a virtual machine's host": "socket.socket(40, socket.SOCK_STREAM)",
    "packet socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "solutions": "os.listdir('{course}/solutions')",
    "tests": "os.listdir('{course}/tests')",
    "grading core": "open('{course}/helpers/course/marks/compare.py').read()",
    "repository": "open('{course}/pyproject.toml').read()",
    "gradebook": "open('{outside}/gradebook.db').read()",
    "passwords": "open('/etc/shadow').read()",
    "users": "open('/etc/passwd').read()",
    "grader's environment": "open('/proc/{grader}/environ').read()",
    "first process's environment": "open('/proc/1/environ').read().index('probe-secret')",
    "write: root": "open('/probe', 'w')",
    "write: system": "open('/usr/bin/probe', 'w')",
    "write: devices": "open('/dev/probe', 'w')",
    "write: Python": "open(sys.prefix + '/lib/probe', 'w')",
    "write: a package": "open(json.__file__, 'a')",
    "write: course": "open('{course}/probe', 'w')",
    "write: helpers": "open('{course}/helpers/checks/__init__.py', 'a')",
    "write: data": "open('{course}/data/probe', 'w')",
    "write: kernel settings": "open('/proc/sys/kernel/core_pattern', 'w')",
    "make a device": "os.mknod('/tmp/disk', 0o60666, os.makedev(254, 0))",
    "signal the grader": "os.kill({grader}, 0)",
    "become root": "os.setuid(0)",
    "become another user": "os.setuid(1)",
    "lift a limit": "resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)",
    "new user namespace": "subprocess.run(['unshare', '--user', 'true'], check=True)",
    "new user namespace by clone": "raw_clone(0x10000000)",
    "mount": "subprocess.run(['mount', '-t', 'tmpfs', 'x', '/tmp'], check=True, stderr=-3)",
    "set-user-id program": "subprocess.run(['su', '-c', 'true'], check=True, stdin=-3, stderr=-3)",
    "64 GB of memory": "bytearray(64 << 30)",
    "64 GB of shared memory": "__import__('mmap').mmap(-1, 64 << 30)",
}

FORK_BOMB = """
children = []
try:
    while len(children) < 1000:
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        children.append(child)
except OSError as problem:
    print(len(children), problem.errno)
finally:
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
"""

FILL = """
written = 0
for number in range(100):
    try:
        with open(f"FOLDER/{number}", "wb", buffering=0) as file:
            while True:
                written += file.write(bytes(1 << 20))
    except OSError as problem:
        pass
print(written)
for path in Path("FOLDER").glob("[0-9]*"):
    path.unlink()
"""

TALK = {
    "processes": "print([int(p) for p in os.listdir('/proc') if p.isdigit()])",
    "environment": "print(json.dumps(dict(os.environ)))",
    "course": "print(json.dumps([sorted(os.listdir('{course}')), sorted(os.listdir('{course}/helpers'))]))",
    "home": "print(json.dumps([str(p) for p in Path('{home}').rglob('*') if len(p.relative_to('{home}').parts) < 3]))",
    "writable": "print(json.dumps([line.split()[1:3] for line in open('/proc/mounts') if ' rw,' in line]))",
    "folder": "print(os.getcwd(), os.listdir())",
    "home of the grader": "attempt(lambda: open('{home}/{mark}', 'w'))",
    "status of process 1": "print(open('/proc/1/status').read())",
    "own user": "print(os.getuid())",
    "UDP to this machine": "attempt(lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ('127.0.0.1', {udp})))",
    "fork bomb": FORK_BOMB,
    "scratch": FILL.replace("FOLDER", "/tmp/work"),
    "shared memory": FILL.replace("FOLDER", "/dev/shm"),
    "daemon": "subprocess.Popen(['sleep', '{mark}'], start_new_session=True); print('started')",
    "held": (
        "found = [os.path.join('/proc/self/fd', n) for n in os.listdir('/proc/self/fd')]\n"
        "print(json.dumps([[os.readlink(f) for f in found if os.path.lexists(f)], list(sys.modules)]))"
    ),
    "alive": "print(sum(range(4)))",
    "flood": "print('x' * 3_000_000)",
}


# What hides and bounds more than another user's rights do, which are all there is to "own user".
OPEN = ("solutions", "tests", "grading core", "repository", "users", "scratch", "shared memory")


# What any program of this user can do: to see that the probes would find what they look for.
HARMLESS = (
    "TCP to a port of this machine",
    "abstract Unix socket",
    "Unix socket",
    "solutions",
    "tests",
    "grading core",
    "repository",
    "gradebook",
    "users",
    "grader's environment",
    "signal the grader",
    "UDP to this machine",
)


def run_probes(cells, outside):
    """Run cells in one session after `SET_UP`, with aims of ours for them.

    Args:
        cells: {name: source}, with the names of aims in braces.
        outside: an empty folder.

    Returns:
        {name: what it said}, the name of the cell that ended the kernel, what was heard outside, and the aims.
    """
    (outside / "gradebook.db").write_text("marks")
    abstract = f"course-probe-{new_mark()}"
    listeners = {
        "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}"),
        "path": (socket.AF_UNIX, socket.SOCK_STREAM, str(outside / "socket")),
    }
    opened = {}
    for name, (family, kind, address) in listeners.items():
        opened[name] = socket.socket(family, kind)
        opened[name].bind(address)
        opened[name].setblocking(False)
        if kind == socket.SOCK_STREAM:
            opened[name].listen()
    aims = {
        "course": COURSE,
        "home": Path.home(),
        "outside": outside,
        "abstract": abstract,
        "grader": os.getpid(),
        "tcp": opened["tcp"].getsockname()[1],
        "udp": opened["udp"].getsockname()[1],
        "mark": new_mark(),
    }
    name = re.compile(rf"\{{({'|'.join(aims)})\}}")
    said, ended = session(SET_UP, *(name.sub(lambda found: str(aims[found[1]]), source) for source in cells.values()))
    heard = []
    for name, listener in opened.items():
        with contextlib.suppress(BlockingIOError):
            heard.append((name, listener.accept() if name != "udp" else listener.recv(100)))
        listener.close()
    ended = list(cells)[int(ended[1:]) - 1] if ended else None
    return dict(zip(cells, said[1:], strict=True)), ended, [name for name, _ in heard], aims


def attempts(names):
    """Return the cells that try what is in BLOCKED or TALK under `names`."""
    return {name: f"attempt(lambda: {BLOCKED[name]})" if name in BLOCKED else TALK[name] for name in names}


@pytest.fixture(scope="module")
def probe(tier, tmp_path_factory):
    """Run all probes; {name: what it said}."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_TOKEN", "probe-secret-1")
        patch.setenv("GITHUB_TOKEN", "probe-secret-2")
        names = [name for name in (*BLOCKED, *TALK) if tier != sandbox.OWN_USER or name not in OPEN]
        said, ended, heard, aims = run_probes(attempts(names), tmp_path_factory.mktemp("outside"))
    return said | {"tier": tier, "ended": ended, "heard": heard, "mark": aims["mark"]}


@pytest.fixture
def sealed(probe):
    """The probes of a jail with files and processes of its own."""
    if probe["tier"] == sandbox.OWN_USER:
        pytest.skip("another user still sees and fills what every user may")
    return probe


def test_the_probes_reach_their_aims_where_nothing_is_in_their_way(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "tier", lambda: sandbox.NONE)
    said, _, heard, _ = run_probes(attempts(HARMLESS), tmp_path)
    assert {name: text for name, text in said.items() if not text.startswith("done:")} == {}
    assert set(heard) == {"tcp", "udp", "abstract", "path"}


def test_linux_with_bubblewrap_offers_isolation():
    if sys.platform != "linux" or not shutil.which("bwrap"):
        pytest.skip("needs Linux with bubblewrap")
    assert sandbox.trial("bubblewrap") is None


@pytest.mark.parametrize("name", BLOCKED)
def test_a_probe_is_blocked(request, probe, name):
    probe = request.getfixturevalue("sealed") if name in OPEN else probe
    assert probe[name].startswith("blocked:"), probe[name]


def test_nothing_was_heard_outside(probe):
    assert probe["heard"] == []


def test_only_own_processes_are_visible(sealed):
    numbers = json.loads(sealed["processes"])
    assert all(number < 1000 for number in numbers) and len(numbers) <= 4


def test_no_secret_is_in_the_environment(probe):
    assert "probe-secret" not in probe["environment"]
    assert not Path(json.loads(probe["environment"])["HOME"]).is_relative_to(Path.home())


def test_of_the_course_only_helpers_and_data_are_visible(sealed):
    top, core = json.loads(sealed["course"])
    assert set(top) - {Path(sys.prefix).name} == {"data", "helpers"}
    assert "inside" in core and "course" not in core


def test_of_the_home_only_pythons_own_is_visible(sealed):
    shown = [path for path in json.loads(sealed["home"])]
    needed = [path for _, path, _ in sandbox.furniture(MB, sandbox.fonts())]
    assert all(any(Path(n).is_relative_to(p) or Path(p).is_relative_to(n) for n in needed) for p in shown), shown


def test_only_scratch_can_be_written(sealed):
    # Every mount that is not read-only. Devices are nodes, /proc is this jail's own.
    assert {path for path, kind in json.loads(sealed["writable"]) if kind not in ("proc", "devtmpfs", "devpts")} == {
        "/tmp",
        "/dev/shm",
    }
    assert sealed["folder"] == "/tmp/work []\n"


def test_a_fork_bomb_is_bounded(probe):
    count, number = map(int, probe["fork bomb"].split())
    assert 10 < count < LIMITS.processes and number == 11  # EAGAIN


@pytest.mark.parametrize("place", ["scratch", "shared memory"])
def test_what_can_be_written_is_bounded_in_total(sealed, place):
    assert 0.8 * LIMITS.scratch < int(sealed[place]) <= LIMITS.scratch


def test_the_notebook_goes_on_after_the_probes_until_it_says_too_much(probe):
    assert probe["alive"] == "6\n"
    assert probe["ended"] == "flood" and probe["flood"].endswith("TooMuchOutput")


def test_the_kernel_is_not_root(probe):
    assert int(probe["own user"]) != 0


def test_nothing_that_was_written_is_outside(probe):
    assert not (Path.home() / probe["mark"]).exists()


def test_the_first_process_inside_is_out_of_reach_or_has_no_more_rights_than_the_kernel(probe):
    status = dict(line.split(":\t", 1) for line in probe["status of process 1"].splitlines() if ":\t" in line)
    if status["Uid"].split()[0] == "0":
        assert os.getuid() == 0  # another user than the kernel's, which is never root
    else:
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0 and status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2" or platform.machine() not in ("x86_64", "aarch64")


def test_no_file_that_was_open_outside_is_open_inside_and_the_grading_core_is_not_in_memory(probe):
    opened, modules = json.loads(probe["held"])
    assert [name for name in opened if name.startswith("/") and name != "/dev/null"] == []
    assert modules and [name for name in modules if name.startswith("helpers.course")] == []


def test_nothing_outlives_the_kernel(probe):
    assert probe["daemon"] == "started\n"
    assert gone(probe["mark"])


def test_nothing_reaches_the_next_student(tier):
    places = "import os\nplaces = ['/tmp', os.getcwd(), os.path.expanduser('~'), '/dev/shm']\n"
    leave = places + "for place in places: open(place + '/left-by-ada', 'w').write('answer'); print('left')"
    assert session(leave)[0] == ["left\n" * 4]
    look = places + "print([name for place in places for name in os.listdir(place) if name.startswith('left')])"
    assert session(look)[0] == ["[]\n"]


GRADER = """
import os, sys
from nbformat.v4 import new_code_cell
from helpers.course.run import execute, sandbox, warm
from helpers.course.run.limits import Limits

name, forked, mark = sys.argv[1:]
sandbox.tier = lambda: name
if not forked:
    warm.server = lambda environment: None
execute.environment = lambda: dict(os.environ)
daemon = f"import subprocess; subprocess.Popen(['setsid', 'sleep', '{mark}']).wait()"
with execute.session([new_code_cell(daemon, id="a")], Limits(cell=60)):
    pass
"""


def test_nothing_outlives_a_grader_that_is_killed(tier):
    mark = new_mark()
    with tempfile.TemporaryDirectory() as place:  # what a killed grader leaves behind
        path = [str(COURSE), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path), "TMPDIR": place}
        forked = "forked" if warm.server(execute.environment()) else ""
        grader = subprocess.Popen([sys.executable, "-c", GRADER, tier, forked, mark], env=environment)
        end = time.monotonic() + 120
        while len(running(mark)) < 2 and time.monotonic() < end:  # the grader and the sleeping process
            time.sleep(0.05)
        found, family = len(running(mark)), psutil.Process(grader.pid).children(recursive=True)
        grader.send_signal(signal.SIGKILL)
        grader.wait()
        assert found >= 2 and gone(mark)
        assert family and psutil.wait_procs(family, timeout=10)[1] == []


def test_an_interrupt_reaches_the_kernel_and_a_dead_kernel_is_noticed(tier):
    limits = Limits(cell=1, notebook=60)
    (stopped, alive, dead), ended = session(
        "while True:\n    pass", "print('alive')", "import os; os._exit(3)", limits=limits
    )
    assert (stopped, alive, dead, ended) == ("Stopped", "alive\n", "KernelDied", "c2")


PICTURE_BOOK = """
import torch
from helpers.models import load_model
from helpers.pictures import picture_book

model, pictures = load_model(), picture_book(4)
images = pictures.images.requires_grad_()
model(images).gather(1, pictures.labels[:, None]).sum().backward()
print(tuple(images.grad.shape), bool(images.grad.abs().sum() > 0))
"""


def test_a_picture_book_notebook_runs(tier):
    from helpers import plots  # noqa: F401 (as the notebooks do: needs matplotlib's fonts)

    said, _ = session(PICTURE_BOOK, "import helpers.plots; print('drawn')", limits=Limits(60, 120))
    assert said == ["(4, 3, 64, 64) True\n", "drawn\n"]


def test_the_tier_is_recorded(tier):
    notebook = new_notebook(cells=[new_code_cell("1", id="a")])
    done = nbformat.reads(execute.run(nbformat.writes(notebook), Limits(5, 60, isolated=True)), as_version=4)
    assert done.metadata["isolation"] == tier


def test_a_course_inside_a_folder_of_pythons_stays_hidden(tier, tmp_path, monkeypatch):
    if tier == sandbox.OWN_USER:
        pytest.skip("hides nothing that is open to every user")
    course = tmp_path / "python" / "lib" / "courses" / "mine"
    for folder in ("solutions", "data", "helpers/course", ".venv/bin"):
        (course / folder).mkdir(parents=True)
    (course / "solutions" / "answers.py").write_text("")
    (course / "helpers" / "models.py").write_text("")
    (course / ".venv" / "bin" / "tool").write_text("")
    monkeypatch.setattr(sandbox, "COURSE", course)
    monkeypatch.setattr(sandbox, "DATA", course / "data")
    roots = [*sandbox.python_folders(), tmp_path / "python", course / ".venv"]
    monkeypatch.setattr(sandbox, "python_folders", lambda: roots)
    files = [COURSE / "helpers" / "__init__.py", *sandbox.JAIL.parent.glob("*.py")] if tier == "bubblewrap" else []
    most = sandbox.limits(1 << 30, MB, 16, 10)
    plan = sandbox.planned(tier, ["/bin/ls", "-A", str(course), str(course / ".venv")], most, MB, files)
    command = sandbox.jailed(tier, plan)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == [f"{course}:", ".venv", "data", "helpers", f"{course}/.venv:", "bin"], done.stderr


@pytest.fixture
def nowhere(monkeypatch):
    monkeypatch.setattr(sandbox, "trial", lambda name: "not on this machine")
    monkeypatch.setattr(sandbox, "tier", UNCACHED_TIER)


def test_ubuntus_lock_is_named_where_it_is_what_is_in_the_way(nowhere, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "RESTRICTED", tmp_path / "restricted")
    sandbox.RESTRICTED.write_text("1\n")
    with pytest.raises(sandbox.NoIsolation, match=r"AppArmor.*sudo sysctl \S+_userns=0"):
        sandbox.require()
    sandbox.RESTRICTED.write_text("0\n")
    with pytest.raises(sandbox.NoIsolation, match="Install bubblewrap"):
        sandbox.require()


def test_another_user_is_no_isolation_for_what_is_open_to_every_user(tmp_path, monkeypatch):
    # pytest's own folders are closed to others.
    closed, place = tmp_path / "closed", Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        for folder in (closed, place / "class"):
            folder.mkdir()
        place.chmod(0o711)
        monkeypatch.setattr(sandbox, "tier", lambda: sandbox.OWN_USER)
        sandbox.require(closed, place / "not there")
        with pytest.raises(sandbox.NoIsolation, match=f"{place}/class is open to every user: chmod"):
            sandbox.require(closed, place / "class")
        (place / "class").chmod(0o770)
        sandbox.require(closed, place / "class")
    finally:
        shutil.rmtree(place)


def test_without_isolation_grading_refuses_in_one_sentence_and_runs_nothing(nowhere, tmp_path):
    toy = COURSE / "tests" / "toy" / "01_toy.py"
    (tmp_path / "class" / "ada").mkdir(parents=True)
    nbformat.write(notebooks.student_notebook(source.read(toy)), tmp_path / "class" / "ada" / "01_toy.ipynb")
    with pytest.raises(sandbox.NoIsolation, match=re.compile("cannot be isolated.*bubblewrap.*--unsafe")):
        grade.grade(tmp_path / "class", tmp_path / "grading", page_paths=[toy])
    assert not (tmp_path / "grading" / "runs").exists()
    notebook = nbformat.writes(new_notebook(cells=[new_code_cell("print(1)", id="a")]))
    with pytest.raises(sandbox.NoIsolation):
        execute.run(notebook, Limits(isolated=True))
    unsafe = nbformat.reads(execute.run(notebook, Limits()), as_version=4)
    assert unsafe.metadata["isolation"] == "none" and unsafe.cells[0].outputs[0].text == "1\n"


def test_an_unsafe_run_does_not_stand_for_an_isolated_one(monkeypatch):
    notebook = new_notebook(cells=[new_code_cell("1", id="a")])
    keys = []
    for name in ("none", "bubblewrap"):
        monkeypatch.setattr(sandbox, "tier", lambda name=name: name)
        finished.surroundings.cache_clear()
        keys.append(finished.key(notebook))
    finished.surroundings.cache_clear()
    assert keys[0] != keys[1]
