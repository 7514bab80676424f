"""Files in, rows out: whatever names and contents a pile has, each file is told of and each student is there."""

import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath

import nbformat
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from helpers.course.intake import kinds, names, platforms, unpack
from helpers.course.intake.collect import collect
from helpers.course.intake.owners import NOBODY
from helpers.course.intake.piles import WORKING, WRAPPERS
from helpers.course.intake.spelling import readable
from tests.handed_out import RELEASE
from tests.piles import NAME, RELEASES, answered, zipped

BLANK, GOOD = nbformat.writes(RELEASE).encode(), answered().encode()
CONTENTS = {
    "good": GOOD,
    "blank": BLANK,
    "cut off": GOOD[:500],
    "empty": b"",
    "{}": b"{}",
    "pdf": b"%PDF-1.7",
    "rar": b"Rar!\x1a",
    "page": b"<html></html>",
    "zeros": bytes(9),
    "png": b"\x89PNG\r\n\x1a\n",
    "csv": b"x,y\n1,2",
    "twice": GOOD + GOOD,
    "windows": GOOD.replace(b"# Title", b"\xe9"),
    "docx": zipped({"[Content_Types].xml": "", "word/a": ""}),
    "no zip": b"PK\x03\x04 no zip",
}
ENDINGS = ["", ".ipynb", ".IPYNB", ".ipynb.txt", ".json", ".pdf", ".csv", ".zip", ".docx", " (1).ipynb", "-Copy1.ipynb"]
ODD = [
    "a\nb",
    "a\u202eb",
    "a\u200fb",
    "\x1b[1m",
    "a\udcff",
    "a\udcfe",
    "CON",
    "nul",
    "aux",
    "ada",
    "Ada",
    "ADA ",
    " ada",
    "ada.",
    "José",
]
ODD += [
    "Jose\u0301",
    "01_saliency",
    "01_saliency_ada",
    "ada_01_saliency",
    "ada_1_2_01_saliency",
    "Ada - x",
    "a_b_c",
    ".hidden",
]
ODD += [
    "HW_ada_attempt_2025-10-10-10-10-10_x",
    "Ada_3_assignsubmission_file",
    "1-2 - Ada - Sep 24, 2024 926 PM",
    "..a",
    "submitted",
]
ODD += [
    "submission_1",
    "__MACOSX",
    "Working files",
    "attempts",
    "timestamp.txt",
    "(unknown)",
    "~",
    "ß",
    "SS",
    "a" * 120,
    "é" * 120,
]

letters = some.characters(exclude_characters="/\\\0:", exclude_categories=["Cs"])
word = some.sampled_from(ODD) | some.text(letters, min_size=1, max_size=8)
leaf = some.builds(lambda stem, ending: (stem + ending)[-100:], word, some.sampled_from(ENDINGS))
place = some.builds(lambda folders, name: "/".join([*folders, name]), some.lists(word, max_size=3), leaf)


def is_possible(path):
    return not any(part in ("", ".", "..") or len(os.fsencode(part)) > 250 for part in path.split("/"))


places = place.filter(is_possible)
flat = some.dictionaries(places, some.sampled_from(sorted(CONTENTS)), max_size=4)


def packed(files):
    """Return files as a zip, as far as names can be written into one."""
    return zipped({path: CONTENTS[each] for path, each in files.items() if path.isprintable() or path.isascii()})


def data_of(content):
    return packed(content) if isinstance(content, dict) else CONTENTS[content]


piles = some.dictionaries(places, some.sampled_from(sorted(CONTENTS)) | flat, min_size=1, max_size=7)


def leaves(path, content):
    """Yield the places of the files in what lies at a place: a zip that intake opens is a folder."""
    if isinstance(content, dict) and unpack.may_be_zip(PurePosixPath(path).name):
        for inner, each in content.items():
            if inner.isprintable() or inner.isascii():
                yield from leaves(f"{path}/{inner}", each)
    elif not (content == "docx" and unpack.is_zip(path)):  # its parts are told of
        yield path


def written(files, folder):
    """Write a pile as a folder; return the files that could be written."""
    done = {}
    for path, content in files.items():
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                continue
            target.write_bytes(data_of(content))
        except OSError:  # a file where a folder should be
            continue
        done[path] = content
    return done


def told(submissions):
    """Return all that is said of a pile."""
    return "\n".join(
        text
        for each in submissions
        for text in [each.student, each.assignment, each.refused, *each.repairs, *(a.name for a in each.attempts)]
    )


def check(submissions, paths):
    keys = [(each.student, each.assignment) for each in submissions]
    assert keys == sorted(set(keys))
    said = told(submissions)
    assert all(line == readable(line) for line in said.split("\n"))
    for path in paths:
        debris = [n for n, part in enumerate(PurePosixPath(path).parts) if unpack.DEBRIS.fullmatch(part)]
        if not debris:
            assert readable(PurePosixPath(path).name) in said, (path, keys)
    for each in submissions:
        assert each.student == NOBODY or not names.impossible(each.student)
        assert (each.notebook is None) == bool(each.refused)


def folders_of_students(paths):
    """Return the folders at the top that no platform, assignment or download named."""
    tops = {PurePosixPath(path).parts[0] for path in paths if len(PurePosixPath(path).parts) > 1}
    collector = platforms.ExportCollector()
    return {
        top
        for top in tops
        if not (collector.collect(f"{top}/") or names.student_and_own_name(top, RELEASES) or unpack.may_be_zip(top))
        and not (WRAPPERS.fullmatch(top) or WORKING.fullmatch(top) or unpack.DEBRIS.fullmatch(top))
        and not platforms.GRADESCOPE.fullmatch(top)
    } | {top for top in tops if top.startswith("a") and top.isalpha()}


def check_students(submissions, tops):
    """No two folders are one student's without a line."""
    students = {each.student for each in submissions} - {NOBODY}
    merged = "are taken for one student's" in told(submissions)
    assert len(students) >= len(tops) or merged


SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.mark.slow
@SETTINGS
@given(piles)
@example({"ada/.ipynb_checkpoints/x.ipynb": "good", "bob/__MACOSX/x": "empty"})
@example({"ada/a.pdf": "pdf", "ada/b.csv": "csv", "ada/01_saliency.ipynb": "good", "ada/02_gradcam.pdf": "pdf"})
@example({"ada/hw": {"01_saliency.ipynb": "good", "x.pdf": "pdf"}, "x.pdf": "pdf", "submitted/x.csv": "empty"})
def test_in_a_folder(files):
    folder = Path(tempfile.mkdtemp())
    try:
        files = {"zed/" + NAME: "good", "yan/" + NAME: "good"} | files
        done = written(files, folder / "class")
        submissions = collect(folder / "class", RELEASES)
        paths = [leaf for path, content in done.items() for leaf in leaves(path, content)]
        check(submissions, paths)
        check_students(submissions, folders_of_students(done))
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
@SETTINGS
@given(piles)
def test_in_a_zip(files):
    folder = Path(tempfile.mkdtemp())
    try:
        files = {"zed/" + NAME: "good", "yan/" + NAME: "good"} | {
            path: content for path, content in files.items() if "\udcff" not in path and "\udcfe" not in path
        }
        data = zipped({path: data_of(each) for path, each in files.items()})
        (folder / "class.zip").write_bytes(data)
        submissions = collect(folder / "class.zip", RELEASES)
        paths = [leaf for path, content in files.items() for leaf in leaves(path, content)]
        check(submissions, paths)
        check_students(submissions, folders_of_students(files))
    finally:
        shutil.rmtree(folder)


def test_folders_however_deep(tmp_path):
    deep = "/".join(["d"] * 1200)
    target = tmp_path / "class" / "ada"
    target.mkdir(parents=True)
    for folder in deep.split("/"):  # at once it would be too deep for Python
        target /= folder
        target.mkdir()
    (target / NAME).write_bytes(GOOD)
    (tmp_path / "class" / "bob").mkdir()
    (tmp_path / "class" / "bob" / NAME).write_bytes(GOOD)
    found = {each.student: each for each in collect(tmp_path / "class", RELEASES)}
    assert not found["ada"].refused
    (tmp_path / "x.zip").write_bytes(zipped({f"ada/{deep}/{NAME}": GOOD, f"bob/{NAME}": GOOD}))
    found = {each.student: each for each in collect(tmp_path / "x.zip", RELEASES)}
    assert not found["ada"].refused
    shutil.rmtree(tmp_path / "class" / "ada" / "/".join(["d"] * 600))


@pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
def test_kinds_of_whatever_bytes(data):
    for end in range(0, len(data), max(1, len(data) // 40)):
        assert kinds.kind(data[:end]).isprintable()
