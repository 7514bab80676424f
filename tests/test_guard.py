"""A course folder stays whole: a damaged gradebook, a second grader."""

import os
import sqlite3

import pytest

from helpers.course.marks import guard


def gradebook_in(folder):
    path = folder / "gradebook.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE grade (name TEXT)")
        database.executemany("INSERT INTO grade VALUES (?)", [("q" * 200,)] * 500)
    return path


def test_a_second_grader_is_told_of_the_first(tmp_path):
    with guard.one_grader(tmp_path):
        told = pytest.raises(guard.CannotGrade, match=f"being graded by process {os.getpid()} on")
        with told, guard.one_grader(tmp_path):
            pass
    with guard.one_grader(tmp_path):
        pass


@pytest.mark.parametrize("start, length", [(0, 3000), (40_000, 3000), (50, 20)])
def test_a_damaged_gradebook_is_left_alone_and_its_copy_is_named(tmp_path, start, length):
    path = gradebook_in(tmp_path)
    guard.back_up(path)
    [copy] = tmp_path.glob("gradebook.*.db")
    whole = copy.read_bytes()
    data = path.read_bytes()
    damaged = data[:start] + b"\x5a" * length + data[start + length :]
    path.write_bytes(damaged)
    with pytest.raises(guard.CannotGrade, match=f"gradebook.db is damaged .*{copy.name}"):
        guard.back_up(path)
    assert path.read_bytes() == damaged and copy.read_bytes() == whole


def test_a_folder_that_can_be_written_to_is_writable(tmp_path):
    guard.require_writable(tmp_path, after=ValueError())
    assert not list(tmp_path.iterdir())
