"""Copies that stand where a check stood: right answers keep their marks, no attack earns or shows anything."""

from dataclasses import replace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from helpers.course.run import execute, sandbox
from helpers.course.run.heard import heard
from helpers.course.run.limits import Limits
from helpers.inside import frames
from helpers.inside.emit import MIME, encode

pytestmark = pytest.mark.kernel

LIMITS = Limits(cell=6, notebook=60)
EMIT = "from helpers.inside.emit import emit\n"
SECRET = "a line that only hidden halves hold"


@pytest.fixture(scope="module", params=["parked", "parked in a kernel started afresh", "replayed"])
def limits(request):
    return replace(LIMITS, park=request.param != "replayed", warm=request.param != "parked in a kernel started afresh")


def hidden(name, text):
    """Return a hidden half named `name` that emits an expression."""
    source = f"{EMIT}# {SECRET}\nemit('{name}', lambda: {text})"
    return new_code_cell(source, id=name, metadata={"course": {"half": "hidden"}})


def ran(*cells, limits=LIMITS):
    """Run cells, given as text or as hidden halves; return {cell id: outputs}, own cells numbered c0, c1 and so on."""
    cells = [new_code_cell(cell, id=f"c{n}") if isinstance(cell, str) else cell for n, cell in enumerate(cells)]
    done = nbformat.reads(execute.run(nbformat.writes(new_notebook(cells=cells)), limits), as_version=4)
    shown = [cell.outputs for cell in done.cells if cell.id.startswith("c")]
    assert SECRET not in str(shown)
    return {cell.id: cell.outputs for cell in done.cells}


def said(outputs):
    """Return what was said: a list of values for each part, and the names of errors."""
    parts = []
    for output in outputs:
        if MIME in output.get("data", {}):
            parts.append(output.data[MIME].get("values", output.data[MIME].get("error")))
        else:
            parts.append(output.get("ename", output))
    return parts


def values(*numbers):
    """Return one part with these numbers."""
    return [encode(number) for number in numbers]


F = "def f(x):\n    return 2 * x"

# What a student's cell may do after a check that has been passed.
LATER = {
    "a helper's name again": "def helper(x):\n    return x - 1",
    "a builtin's name": "sum = 3",
    "reset": "%reset -f",
    "exit": "exit()",
    "quit": "quit()",
    "the kernel dies": "import os; os._exit(1)",
    "the kernel is killed": "import os; os.kill(os.getpid(), 9)",
    "a timer ends the kernel": "import os, threading; threading.Timer(0.5, os._exit, (1,)).start()",
    "a thread ends the kernel": "import os, threading; threading.Thread(target=os._exit, args=(1,)).start()",
    "an endless loop": "while True: pass",
    "too much output": "print('x' * 30_000_000)",
    "another f": "def f(x):\n    return 0",
}


def test_what_comes_after_a_check_costs_it_nothing(limits):
    """All in one notebook, and the cells that are not to blame run."""
    helper = "def helper(x):\n    return 2 * x\ndef f(x):\n    return sum([helper(x)])"
    check = hidden("first", "f(4)")
    exits = ("exit()", "quit()", *(LATER[f"a {what} ends the kernel"] for what in ("timer", "thread")))
    done = ran(
        helper,
        check,
        *exits,
        "import time; time.sleep(1)",
        F.replace("f(", "g("),
        hidden("second", "g(5)"),
        limits=limits,
    )
    assert said(done["first"]) == [values(8)] and said(done["second"]) == [values(10)]


@pytest.mark.parametrize("name", [name for name in LATER if "ends" not in name and name not in ("exit", "quit")])
def test_what_comes_after_a_check_is_not_seen_by_it(name):
    helper = "def helper(x):\n    return 2 * x\ndef f(x):\n    return sum([helper(x)])"
    assert said(ran(helper, hidden("first", "f(4)"), LATER[name])["first"]) == [values(8)]


def test_a_kernel_that_dies_within_an_answer_costs_that_answer(limits):
    dies, lives = "def f(x):\n    import os; os._exit(1)", "def g(x): return x"
    done = ran(dies, hidden("first", "f(1)"), lives, hidden("second", "g(1)"), limits=limits)
    assert said(done["first"]) == ["KernelDied"] and said(done["second"]) == [values(1)]


def test_what_left_before_a_copy_died_or_was_stopped_stays(limits):
    half = hidden("half", "1")
    dies, hangs = (new_code_cell(half.source + f"\nemit('end', lambda: {call})", metadata=half.metadata, id=name)
                   for name, call in (("dies", "os._exit(1)"), ("hangs", "time.sleep(60)")))  # fmt: skip
    done = ran("import os, time", dies, hangs, limits=Limits(2, 60, park=limits.park))
    assert said(done["dies"]) == [values(1), "KernelDied"] and said(done["hangs"]) == [values(1), "Stopped"]


def test_what_a_function_prints_displays_and_clears_goes_nowhere(limits):
    loud = """
import sys
from IPython.display import clear_output, display
kept = sys.stdout
def f(x):
    print("seen"); print("seen", file=kept); print("seen", file=sys.stderr); display("seen"); clear_output(); input
    for _ in range(200): print("x" * 100_000)
    return 2 * x
"""
    done = ran(loud, hidden("first", "f(1)"), limits=limits)
    assert said(done["first"]) == [values(2)] and "seen" not in str(done)


def test_values_that_are_too_many_cost_their_check_only():
    done = ran(
        "import numpy as np", hidden("much", "np.zeros(10_000_000)"), hidden("first", "1"), limits=Limits(20, 60)
    )
    assert said(done["much"]) == ["TooMuchOutput"] and said(done["first"]) == [values(1)]


def test_one_hidden_half_changes_nothing_for_another(limits):
    spoil = "(torch.set_grad_enabled(False), torch.set_default_dtype(torch.float64), setattr(F, 'relu', None), 0)[-1]"
    check = "(torch.is_grad_enabled(), torch.ones(1).dtype == torch.float32, callable(F.relu))"
    done = ran("import torch\nimport torch.nn.functional as F", hidden("spoils", spoil), hidden("second", check),
               limits=replace(limits, cell=60, notebook=300))  # fmt: skip
    assert said(done["spoils"]) == [values(0)] and said(done["second"]) == [values(True, True, True)]


def test_random_numbers_are_the_same_whatever_was_drawn_before(limits):
    draw = hidden("drawn", "(np.random.rand(3), random.random(), torch.rand(3))")
    start, limits = "import random, torch\nimport numpy as np", replace(limits, cell=60, notebook=300)
    one, two = (
        ran(start, drawn, draw, limits=limits) for drawn in ("", "torch.rand(7), np.random.rand(9), random.random()")
    )
    assert said(one["drawn"]) == said(two["drawn"]) and "Error" not in str(one)


def test_asserts_and_last_values_count_as_nbgrader_has_it(limits):
    def half(name, text):
        return new_code_cell(text, id=name, metadata={"course": {"half": "hidden"}})

    texts = {
        "fails": "assert x == 2, 'found 1'",
        "passes": "assert x == 1",
        "part": "x / 2",
        "exits": "raise SystemExit",
    }
    done = ran("x = 1", *(half(name, text) for name, text in texts.items()), limits=limits)
    assert [(output.ename, output.evalue) for output in done["fails"]] == [("AssertionError", "found 1")]
    assert done["passes"] == [] and [output.data["text/plain"] for output in done["part"]] == ["0.5"]
    assert said(done["exits"]) == ["SystemExit"]


def test_autograd_and_figures_work_in_a_copy():
    source = """
import torch
import matplotlib.pyplot as plt
net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(4))
def f():
    x = torch.ones(2, 3, 8, 8, requires_grad=True)
    net(x).sum().backward()
    plt.imshow(x[0, 0].detach()); plt.show()
    return bool(x.grad.abs().sum() > 0)
"""
    assert said(ran(source + "f()", hidden("first", "f()"), limits=Limits(60, 300))["first"]) == [values(True)]


def test_threads_that_a_copy_has_lost_are_there_in_a_replay():
    source = """
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(2)
pool.submit(abs, 1).result()
def f(x):
    return pool.submit(abs, x).result()
"""
    done = ran(source, hidden("first", "f(-3)"), limits=Limits(3, 60))
    assert said(done["first"]) == [values(3)]


def test_a_reference_is_answered_in_one_kernel(monkeypatch):
    kernels = []
    session = execute.session
    monkeypatch.setattr(execute, "session", lambda *a: kernels.append(1) or session(*a))
    cells = [new_code_cell(F, id="c")]
    for n in range(20):
        cells += [new_code_cell(f"def f(x):\n    return {n} * x", id=f"c{n}"), hidden(f"h{n}", "f(1)")]
    notebook = new_notebook(cells=cells, metadata={"course": "reference"})
    for park in (True, False):
        done = nbformat.reads(execute.run(nbformat.writes(notebook), Limits(park=park)), as_version=4)
        answers = [said(cell.outputs) for cell in done.cells if cell.id.startswith("h")]
        assert answers == [[values(n)] for n in range(20)]
    assert len(kernels) == 2


# Attacks. `TRY` leaves what it finds where a later cell, a copy, or the student could see it.

COPIES = """
import ctypes, os, signal
mine = [p for p in map(int, filter(str.isdigit, os.listdir("/proc"))) if os.stat(f"/proc/{p}").st_uid == os.getuid()]
copies = [p for p in mine if p != os.getpid()]
def signals(number):
    for p in copies:
        try: os.kill(p, number)
        except OSError: pass
"""

ATTACKS = {
    "kills the copies": f"{COPIES}\nsignals(9)",
    "kills all it may": "import os, subprocess\nsubprocess.run(['bash', '-c', 'kill -9 -1'])",
    "stops the copies": f"{COPIES}\nsignals(signal.SIGSTOP)",
    "traces the copies": f"{COPIES}\nprint([ctypes.CDLL(None).ptrace(16, p, 0, 0) for p in copies])",
    "reads the copies": f"""{COPIES}
for p in copies:
    try: print(open(f'/proc/{{p}}/mem', 'rb').read(1))
    except OSError as e: print(type(e).__name__)
    for n in range(64):
        try: print(os.read(os.open(f'/proc/{{p}}/fd/{{n}}', os.O_RDONLY | os.O_NONBLOCK), 100))
        except OSError: pass
""",
    "reads every descriptor": """
import os
for n in range(3, 64):
    try:
        os.set_blocking(n, False)
        print(n, os.readlink(f'/proc/self/fd/{n}'))
    except OSError: pass
""",
    "patches exec, compile and fork": """
import builtins, os, socket
for module, name in ((builtins, "exec"), (builtins, "compile"), (os, "setsid"), (socket, "socketpair")):
    real = getattr(module, name)
    setattr(module, name, lambda *a, real=real, **k: (print(a), real(*a, **k))[1])
""",
    "no fork": "import os\nos.fork = None",
    "fork that pretends": "import os\nos.fork = lambda: 1",
    "traces lines": """
import sys
def trace(frame, event, arg):
    print(frame.f_code, frame.f_locals)
    return trace
sys.settrace(trace)
""",
    "profiles": "import sys\nsys.setprofile(lambda *a: print(a))",
    "audits": "import sys\nsys.addaudithook(lambda *a: print(a) if a[0] in ('compile', 'exec') else None)",
    "replaces run_cell": "ip = get_ipython()\nip.run_cell = ip.run_cell_async = lambda *a, **k: print(a, k)",
    "replaces the handler": "k = get_ipython().kernel\nk.shell_handlers['park_request'] = lambda *a: print(a)",
    "at-fork hook": """
import os, threading, time
def spy():
    while True:
        try: open('/tmp/work/spied', 'a').write(str([f.f_locals for f in __import__('sys')._current_frames().values()]))
        except OSError: pass
        time.sleep(.01)
os.register_at_fork(after_in_child=lambda: threading.Thread(target=spy, daemon=True).start())
""",
    "stays behind": """
import os, subprocess
if os.fork() == 0:
    import time
    os.setsid()
    end = time.time() + 30
    while time.time() < end:
        os.system('cat /tmp/work/* /dev/shm/* > /tmp/found 2>/dev/null')
    os._exit(0)
""",
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("before", [True, False])
def test_an_attack_shows_nothing_and_costs_no_right_answer(name, before):
    """Before its check an attack may cost the marks of that check, but of no later or earlier one it does not touch."""
    attack = ATTACKS[name]
    cells = [F, hidden("first", "f(4)"), "print('between')"]
    cells = [attack, *cells] if before else [*cells, attack, "print(dir(), globals())"]
    done = ran(*cells, limits=Limits(6, 60, processes=64))
    if name == "replaces run_cell" and before:
        assert said(done["first"]) != [values(9)]  # nothing of the notebook has run
    else:
        assert said(done["first"]) == [values(8)]


ANSWER = """
import json, os, socket, struct
from helpers.inside import frames
def answer_for(check, text):
    "Make a process known as the copy for a check, which says what it likes."
    if os.fork() == 0:
        os.setsid()
        ours, theirs = socket.socketpair()
        for n in range(3, 64):
            try:
                door = socket.socket(fileno=os.dup(n))
                if door.type == socket.SOCK_SEQPACKET:
                    socket.send_fds(door, [check.encode()], [theirs.fileno()])
            except OSError: pass
        theirs.close()
        code = frames.received(ours)
        os.system("true")
        for message in text: ours.sendall(frames.packed(json.dumps(message).encode()))
        ours.sendall(frames.packed(json.dumps({"said": {"name": "stolen", "error": code.decode()}}).encode()))
        os._exit(0)
"""


def test_a_process_that_answers_in_a_copys_place_is_not_heard_before_its_check_nor_after_it():
    early = ANSWER + "answer_for('first', [])"
    done = ran(F, early, hidden("first", "f(4)"), early, limits=LIMITS)
    assert said(done["first"]) == [values(8)]


def test_what_a_copy_wrote_tells_a_later_one_nothing():
    source = """
import glob, os
open("mine", "w").write("mine")
def f():
    found = [len(glob.glob(p)) for p in ("/tmp/work/*", "/tmp/told*", "/dev/shm/told*")]
    for p in ("told", "/tmp/told", "/dev/shm/told"): open(p, "w").write("told")
    os.makedirs("/tmp/told-too/deep", exist_ok=True)
    if os.fork() == 0:
        os.setsid()
        while True:
            try: open("/tmp/told", "w").write("told")
            except OSError: pass
    return found
"""
    done = ran(source, hidden("first", "f()"), hidden("second", "f()"))
    assert said(done["first"]) == said(done["second"]) == [values(1, 0, 0)]


def test_system_v_memory_is_not_to_be_had():
    done = ran("import ctypes; print(ctypes.CDLL(None).shmget(0, 4096, 0o1600))")
    assert done["c0"][0].text == "-1\n"


def test_processes_that_multiply_for_ever_do_not_keep_a_hidden_half_from_being_answered():
    bomb = """
import os
if os.fork() == 0:
    os.setsid()
    while True:
        try:
            if os.fork(): os._exit(0)
        except OSError: pass
"""
    done = ran(F, hidden("first", "f(4)"), bomb, limits=Limits(6, 60, processes=64))
    assert said(done["first"]) == [values(8)]


def messages(*texts):
    return heard([text if isinstance(text, bytes) else text.encode() for text in texts], "answered", LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "null",
        "[]",
        '{"said": 3}',
        '{"said": "x"}',
        '{"error": [1, 2]}',
        '{"value": []}',
        b"\xff\xfe",
    ],
)
def test_a_message_that_emit_does_not_send_is_a_value_that_nobody_can_read(text):
    outputs = messages('{"awake": 0}', text, '{"done": true}').outputs
    assert [dict(output.data) for output in outputs] == [{MIME: {}}]


def test_messages_are_whole_or_none():
    data = frames.packed(b"one") + frames.packed(b"") + frames.packed(b"two")
    assert list(frames.split(data)) == [b"one", b"", b"two"]
    assert list(frames.split(data[:-1])) == [b"one", b""] and list(frames.split(b"\xff\xff\xff\xff1")) == []


@pytest.mark.skipif(not sandbox.SUPERVISED, reason="needs Linux")
def test_a_jail_that_is_gone_costs_time_and_no_marks(monkeypatch):
    """As when its supervisor was killed, which may happen without isolation."""
    answered = execute.answered

    def after_its_death(cell, jail, *others):
        jail.process.kill()
        return answered(cell, jail, *others)

    monkeypatch.setattr(execute, "answered", after_its_death)
    assert said(ran(F, hidden("first", "f(4)"))["first"]) == [values(8)]
