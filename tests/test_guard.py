"""A course folder stays whole: whatever stops a grading, nothing is lost, one sentence says so, and it can go on."""

import errno
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest
from nbgrader.api import Gradebook

from helpers import COURSE
from helpers.course import __main__, whole
from helpers.course.marks import guard, ledger
from helpers.course.pages import registry
from tests import strange
from tests.submissions import RIGHT, filled, hand_in


def gradebook_in(folder):
    path = folder / "gradebook.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE grade (name TEXT)")
        database.executemany("INSERT INTO grade VALUES (?)", [("q" * 200,)] * 500)
    return path


def give_mark(into, score=2.5):
    with Gradebook(f"sqlite:///{into}/gradebook.db") as gradebook:
        marked = gradebook.find_grade("q_half", "01_toy", "01_toy", "ada")
        marked.manual_score, marked.needs_manual_grade = score, False  # as formgrader does
        gradebook.db.commit()


def scores(table, student="ada"):
    return {row["question"]: row["score"] for row in table if row["student"] == student}


MARKED = {"test_double": "4", "test_half": "2", "q_half": "2.5"}


# ------------------------------------------------------------------------------------------------ a second grader


def test_a_second_grader_is_told_of_the_first(tmp_path):
    with guard.one_grader(tmp_path):
        told = pytest.raises(guard.CannotGrade, match=f"being graded by process {os.getpid()} on")
        with told, guard.one_grader(tmp_path):
            pass
    with guard.one_grader(tmp_path):
        pass


@pytest.mark.slow
def test_the_command_says_in_one_sentence_who_is_at_work(toys, tmp_path):
    hand_in(filled(toys["01_toy"], RIGHT), tmp_path / "class", "ada")
    registry.remember(toys.values(), tmp_path)
    with guard.one_grader(tmp_path):
        done = started(tmp_path / "class", tmp_path)
        _, said = done.communicate(timeout=120)
    assert done.returncode == 1
    wanted = rf"{tmp_path} is being graded by process {os.getpid()} on \S+; wait for it, or grade into another folder"
    assert re.fullmatch(wanted, said.strip())


# ------------------------------------------------------------------------------------------------ a damaged gradebook


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"\x5a" * 3000 + data[3000:],
        lambda data: data[:40_000] + b"\x5a" * 3000 + data[43_000:],
        lambda data: data[:50] + b"\x5a" * 20 + data[70:],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"a text",
    ],
    ids=["the head", "the middle", "the header", "half of it", "empty", "no database"],
)
def test_a_damaged_gradebook_is_left_alone_and_its_copy_is_named(tmp_path, damage):
    path = gradebook_in(tmp_path)
    guard.back_up(path)
    [copy] = tmp_path.glob("gradebook.*.db")
    copied = copy.read_bytes()
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(guard.CannotGrade, match=f"gradebook.db is damaged .*{copy.name}"):
        guard.back_up(path)
    assert path.read_bytes() == damaged and copy.read_bytes() == copied


def test_copies_of_the_last_days_are_kept(tmp_path):
    path = gradebook_in(tmp_path)
    days = [tmp_path / f"gradebook.2020-01-{day:02}.db" for day in range(1, 13)]
    for day in days:
        day.touch()
    guard.back_up(path)
    kept = sorted(tmp_path.glob("gradebook.*.db"))
    assert len(kept) == guard.BACKUPS and kept[:-1] == days[-guard.BACKUPS + 1 :]


def test_marks_by_hand_come_back_with_the_copy(toys, grade_class, tmp_path):
    into = tmp_path / "grading"
    hand_in(filled(toys["01_toy"], RIGHT), tmp_path / "class", "ada")
    grade_class(tmp_path / "class", into)
    give_mark(into)
    grade_class(tmp_path / "class", into)
    book = into / "gradebook.db"
    book.write_bytes(book.read_bytes()[:5000])
    with pytest.raises(guard.CannotGrade, match="is damaged") as told:
        grade_class(tmp_path / "class", into)
    [copy] = [path for path in into.glob("gradebook.*.db") if path.name in str(told.value)]
    copy.replace(book)
    assert scores(grade_class(tmp_path / "class", into)) == MARKED


# ------------------------------------------------------------------------------------------------ a disk that fails


def test_a_folder_that_can_be_written_to_is_writable(tmp_path):
    guard.require_writable(tmp_path, after=ValueError())
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_whole_is_as_it_was(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "a.txt"
    whole.write(path, "before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError) as failed:
            whole.write(path, "x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert guard.disk_failure(failed.value) and path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_ledger_takes_a_line_whole_or_not_at_all(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "ledger.jsonl"
    last = ledger.append(path, {"student": "ada"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    try:
        with pytest.raises(OSError) as failed:
            ledger.append(path, {"student": "bob"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert guard.disk_failure(failed.value) and ledger.verify(path) == last
    assert ledger.verify(path) != ledger.append(path, {"student": "bob"}) == ledger.verify(path)


def test_wherever_the_disk_fills_up_the_next_grading_goes_on(toys, grade_class, tmp_path, monkeypatch):
    into, page = tmp_path / "grading", toys["01_toy"]
    hand_in(filled(page, RIGHT), tmp_path / "class", "ada")
    grade_class(tmp_path / "class", into)
    give_mark(into)
    hand_in(filled(page, RIGHT | {"half": page.mutants("half")[0].source}), tmp_path / "class", "ada")
    plain, calls = whole.write, []

    def full(path, content):
        calls.append(path)
        if len(calls) == allowed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        plain(path, content)

    monkeypatch.setattr(whole, "write", full)
    failed = []
    for allowed in range(1, 40):  # noqa: B007 (read by `full`)
        calls.clear()
        try:
            table = grade_class(tmp_path / "class", into)
        except OSError as error:
            assert error.errno == errno.ENOSPC
            failed.append(calls[-1].name)
        else:
            break
    assert {"01_toy.ipynb", "01_toy.json", "01_toy.txt", "grades.csv"} <= set(failed)
    assert scores(table) == MARKED | {"test_half": "0"}
    assert ledger.verify(into / "ledger.jsonl")


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own."""
    if sys.platform != "linux" or os.getuid():
        pytest.skip("only root on Linux may mount a disk")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place]).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def told(handed_in, into):
    """What the command says when it cannot go on."""
    with pytest.raises(SystemExit) as end:
        __main__.main(["grade", str(handed_in), "--into", str(into), "--workers", "1", "--unsafe"])
    return str(end.value)


KEPT = "What was finished before is kept; grade again when it can be written."


def test_a_full_or_read_only_disk_is_told_in_one_sentence(toys, grade_class, tmp_path, disk):
    into, page = disk / "grading", toys["01_toy"]
    hand_in(filled(page, RIGHT), tmp_path / "class", "ada")
    grade_class(tmp_path / "class", into)
    give_mark(into)
    hand_in(filled(page, RIGHT | {"half": page.mutants("half")[0].source}), tmp_path / "class", "ada")
    hand_in(filled(page, RIGHT), tmp_path / "class", "bob")
    filler = disk / "filler"
    for free in (0, 40_000, 100_000):
        facts = os.statvfs(disk)
        filler.write_bytes(bytes(facts.f_bavail * facts.f_frsize - free))
        said = told(tmp_path / "class", into)
        assert re.fullmatch(rf"\S+: No space left on device\. {KEPT}", said), (free, said)
        filler.unlink()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    said = told(tmp_path / "class", into)
    assert re.fullmatch(rf"\S+: Read-only file system\. {KEPT}", said), said
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    table = grade_class(tmp_path / "class", into)
    assert scores(table) == MARKED | {"test_half": "0"}
    assert scores(table, "bob") == MARKED | {"q_half": ""}
    assert ledger.verify(into / "ledger.jsonl")


# ------------------------------------------------------------------------------------------------ Ctrl-C


def started(handed_in, into):
    """`make grade`, as a process in a group of its own."""
    command = [sys.executable, "-m", "helpers.course", "grade", handed_in, "--into", into, "--workers", "1", "--unsafe"]
    environment = os.environ | {"PYTHONPATH": str(COURSE)}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, cwd=COURSE, start_new_session=True, preexec_fn=heeding, **pipes)


def heeding():
    """Heed Ctrl-C, which what runs in the background does not, nor what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.kernel
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kept", "least"), [("runs/*.ipynb", 2), ("recorded/*/*.txt", 1)], ids=["while running", "while recording"]
)
def test_ctrl_c_ends_in_one_line_and_the_same_command_goes_on(toys, tmp_path, kept, least):
    into = tmp_path / "grading"
    pause = 1 if kept.startswith("runs") else 0
    students = {
        f"student-{i}": (strange.notebook(RIGHT, strange.code(f"import time; time.sleep({pause}); {i}")), 4, 2, "")
        for i in range(6)
    }
    strange.write_class(tmp_path / "class", toys["01_toy"], students)
    registry.remember([toys["01_toy"]], into)
    first = started(tmp_path / "class", into)
    deadline = time.monotonic() + 200
    while len(list(into.glob(kept))) < least and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    children = psutil.Process(first.pid).children(recursive=True)
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does
    _, said = first.communicate(timeout=60)
    assert first.returncode == 130 and "Traceback" not in said
    runs, pages = (len(list(into.glob(pattern))) for pattern in ("runs/*.ipynb", "recorded/*/*.txt"))
    line = re.escape(f"Stopped. {into} keeps {runs} finished runs and {pages} recorded notebook")
    assert re.fullmatch(rf"{line}s?; the same command goes on from there\.", said.strip().splitlines()[-1]), said
    assert psutil.wait_procs(children, timeout=20)[1] == []
    before = {path: path.stat().st_mtime_ns for path in (*into.glob("runs/*.ipynb"), *into.glob("recorded/*/*.txt"))}
    assert 2 <= runs < 7 if pause else 1 <= pages < 6

    second = started(tmp_path / "class", into)
    assert (second.communicate(timeout=300), second.returncode)[1] == 0
    assert all(path.stat().st_mtime_ns == written for path, written in before.items())
    assert (into / "totals.csv").read_text("utf-8").count(",6.0,9.0,1") == 6
    lines = (into / "ledger.jsonl").read_text("utf-8").splitlines()
    # What was being recorded is recorded again.
    assert ledger.verify(into / "ledger.jsonl") and 6 <= len(lines) <= 7
