"""The record of all verdicts shows every change made to it."""

import pytest

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
