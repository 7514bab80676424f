"""A class on many machines: on the workers of a Dask cluster, and in shares that are merged."""

import json
import os
import shutil
import socketserver
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain

import pytest

from helpers import COURSE
from helpers.course import __main__ as commands
from helpers.course import grade, whole
from helpers.course.pages import registry
from helpers.course.run import cluster, execute, finished, shards
from helpers.course.run.shards import Shard
from tests.submissions import RIGHT, TOYS, code, filled, hand_in

# Seconds: each starts processes that import torch.
pytestmark = pytest.mark.timeout(900)

HERE = {"Python": "3.12.1", "torch": "2.9.0", "isolation": "there"}


@pytest.fixture(scope="module")
def page():
    return registry.read(TOYS / "01_toy.py")


def write_class(page, folder, count):
    """Write a class of which every second has one answer wrong, and no two notebooks are the same."""
    for i in range(count):
        answers = RIGHT | ({"half": "def half(x):\n    return x"} if i % 2 else {})
        hand_in(filled(page, answers, code(f"import time\nstudent = {i}\ntime.sleep(0.5)", 99)), folder, f"student-{i}")


def points(table):
    """Return {(student, question): score} of a class's table."""
    return {(row["student"], row["question"]): row["score"] for row in table}


def expected(count):
    return {
        (f"student-{i}", question): score
        for i in range(count)
        for question, score in (("test_double", "4"), ("test_half", "0" if i % 2 else "2"), ("q_half", ""))
    }


# A Dask cluster


@contextmanager
def dask(kind, *options, course=COURSE, **environment):
    """Start a scheduler or a worker of Dask; yield the process."""
    command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *options]
    path = [str(course), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path)} | environment
    process = subprocess.Popen(command, env=environment, cwd=course, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def worker(address, folder, **options):
    return dask("worker", address, "--nthreads", "1", "--no-nanny", "--local-directory", str(folder), **options)


@pytest.fixture
def scheduler(tmp_path):
    """The address of a scheduler without workers."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    with dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)):
        end = time.monotonic() + 60
        while not file.exists() or not file.read_text():
            assert time.monotonic() < end
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"]


@pytest.mark.kernel
def test_a_class_is_graded_once_though_a_worker_is_killed_in_the_middle(page, scheduler, tmp_path):
    write_class(page, tmp_path / "class", 8)
    into = tmp_path / "grading"
    with worker(scheduler, tmp_path) as first, worker(scheduler, tmp_path) as second:

        def kill_one_in_the_middle():
            while len(list(into.glob("runs/*.ipynb"))) < 2:
                time.sleep(0.05)
            first.kill()

        threading.Thread(target=kill_one_in_the_middle, daemon=True).start()
        table = grade.grade(tmp_path / "class", into, page_paths=[page.path], unsafe=True, dask=scheduler)
        assert first.poll() is not None and second.poll() is None
    assert points(table) == expected(8)
    assert len(table) == len(expected(8))
    assert len(list(into.glob("runs/*.ipynb"))) == 8 + 1 and not list(into.glob("runs/*.part"))


@pytest.mark.kernel
def test_what_a_worker_is_given_is_a_notebook_and_its_limits(page, tmp_path, monkeypatch, capsys):
    """No name of a student, no mark, nobody else's notebook."""
    write_class(page, tmp_path / "class", 2)
    given = []

    class Here(cluster.Executor):
        def submit(self, task, *arguments):
            given.append((task, arguments))
            future = cluster.Future()
            future.set_result(task(*arguments))
            return future

    @contextmanager
    def executor(address):
        yield cluster.Checked(Here(), 50)

    monkeypatch.setattr(cluster, "executor", executor)
    known = {kind: [300] for kind in ("01_toy", "01_toy, solved")}
    whole.write(tmp_path / "g" / "seconds.json", json.dumps(known))
    table = grade.grade(tmp_path / "class", tmp_path / "g", page_paths=[page.path], unsafe=True, dask="tcp://there:1")
    assert points(table) == expected(2)
    assert ": about 5 minutes" in capsys.readouterr().err  # all at once, on so many workers
    assert len(given) == 3
    for task, (here, run, notebook, _limits) in given:
        assert (task, run, here) == (cluster.carried_out, execute.run, finished.surroundings())
        assert "student-" not in notebook and str(tmp_path) not in notebook and "points" not in notebook
        assert sum(f"student = {i}" in notebook for i in range(2)) <= 1


@pytest.mark.kernel
def test_a_scheduler_without_workers_is_told_from_one_that_is_not_there(scheduler, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 2)
    with pytest.raises(cluster.ClusterError) as refused, cluster.executor(scheduler):
        pass
    assert f"the Dask scheduler at {scheduler} has no workers" in str(refused.value)
    assert f"`dask worker {scheduler} --nthreads 1`" in str(refused.value)


@pytest.mark.kernel
def test_a_worker_with_another_checkout_is_refused(scheduler, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(COURSE / "helpers", other / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "helpers" / "words.py").open("a", encoding="utf-8") as file:
        file.write("# another\n")
    refusal = pytest.raises(cluster.ClusterError)
    with worker(scheduler, tmp_path, course=other), refusal as refused, cluster.executor(scheduler):
        pass
    there, here = finished.surroundings()["the course"], str(refused.value)
    assert f"and not {there}" in here and "the course is" in here and "torch" not in here


class Silent(socketserver.BaseRequestHandler):
    """A server that is no scheduler."""

    def handle(self):
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_no_scheduler_is_one_sentence(monkeypatch, capsys):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "PATIENCE", 2)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for address in ("tcp://127.0.0.1:9", "nowhere", f"tcp://127.0.0.1:{server.server_address[1]}", "ftp://a:1", ""):
            with pytest.raises(cluster.ClusterError) as refused, cluster.executor(address):
                pass
            assert str(refused.value).startswith(f"found no Dask scheduler at {address!r} ("), address
        server.shutdown()


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(cluster.ClusterError, match=r"pip install -e '\.\[cluster\]'"), cluster.executor("tcp://a:1"):
        pass


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (HERE | {"torch": "2.8.0"}, "torch is 2.8.0 and not 2.9.0. Outputs"),
        (
            HERE | {"Python": "3.10.0", "isolation": "none"},
            "Python is 3.10.0 and not 3.12.1, isolation is none",
        ),
        ({}, "Python is not there"),
        (ModuleNotFoundError("No module named 'helpers'"), "ModuleNotFoundError: No module named 'helpers'"),
    ],
)
def test_a_worker_that_differs_is_named_with_what_differs(there, says, monkeypatch):
    monkeypatch.setattr(finished, "surroundings", lambda: HERE)
    cluster.require_alike({"tcp://a:1": HERE})
    with pytest.raises(cluster.ClusterError, match="tcp://b:2") as refused:
        cluster.require_alike({"tcp://a:1": HERE, "tcp://b:2": there})
    assert says in str(refused.value)


def test_a_worker_that_came_later_and_differs_carries_out_nothing():
    with pytest.raises(cluster.ClusterError, match=r"torch is .* and not 0\.1"):
        cluster.carried_out(finished.surroundings() | {"torch": "0.1"}, pytest.fail)
    assert cluster.carried_out(finished.surroundings(), divmod, 7, 4) == (1, 3)


# Shares


def test_every_run_is_in_one_share():
    names = [f"{i * 2654435761 % 2**32:032x}" for i in range(1000)]
    for count in (1, 2, 7, 100):
        held = [[name for name in names if Shard(i, count).holds(name)] for i in range(1, count + 1)]
        assert sorted(chain.from_iterable(held)) == sorted(names)
        assert count == 100 or min(map(len, held)) > 0.7 * len(names) / count


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "0/0", "-1/4", "4", "1/", "/4", "a/b", "1.0/4", "1/4/4", ""])
def test_a_share_that_cannot_be_is_refused(text, capsys):
    with pytest.raises(SystemExit) as refused:
        commands.main(["grade", "class", f"--shard={text}"])
    assert refused.value.code == 2
    assert f"found {text!r}, wanted i/n with i from 1 to n" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--merge"], ["--dask", "tcp://a:1"]])
def test_a_share_is_neither_merged_nor_sent_elsewhere(more, capsys):
    with pytest.raises(SystemExit):
        commands.main(["grade", "class", "--shard", "1/2", *more])
    assert "not allowed with argument" in capsys.readouterr().err


@contextmanager
def here(workers, dask=None):
    """An executor in this process, which has a server for kernels already."""
    with ThreadPoolExecutor(2) as executor:
        yield executor


def files(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.kernel
def test_shares_fill_the_runs_and_merging_records_them(page, tmp_path, monkeypatch, capsys):
    write_class(page, tmp_path / "class", 5)
    monkeypatch.setattr(grade, "executor_on", here)
    into = tmp_path / "grading"
    into.mkdir()
    registry.remember([page], into)
    before = set(files(into))

    def command(*options):
        commands.main(["grade", str(tmp_path / "class"), "--into", str(into), "--unsafe", *options])

    command("--shard", "1/2")
    command("--shard", "1/2")
    says = capsys.readouterr().out
    assert says.count("Share 1/2: ") == 2 and "--merge" in says
    assert {path.parts[0] for path in set(files(into)) - before} == {"runs"}
    with pytest.raises(SystemExit) as refused:
        command("--merge")
    assert "Share 2/2 lacks" in str(refused.value) and "it was not begun; run --shard 2/2" in str(refused.value)
    assert "Share 1/2" not in str(refused.value)

    command("--shard", "2/2")
    whole = files(into)
    assert len([path for path in whole if path.suffix == ".ipynb" and path.parts[0] == "runs"]) == 5 + 1
    command("--shard", "2/2")
    assert {path: stamp for path, stamp in files(into).items() if path.suffix == ".ipynb"} == {
        path: stamp for path, stamp in whole.items() if path.suffix == ".ipynb"
    }
    monkeypatch.setattr(execute, "run", lambda *_: pytest.fail("merging runs nothing"))
    command("--merge")
    paths = [page.path]
    table = grade.grade(tmp_path / "class", into, page_paths=paths, unsafe=True, merge=True)
    assert points(table) == expected(5)
    runs = into / "runs"
    next(path for path in runs.glob("*.ipynb") if Shard(2, 2).holds(path.stem)).unlink()
    with pytest.raises(shards.ShardError, match=r"Share 2/2 lacks 1: it was finished, before .*run --shard 2/2 again"):
        grade.grade(tmp_path / "class", into, page_paths=paths, unsafe=True, merge=True)


def test_a_share_that_is_stopped_is_not_taken_for_whole(tmp_path):
    names = [f"{i:032x}" for i in range(8)]
    with pytest.raises(shards.ShardError, match=r"8 runs of those .*\s+No share was begun: run --shard 1/n"):
        shards.require_all(names, tmp_path)
    Shard(3, 4).files(tmp_path)[1].touch()
    with pytest.raises(shards.ShardError) as refused:
        shards.require_all([name for name in names if int(name, 16) % 4 in (0, 2)], tmp_path)
    assert "Share 1/4 lacks 2: it was not begun; run --shard 1/4." in str(refused.value)
    assert "Share 3/4 lacks 2: it was begun and not finished" in str(refused.value)
    shards.require_all([], tmp_path)
