"""The record of all verdicts shows every change made to it."""

import os
import subprocess
import sys

import pytest

from helpers import COURSE
from helpers.course import __main__
from helpers.course.marks import ledger


@pytest.fixture
def record(tmp_path):
    for score in (4.0, 2.5, 0.0):
        ledger.append(tmp_path / "ledger.jsonl", {"student": "ada", "score": score})
    return tmp_path / "ledger.jsonl"


def test_an_intact_record_verifies_to_its_last_seal(record):
    last = ledger.append(record, {"student": "bob", "score": 1.0})
    assert ledger.verify(record) == last
    assert len(record.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: [lines[0].replace("4.0", "9.0"), *lines[1:]], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[1], lines[0], lines[2]], 1),
        (lambda lines: [*lines[:2], "not json"], 3),
        (lambda lines: [*lines, "[]"], 4),
    ],
)
def test_a_changed_record_names_the_line(record, change, line):
    record.write_text("\n".join(change(record.read_text().splitlines())) + "\n")
    with pytest.raises(ValueError, match=f"line {line} "):
        ledger.verify(record)


def test_a_record_cut_short_has_another_last_seal(record):
    known = ledger.verify(record)
    record.write_text("".join(line + "\n" for line in record.read_text().splitlines()[:-1]))
    assert ledger.verify(record) != known


def verified(folder, capsys):
    """What the command says of a graded folder, and how it exits."""
    try:
        __main__.main(["verify", str(folder)])
    except SystemExit as end:
        return str(end.code)
    return capsys.readouterr().out.strip()


def test_the_command_says_in_one_sentence_whether_a_record_is_as_it_was_written(record, capsys):
    last = ledger.verify(record)
    assert verified(record.parent, capsys) == f"Every line of {record} is as it was written; the last seal is {last}."
    record.write_text(record.read_text().replace("2.5", "9.5"))
    said = verified(record.parent, capsys)
    assert said == f"{record}: line 2 is not as it was written, or a line before it is missing"
    record.write_text("")
    assert verified(record.parent, capsys) == f"{record}: all lines are missing"
    record.unlink()
    assert verified(record.parent, capsys) == f"found no ledger {record}; wanted one that `make grade` wrote"


def test_the_command_exits_with_an_error_where_a_record_was_changed(record):
    record.write_text(record.read_text().replace("2.5", "9.5"))
    command = [sys.executable, "-m", "helpers.course", "verify", record.parent]
    environment = os.environ | {"PYTHONPATH": str(COURSE)}
    done = subprocess.run(command, cwd=COURSE, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
