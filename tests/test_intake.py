"""From any pile of files to submissions, with a line for everything that was put right or refused."""

import copy
import os
import stat
import zipfile
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from traitlets.config import Config

from helpers import COURSE
from helpers.course import grade
from helpers.course.intake import names, unpack
from helpers.course.intake.answers import is_as_released
from helpers.course.intake.collect import IntakeError, collect
from helpers.course.intake.owners import NOBODY
from helpers.course.intake.repair import repair
from helpers.handin.assignment import NOT_ANSWERED
from tests.handed_out import RELEASE, F, G
from tests.piles import NAME, OTHER, RELEASES, answered, collected, pile, source_of, students, text_of, zipped
from tests.submissions import RIGHT, cell, filled

# ------------------------------------------------------------------------------------------------ layouts


@pytest.mark.parametrize(
    "layout",
    [
        "{}/01_saliency.ipynb",
        "{}/01_saliency/01_saliency.ipynb",
        "submitted/{}/01_saliency/01_saliency.ipynb",
        "submissions/{}/01_saliency.ipynb",
        "{}/week 1/final/Copy of 01_saliency (1).ipynb",
        "{}_01_saliency.ipynb",
        "01_saliency-{}.ipynb",
        "{} - 01_saliency.ipynb",  # Google Classroom
        "{}_77_assignsubmission_file_/01_saliency.ipynb",  # Moodle
        "{}_77_assignsubmission_file/01_saliency.ipynb",
        "{}_77_assignsubmission_file/sub folder/01_saliency.ipynb",
        "{}_77_assignsubmission_file_01_saliency.ipynb",
    ],
)
def test_every_layout_is_known_as_a_folder_and_as_a_zip(tmp_path, layout):
    class_ = ["Ada Lovelace", "Łukasz 李", "[ab]*"]
    files = {layout.format(student): answered() for student in class_}
    files |= {"__MACOSX/._x.ipynb": "junk", ".DS_Store": "junk"}
    assert students(pile(tmp_path / "class", files)) == sorted(class_)
    (tmp_path / "class.zip").write_bytes(zipped(files))
    assert students(tmp_path / "class.zip") == sorted(class_)
    wrapped = {f"class/{name}": content for name, content in files.items()}
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "class.zip").write_bytes(zipped(wrapped))
    assert students(tmp_path / "download") == sorted(class_)


def test_canvas(tmp_path):
    files = {
        "lovelaceada_LATE_12345_67890_01_saliency-2.ipynb": answered(),
        "gaussc_23456_67891_01_saliency.ipynb": answered(),
        "gaussc_99999_67892_01_saliency.ipynb": answered(),
        "abel_late_34567_67893_homework.zip": zipped({"homework/01_saliency.ipynb": answered()}),
        "anon_aB3dE_67894_01_saliency.ipynb": answered(),
    }
    (tmp_path / "submissions.zip").write_bytes(zipped(files))
    found = collected(tmp_path / "submissions.zip")
    assert [student for student, _ in found] == [
        "abel_34567",
        "anon_aB3dE",
        "gaussc_23456",
        "gaussc_99999",
        "lovelaceada_12345",
    ]
    late = "notebook: the platform calls it late, but not by how much; no penalty is computed"
    assert [item.repairs for item in found.values()] == [[late], [], [], [], [late]]
    assert [item.time for item in found.values()] == [None] * 5


def test_canvas_counts_the_highest_upload_number_whatever_the_dates_of_the_download_are(tmp_path):
    files = {
        "ada_1_900_01_saliency-1.ipynb": (answered(text_of("new")), datetime(2025, 1, 1)),
        "ada_1_800_01_saliency.ipynb": (answered(text_of("old")), datetime(2025, 1, 2)),
    }
    ada = collected(pile(tmp_path, files))["ada_1", "01_saliency"]
    assert source_of(ada) == text_of("new")
    assert "ada_1_900_01_saliency-1.ipynb" in ada.repairs[0] and "the platform's upload number" in ada.repairs[0]


def test_moodle_tells_two_students_of_one_name_apart_and_knows_one_in_two_assignments(tmp_path):
    other = nbformat.writes(OTHER)
    files = {
        "Li Wei_1_assignsubmission_file/01_saliency.ipynb": answered(),
        "Li Wei_2_assignsubmission_file/01_saliency.ipynb": answered(),
        "Ada_3_assignsubmission_file/01_saliency.ipynb": answered(),
        "Ada_4_assignsubmission_file/02_gradcam.ipynb": other,
        "Ada_4_assignsubmission_onlinetext/onlinetext.html": "",
    }
    found = collected(pile(tmp_path / "class", files))
    assert list(found) == [
        ("Ada", "01_saliency"),
        ("Ada", "02_gradcam"),
        ("Li Wei_1", "01_saliency"),
        ("Li Wei_2", "01_saliency"),
    ]
    files = {f"Li Wei_{n}_assignsubmission_file/{name}.ipynb": answered() for n, name in ((1, "x"), (2, "01_saliency"))}
    assert students(pile(tmp_path / "other", files)) == ["Li Wei_1", "Li Wei_2"]


METADATA = """
submission_1:
  :submitters:
  - :name: Ada
    :sid: 's1'
    :email: ada@example.org
  :created_at: 2025-03-02 10:00:00.123456000 Z
submission_2:
  :submitters:
  - :name: Bob
    :sid: ''
    :email: bob@example.org
  - :name: Carl
    :sid:
"""


@pytest.mark.parametrize("wrapper", ["", "assignment_8046601_export/"])
def test_gradescope(tmp_path, wrapper):
    files = {f"{wrapper}submission_{n}/01_saliency.ipynb": answered() for n in (1, 2, 3)}
    files[f"{wrapper}submission_metadata.yml"] = METADATA
    # A student cannot speak for another.
    files[f"{wrapper}submission_3/submission_metadata.yml"] = METADATA.replace("submission_1", "submission_9")
    files[f"{wrapper}submission_3/submission_9/01_saliency.ipynb"] = answered()
    (tmp_path / "x.zip").write_bytes(zipped(files))
    found = collected(tmp_path / "x.zip")
    assert [student for student, _ in found] == ["Carl", "bob@example.org", "s1", "submission_3"]
    assert found["s1", "01_saliency"].time == datetime(2025, 3, 2, 10, 0, 0, 123456)


def test_gradescope_without_readable_names_is_an_error(tmp_path):
    files = {"submission_1/01_saliency.ipynb": answered(), "submission_metadata.yml": "!!python/object:os.system {}"}
    with pytest.raises(IntakeError, match=r"submission_metadata\.yml is no YAML"):
        collect(pile(tmp_path, files), RELEASES)


def test_blackboard_and_a_pattern_of_the_instructors_own(tmp_path):
    files = {
        "Week 1_ada_attempt_2025-03-01-10-00-00_01_saliency.ipynb": answered(text_of(1)),
        "Week 1_ada_attempt_2025-03-02-09-00-00_01_saliency.ipynb": answered(text_of(2)),
    }
    ada = collected(pile(tmp_path / "blackboard", files))["ada", "01_saliency"]
    assert source_of(ada) == text_of(2) and ada.time == datetime(2025, 3, 2, 9)
    config = Config()
    config.FileNameCollectorPlugin.named_regexp = r"u(?P<student_id>\d+)/(?P<timestamp>[0-9-]+)/(?P<file_id>.+)"
    files = {"u7/2025-03-01/01_saliency.ipynb": answered(), "u8/2025-03-01/01_saliency.ipynb": answered()}
    found = collected(pile(tmp_path / "own", files), config=config)
    assert [(student, item.time) for (student, _), item in found.items()] == [
        ("7", datetime(2025, 3, 1)),
        ("8", datetime(2025, 3, 1)),
    ]


def test_each_student_may_hand_in_a_zip(tmp_path):
    files = {
        "ada.zip": zipped({"01_saliency.ipynb": answered()}),
        "bob (1).zip": zipped({"homework/data/x.csv": "1", "homework/01_saliency.ipynb": answered()}),
        "Carl/work.ZIP": zipped({"01_saliency.ipynb": answered()}),
        "Dora_5_assignsubmission_file_/work.zip": zipped({"01_saliency.ipynb": answered()}),
    }
    assert students(pile(tmp_path / "class", files)) == ["Carl", "Dora", "ada", "bob"]
    assert students(pile(tmp_path / "one", {"ada.zip": zipped({"01_saliency.ipynb": answered()})})) == ["ada"]
    files = {f"2025-00{n}.zip": zipped({"01_saliency.ipynb": answered()}) for n in (1, 2)}
    assert students(pile(tmp_path / "numbers", files)) == ["2025-001", "2025-002"]


@pytest.mark.parametrize(
    "name, student, number",
    [
        ("ada_01_saliency-2.ipynb", "ada", 2),
        ("2025-001_01_saliency (3).ipynb", "2025-001", 3),
        ("01_saliency_2025-001.ipynb", "2025-001", 0),
        ("Copy of group_3_01_saliency.ipynb", "group_3", 0),
        ("01_saliency-Copy1.ipynb", NOBODY, 1),
        ("01_saliency (1).ipynb", NOBODY, 1),
        ("01_saliency-2.ipynb", NOBODY, 2),
    ],
)
def test_a_flat_name_tells_student_and_copy_apart(tmp_path, name, student, number):
    (item,) = collect(pile(tmp_path, {name: answered()}), RELEASES)
    assert item.student == student and bool(item.refused) == (student == NOBODY)
    assert student == NOBODY or item.attempts[0].order == (0, number)


# ------------------------------------------------------------------------------------------------ whose


def test_names_inside_a_students_own_folder_or_zip_never_make_it_anothers(tmp_path):
    late = datetime(2030, 1, 1)
    forged = {
        "bob/01_saliency.ipynb": (answered(text_of("forged")), late),
        "bob_1_2_01_saliency.ipynb": (answered(text_of("forged")), late),
        "bob_7_assignsubmission_file_/01_saliency.ipynb": (answered(text_of("forged")), late),
    }
    files = {f"mallory/{name}": content for name, content in forged.items()}
    files |= {"mallory/x.zip": zipped(forged), "bob/01_saliency.ipynb": answered()}
    files["mallory_3_4_bob_1_2_01_saliency.ipynb"] = answered()
    files["Mallory_3_assignsubmission_file_bob_3_assignsubmission_file_01_saliency.ipynb"] = answered()
    files["Mallory - bob - 01_saliency.ipynb"] = answered()
    found = collected(pile(tmp_path, files))
    assert {student for student, _ in found} == {"mallory", "bob", "mallory_3", "Mallory"}
    assert source_of(found["bob", "01_saliency"]) == F


def test_a_zip_beside_others_that_looks_like_a_class_is_not_taken_for_one_student(tmp_path):
    class_ = {f"{name}_1_2_01_saliency.ipynb": answered() for name in ("ada", "bob")}
    folders = {f"{name}/01_saliency.ipynb": answered() for name in ("ada", "bob", "carl")}
    files = {"a.zip": zipped(class_), "b.zip": zipped(folders), "dora.zip": zipped({NAME: answered()})}
    found = collected(pile(tmp_path, files))
    assert found["dora", "01_saliency"].refused == ""
    for student in "ab":
        assert "looks like the export of a whole class; grade it on its own" in found[student, student].refused


def test_a_class_one_folder_further_down_is_an_error_that_says_what_to_grade(tmp_path):
    files = {f"week 1/{name}/01_saliency.ipynb": answered() for name in ("ada", "bob")}
    with pytest.raises(IntakeError, match=r"holds one folder, week 1, .*\n?.*grade .*class/week 1"):
        collect(pile(tmp_path / "class", files), RELEASES)


def test_files_that_are_nobodys_are_reported_once_each(tmp_path):
    files = {NAME: answered(), "notes (2).ipynb": answered(), "ada/01_saliency.ipynb": answered(), "list.csv": "1"}
    files |= {"noether.pdf": "%PDF-1.7", "hilbert.rar": b"Rar!\x1a", "01_saliency.zip": zipped({NAME: answered()})}
    found = collected(pile(tmp_path, files))
    nobodys = [name for student, name in found if student == NOBODY]
    assert nobodys == [NAME, NAME + " [2]", "hilbert.rar", "list.csv", "noether.pdf", "notes (2).ipynb"]
    assert found["ada", "01_saliency"].refused == ""
    wanted = "Wanted <student>/<notebook>.ipynb or <student>_<assignment>.ipynb"
    assert found[NOBODY, NAME].refused == f"whose is {NAME}? {wanted}"
    assert found[NOBODY, NAME + " [2]"].refused == f"whose is 01_saliency.zip/{NAME}? {wanted}"
    assert found[NOBODY, "noether.pdf"].refused == "noether.pdf (a PDF) is no notebook, and nobody's by its name"
    assert found[NOBODY, "list.csv"].refused == "list.csv is no notebook, and nobody's by its name"


ODD_NAMES = ["a" * 101, "ü" * 101, "\x1b[31mred", "a\u202eb", "a\u200eb", "line\nbreak", "line\tbreak", " . ", "a\\b"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_student_whose_name_cannot_be_kept_is_graded_under_one_like_it(tmp_path, name):
    files = {f"{name}/{NAME}": answered(), f"ada/{NAME}": answered()}
    (tmp_path / "x.zip").write_bytes(zipped(files))
    found = {item.student: item for item in collect(tmp_path / "x.zip", RELEASES)}
    (other,) = set(found) - {"ada"}
    assert not names.impossible(other) and other.isprintable()
    assert found[other].refused == "" and source_of(found[other]) == F
    if name != "a\\b":  # which is a folder in a folder, as Windows writes it
        assert f"the student is called {other!r}" in found[other].repairs[0]


def test_names_that_look_the_same_are_different_students(tmp_path):
    spellings = ["ab", "a\nb", "a\tb", "a\x00b", "a\u202eb", "a\u200fb", "a_b", "a?b", "Ab", "a b", "a\xadb"]
    (tmp_path / "x.zip").write_bytes(zipped({f"{name}/{NAME}": answered() for name in spellings if "\0" not in name}))
    found = collected(tmp_path / "x.zip")
    assert len(found) == len(spellings) - 1 and not any(item.refused for item in found.values())
    assert "notebook: 'ab' and 'Ab' are taken for different students" in found["ab", "01_saliency"].repairs
    raw = [b"a\xff", b"a\xfe", b"a?"]
    for name in raw:
        folder = os.fsencode(tmp_path / "class") + b"/" + name
        os.makedirs(folder)  # noqa: PTH103
        with open(folder + b"/01_saliency.ipynb", "w") as file:  # noqa: PTH123
            file.write(answered())
    found = collected(tmp_path / "class")
    assert len(found) == 3 and not any(item.refused for item in found.values())


@pytest.mark.parametrize("name", ["", ".", "..", ".ada", "a/b", "a\\b", "a\x00", "ü" * 101])
def test_a_name_that_would_be_a_path_is_impossible(name):
    assert names.impossible(name).startswith("a student's name")


def test_one_name_in_two_unicode_forms_is_one_student(tmp_path):
    files = {"Jose\u0301/01_saliency.ipynb": answered(), "Jos\u00e9/01_saliency (1).ipynb": answered()}
    (tmp_path / "x.zip").write_bytes(zipped(files))
    assert students(tmp_path / "x.zip") == ["Jos\u00e9"]


# ------------------------------------------------------------------------------------------------ which assignment


@pytest.mark.parametrize(
    "name, number",
    [
        ("01_saliency.ipynb", 0),
        ("01_Saliency.IPYNB", 0),
        ("01 saliency.ipynb.txt", 0),
        ("Copy of Copy of 01_saliency (1).ipynb", 1),
        ("Kopie von 01_saliency.ipynb", 0),
        ("01_saliency(2).ipynb", 2),
        ("01_saliency (3).ipynb.json", 3),
        ("01_saliency-Copy4.ipynb", 4),
        ("01_saliency - Copy.ipynb", 1),
        ("01_saliency copy 5.ipynb", 5),
        ("01_saliency-6.ipynb", 6),
    ],
)
def test_a_renamed_notebook_is_known_by_its_name(tmp_path, name, number):
    assert names.plain(name)[1] == number
    (ada,) = collected(pile(tmp_path, {f"ada/{name}": answered()})).values()
    assert (ada.assignment, ada.refused) == ("01_saliency", "")
    assert ada.repairs == ([f"notebook: its file is named {name!r}; taken for 01_saliency"] if name != NAME else [])


def test_a_notebook_of_any_name_is_known_by_its_cells(tmp_path):
    (ada,) = collected(pile(tmp_path, {"ada/final version.ipynb": answered()})).values()
    assert (ada.assignment, ada.refused) == ("01_saliency", "")
    assert ada.repairs == ["notebook: its file is named 'final version.ipynb'; taken for 01_saliency"]


def test_a_notebook_of_another_assignment_is_refused(tmp_path):
    foreign = nbformat.writes(new_notebook(cells=[new_markdown_cell("My diary")]))
    files = {
        "ada/01_saliency.ipynb": nbformat.writes(OTHER),
        "bob/01_saliency.ipynb": foreign,
        "carl/diary.ipynb": foreign,
        "dora/01_saliency/diary.ipynb": foreign,
    }
    found = {student: item.refused for (student, _), item in collected(pile(tmp_path, files)).items()}
    assert found == {
        "ada": f"{NAME} has the cells of 02_gradcam, not of 01_saliency, which its name says; hand it in as 02_gradcam",
        "bob": f"{NAME} has none of the graded cells of 01_saliency, which its name says",
        "carl": "diary.ipynb is the notebook of no assignment; known are 01_saliency, 02_gradcam",
        "dora": "diary.ipynb has none of the graded cells of 01_saliency, which its name says",
    }


# ------------------------------------------------------------------------------------------------ which attempt


def test_the_latest_attempt_counts_and_all_are_kept_as_they_were(tmp_path):
    times = {1: datetime(2025, 3, 1), 3: datetime(2025, 3, 3), 2: datetime(2025, 3, 2)}
    texts = {n: answered(text_of(n)) for n in times}
    files = {f"ada/try {n}/01_saliency.ipynb": (texts[n], times[n]) for n in times} | {f"bob/{NAME}": answered()}
    ada = collected(pile(tmp_path / "class", files))["ada", "01_saliency"]
    assert source_of(ada) == text_of(3) and ada.time is None  # a file's date is no proof of lateness
    line = "notebook: 3 attempts; 01_saliency.ipynb of 2025-03-03 00:00:00 UTC counts, the latest by the file's date"
    assert ada.repairs == [line]
    for _ in range(2):
        grade.keep(ada, tmp_path / "grading")
    place = tmp_path / "grading" / "submitted" / "ada" / "01_saliency"
    kept = sorted((place / "attempts").iterdir())
    assert [path.read_text() for path in kept] == [texts[1], texts[2], texts[3]]
    assert [path.name[:17] for path in kept] == [f"2025-03-0{n}T000000" for n in (1, 2, 3)]
    assert nbformat.read(place / NAME, 4).cells[3].source == text_of(3)
    assert (tmp_path / "grading" / "repairs" / "ada" / "01_saliency.txt").read_text() == line + "\n"
    assert not (place / "timestamp.txt").exists()


def two_answers(text):
    notebook = nbformat.reads(answered(text), 4)
    notebook.cells[6].source = G
    return nbformat.writes(notebook)


def test_of_attempts_of_one_time_the_assignments_own_name_counts_then_the_answers_then_the_number(tmp_path):
    when = datetime(2025, 3, 1)
    copies = {suffix: (answered(text_of(suffix)), when) for suffix in (" (2)", " (10)", "-Copy1")}
    files = {f"own/01_saliency{suffix}.ipynb": each for suffix, each in copies.items()}
    files |= {f"answers/01_saliency{suffix}.ipynb": each for suffix, each in copies.items()}
    files |= {f"number/01_saliency{suffix}.ipynb": each for suffix, each in copies.items()}
    files["own/01_saliency.ipynb"] = (answered(text_of("own")), when)
    files["answers/01_saliency (2).ipynb"] = (two_answers(text_of("more")), when)
    found = {student: item for (student, _), item in collected(pile(tmp_path, files)).items()}
    assert {student: source_of(item) for student, item in found.items()} == {
        "own": text_of("own"),
        "answers": text_of("more"),
        "number": text_of(" (10)"),
    }
    assert found["own"].repairs[0].endswith("counts, of equal date the one with the name of the assignment")
    assert found["answers"].repairs[0].endswith("counts, of equal date the one with the most answers")
    assert found["number"].repairs[0].endswith("the one with the highest number in its name")


UNTOUCHED = nbformat.writes(RELEASE)


@pytest.mark.parametrize("day", [1, 2, 3])
@pytest.mark.parametrize(
    "platform", ["{}/x{}/01_saliency.ipynb", "HW_{}_attempt_2025-03-0{}-10-00-00_01_saliency.ipynb"]
)
def test_an_untouched_copy_beats_no_answered_attempt(tmp_path, day, platform):
    files = {platform.format("ada", n): (answered(text_of(n)), datetime(2025, 3, n)) for n in (1, 2, 3)}
    files[platform.format("ada", day)] = (UNTOUCHED, datetime(2025, 3, day))
    files[platform.format("bob", 1)] = answered()
    ada = collected(pile(tmp_path, files))["ada", "01_saliency"]
    assert source_of(ada) == text_of(2 if day == 3 else 3)
    assert ("others answer nothing" in ada.repairs[0]) == (day == 3)


def test_an_untouched_copy_that_comes_along_is_refused_and_alone_it_is_graded(tmp_path):
    files = {"ada/01_saliency.ipynb": answered(), "ada/02_gradcam.ipynb": nbformat.writes(OTHER)}
    files |= {"bob/01_saliency.ipynb": UNTOUCHED, "bob/02_gradcam.ipynb": nbformat.writes(OTHER)}
    found = collected(pile(tmp_path, files))
    assert found["ada", "01_saliency"].refused == ""
    said = "02_gradcam.ipynb is as it was handed out; an untouched copy is no submission"
    assert found["ada", "02_gradcam"].refused == said
    assert {item.refused for (student, _), item in found.items() if student == "bob"} == {""}


@pytest.mark.parametrize("page", ["01_saliency", "07_writeup"])
def test_a_page_is_known_as_handed_out_by_another_release_too(page):
    """Its cells are known by their ids and checksums; a word of a student's in any of them is seen."""
    handed_out = nbformat.read(COURSE / "notebooks" / f"{page}.ipynb", 4)
    release = nbformat.read(COURSE / "notebooks" / f"{page}.ipynb", 4)
    for each in release.cells:
        each.source = f"Reworded. {each.source}"
    assert is_as_released(handed_out, release)
    for n, each in enumerate(handed_out.cells):
        if not each.id.startswith(("expected-", "colab-badge", "before-you", "hand-in")):
            changed = copy.deepcopy(handed_out)
            changed.cells[n].source += "\nMine."
            assert not is_as_released(changed, release), each.id


def test_the_dates_in_a_zip_tell_the_latest_attempt(tmp_path):
    files = {
        "ada/a/01_saliency.ipynb": (answered(text_of("new")), datetime(2025, 3, 2)),
        "ada/b/01_saliency.ipynb": (answered(text_of("old")), datetime(2025, 3, 1)),
        "bob/01_saliency.ipynb": answered(),
    }
    (tmp_path / "x.zip").write_bytes(zipped(files))
    ada = collected(tmp_path / "x.zip")["ada", "01_saliency"]
    assert source_of(ada) == text_of("new") and "the latest by the date in the zip" in ada.repairs[0]


def test_where_the_latest_attempt_cannot_be_graded_the_one_before_counts_and_it_is_said(tmp_path):
    files = {
        "ada/01_saliency.ipynb": (answered(), datetime(2025, 3, 1)),
        "ada/01_saliency (1).ipynb": ("{", datetime(2025, 3, 2)),
    }
    (ada,) = collected(pile(tmp_path / "class", files)).values()
    assert ada.refused == "" and source_of(ada) == F
    assert ada.repairs[0].startswith("notebook: 2 attempts; 01_saliency.ipynb of 2025-03-01")
    assert ada.repairs[1].startswith(
        "notebook: a later attempt cannot be graded: 01_saliency (1).ipynb cannot be read as a notebook: it is not JSON"
    )
    grade.keep(ada, tmp_path)
    assert len(list((tmp_path / "submitted/ada/01_saliency/attempts").iterdir())) == 2


def test_a_time_that_is_certain_becomes_nbgraders_timestamp(tmp_path):
    files = {"submitted/ada/01_saliency/01_saliency.ipynb": answered()}
    files["submitted/ada/01_saliency/timestamp.txt"] = "2025-03-01 12:00:00 Europe/Berlin"
    files["submitted/bob/01_saliency.ipynb"] = answered()
    files["submitted/bob/timestamp.txt"] = "1999-01-01"  # not where nbgrader puts it
    found = collected(pile(tmp_path, files))
    assert found["bob", "01_saliency"].time is None
    ada = found["ada", "01_saliency"]
    assert ada.time == datetime(2025, 3, 1, 11)
    grade.keep(ada, tmp_path / "grading")
    stamp = tmp_path / "grading/submitted/ada/01_saliency/timestamp.txt"
    assert names.utc(stamp.read_text().strip()) == ada.time


def test_what_grading_kept_can_be_graded_again_and_stays(tmp_path):
    files = {"ada/Copy of 01_saliency.ipynb": answered(), "ada/01_saliency.ipynb": ("{", datetime(2020, 1, 1))}
    (ada,) = collected(pile(tmp_path / "class", files)).values()
    grade.keep(ada, tmp_path / "grading")
    before = {path: path.read_bytes() for path in (tmp_path / "grading").rglob("*") if path.is_file()}
    (again,) = collected(tmp_path / "grading").values()
    grade.keep(again, tmp_path / "grading")
    assert again.repairs == ada.repairs and again.notebook == ada.notebook
    assert {path: path.read_bytes() for path in (tmp_path / "grading").rglob("*") if path.is_file()} == before


def test_the_same_pile_gives_the_same_submissions(tmp_path):
    notebook = nbformat.from_dict(nbformat.reads(answered(), 4))
    for each in notebook.cells:
        each.metadata.pop("nbgrader", None)
        del each["id"]
    text = '{"nbformat_minor": 0, ' + str(nbformat.v4.writes(notebook))[1:].replace('"nbformat_minor": 5', '"x": 5')
    folder = pile(tmp_path, {f"{name}/01_saliency.ipynb": text for name in ("ada", "bob")})
    once, twice = collect(folder, RELEASES), collect(folder, RELEASES)
    assert [item.notebook for item in once] == [item.notebook for item in twice]
    assert once[0].notebook == once[1].notebook and once[0].repairs == twice[0].repairs


# ------------------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[1, 2]",
        "{}",
        "null",
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
        '{"cells": {"a": 1}, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
        '{"cells": [1, null], "metadata": [], "nbformat": 4, "nbformat_minor": "x"}',
        '{"nbformat": 99, "cells": [{}]}',
        "\x00\x01",
        b"\xff\xfe not utf-8",
        "[" * 100_000,
        '{"nbformat": 3, "worksheets": 7}',
    ],
)
def test_what_is_no_notebook_is_refused_with_a_reason_and_stops_nobody(tmp_path, text):
    found = collected(pile(tmp_path, {"ada/01_saliency.ipynb": answered(), "broken/01_saliency.ipynb": text}))
    assert not found["ada", "01_saliency"].refused
    broken = found["broken", "01_saliency"]
    assert broken.refused.startswith("01_saliency.ipynb cannot be read as a notebook: ") and broken.notebook is None
    assert broken.refused.isprintable() and len(broken.refused) < 300


def test_a_notebook_in_another_encoding_is_read(tmp_path):
    files = {
        "ada/01_saliency.ipynb": answered().encode("utf-16"),
        "bob/01_saliency.ipynb": answered().encode("utf-8-sig"),
    }
    assert students(pile(tmp_path, files)) == ["ada", "bob"]


def test_what_is_no_plain_file_is_refused_and_links_are_not_followed(tmp_path):
    folder = pile(tmp_path / "class", {"dora/01_saliency.ipynb": answered(), "gus/report.pdf": "x"})
    secret = pile(tmp_path / "secret", {"01_saliency.ipynb": answered("secret")})
    for student in ("bob", "carl/01_saliency.ipynb", "eve", "fay", "hal"):
        (folder / student).mkdir(parents=True)
    (folder / "eve" / NAME).symlink_to(secret / NAME)
    (folder / "fay" / "work").symlink_to(secret)
    os.mkfifo(folder / "hal" / NAME)
    (folder / "ivy").symlink_to(secret)
    found = {student: item.refused for (student, _), item in collected(folder).items()}
    assert found == {
        "bob": "there is no notebook in this folder",
        "carl": "01_saliency.ipynb is not a plain file",
        "dora": "",
        "eve": "01_saliency.ipynb is a link, not a plain file",
        "fay": "work is a link, not a plain file",
        "gus": "there is no notebook in this folder, only report.pdf",
        "hal": "01_saliency.ipynb is not a plain file",
        NOBODY: "ivy is a link, not a plain file",
    }


def test_what_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "LARGEST", 3_000_000)
    long = answered() + " " * 3_000_000
    files = {"ada/01_saliency.ipynb": long, "bob/work.zip": zipped({NAME: long}), "carl/01_saliency.ipynb": answered()}
    found = {student: item.refused for (student, _), item in collected(pile(tmp_path, files)).items()}
    reason = "01_saliency.ipynb is larger than 3 MB; clear its outputs"
    assert found == {"ada": reason, "bob": reason, "carl": ""}


def link(name, target):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target


def encrypted(files):
    """Return a zip with the flag of encryption set on every file."""
    data = bytearray(zipped(files))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(signature)
        while start >= 0:
            data[start + offset] |= 1
            start = data.find(signature, start + 4)
    return bytes(data)


BOMB = b" " * 15_000_000
WORK = {NAME: answered()}
FAULTY_ZIPS = {
    "no zip": (b"Rar!", "work.zip cannot be opened as a zip file: BadZipFile: File is not a zip file"),
    "cut off": (zipped(WORK)[:-30], "work.zip cannot be opened as a zip file: BadZipFile: File is not a zip file"),
    "encrypted": (encrypted(WORK), "01_saliency.ipynb is encrypted"),
    "link": (zipped(dict([link(NAME, "../../../etc/passwd")])), "01_saliency.ipynb is a link, not a plain file"),
    "bomb": (zipped({NAME: BOMB}), "times its size, as a zip bomb does"),
    "bomb in a zip": (zipped({"a.zip": zipped({NAME: BOMB})}), "times its size, as a zip bomb does"),
    "third zip": (
        zipped({"a.zip": zipped({"b.zip": zipped(WORK)})}),
        "b.zip is a zip in a zip in a zip, which is not opened",
    ),
    "upwards": (zipped({f"../bob/{NAME}": answered()}), "a name that leads out of the archive"),
    "upwards later": (zipped({f"a/../../bob/{NAME}": answered()}), "a name that leads out of the archive"),
    "absolute": (zipped({f"/tmp/{NAME}": answered()}), "a name that leads out of the archive"),
    "drive": (zipped({f"C:/bob/{NAME}": answered()}), "a name that leads out of the archive"),
    "backslash": (zipped({f"..\\bob\\{NAME}": answered()}), "a name that leads out of the archive"),
    "damaged": (
        zipped(WORK).replace(b"\x00\x00\x08\x00", b"\x00\x00\x63\x00"),
        "cannot be unpacked: NotImplementedError",
    ),
}


@pytest.mark.parametrize("fault", FAULTY_ZIPS)
def test_a_faulty_zip_is_refused_with_a_reason_stops_nobody_and_writes_nothing(tmp_path, fault):
    data, reason = FAULTY_ZIPS[fault]
    folder = pile(
        tmp_path, {"ada/01_saliency.ipynb": answered(), "bob/01_saliency.ipynb": answered(), "eve/work.zip": data}
    )
    before = sorted(tmp_path.rglob("*"))
    found = collect(folder, RELEASES)
    assert [item.student for item in found if not item.refused] == ["ada", "bob"]
    assert [source_of(item) for item in found if not item.refused] == [F, F]
    (eve,) = [item for item in found if item.refused]
    assert eve.student == "eve" and reason in eve.refused
    assert sorted(tmp_path.rglob("*")) == before


def test_the_limits_on_a_whole_zip(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "MOST_FILES", 3)
    folder = pile(tmp_path / "class", {"eve/work.zip": zipped({f"{n}.csv": "" for n in range(4)} | WORK)})
    (eve,) = collect(folder, RELEASES)
    assert "work.zip unpacks to 5 files of 0.0 GB together; the most is 3" in eve.refused
    monkeypatch.setattr(unpack, "MOST_FILES", 9)
    monkeypatch.setattr(unpack, "MOST_BYTES", 10)
    (eve,) = collect(folder, RELEASES)
    assert "work.zip unpacks to 5 files" in eve.refused


def test_no_more_is_read_than_the_limit_whatever_a_zip_claims(tmp_path):
    data = zipped({NAME: b" " * 900_000}).replace((900_000).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    (eve,) = collect(pile(tmp_path, {"eve/work.zip": data}), RELEASES)
    assert "01_saliency.ipynb cannot be unpacked: BadZipFile: Bad CRC-32" in eve.refused


def test_a_class_that_is_no_zip_is_an_error(tmp_path):
    (tmp_path / "class.zip").write_bytes(b"Rar!")
    with pytest.raises(IntakeError, match=r"class.zip cannot be opened as a zip file: BadZipFile"):
        collect(tmp_path / "class.zip", RELEASES)
    (tmp_path / "class.rar").write_bytes(b"Rar!")
    with pytest.raises(IntakeError, match=r"class.rar is neither a folder nor a zip"):
        collect(tmp_path / "class.rar", RELEASES)


@pytest.mark.parametrize("make", [lambda p: p / "nowhere", lambda p: p])
def test_a_wrong_folder_is_an_error_that_says_what_was_wanted(tmp_path, make):
    with pytest.raises(FileNotFoundError, match="wanted"):
        collect(make(tmp_path), {})


def test_nothing_of_a_student_is_run_or_unpickled(tmp_path, monkeypatch):
    code = "open('/nowhere/x', 'w')\nimport os; os._exit(3)\n" + F
    forbidden = SimpleNamespace(loads=None, load=None)
    monkeypatch.setitem(__import__("sys").modules, "pickle", forbidden)
    monkeypatch.setattr("builtins.exec", None)
    monkeypatch.setattr("builtins.eval", None)
    monkeypatch.setattr("builtins.compile", None)
    (ada,) = collect(pile(tmp_path, {"ada/01_saliency.ipynb": answered(code)}), RELEASES)
    assert source_of(ada) == code


@pytest.mark.timeout(60)
def test_a_hostile_notebook_is_repaired_in_time():
    prose = [{"cell_type": "markdown", "metadata": {}, "source": "Why does it work? Give one reason " * 200}] * 1990
    code = [{"cell_type": "code", "metadata": {}, "source": "x" * 500_000}, {**new_code_cell("((" * 500_000)}]
    notebook = {"cells": [*RELEASE.cells[:5], *prose, *code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    result, _ = repair(nbformat.from_dict(notebook), RELEASE)
    assert len(result.cells) > 1990


def test_intake_writes_no_file_of_its_own(tmp_path):
    (tmp_path / "x.zip").write_bytes(zipped({"ada/work.zip": zipped(WORK)}))
    before = set(Path(tmp_path).rglob("*"))
    assert students(tmp_path / "x.zip") == ["ada"]
    assert set(Path(tmp_path).rglob("*")) == before


# ------------------------------------------------------------------------------------------------ through to marks

FULL = {"test_double": ("4", "right"), "test_half": ("2", "right"), "q_half": ("", "to be marked")}


def merged_with_what_is_locked(notebook):
    cell(notebook, "test_double").source = cell(notebook, "double").source + "\n\nassert double(3) == 6"
    notebook.cells.remove(cell(notebook, "double"))


def split(notebook):
    position = notebook.cells.index(cell(notebook, "half"))
    notebook.cells.insert(position, new_code_cell("def helper(x):\n    return x / 2"))
    cell(notebook, "half").source = "def half(x):\n    return helper(x)"


def stripped_and_rewritten(notebook):
    cell(notebook, "double").source = "%matplotlib inline\nimport numpy as np\ndouble = lambda x: np.add(x, x)"
    for each in notebook.cells:
        each.metadata = {}
        del each["id"]


def answered_below(notebook):
    question = cell(notebook, "q_half")
    question.source = NOT_ANSWERED
    notebook.cells.insert(
        notebook.cells.index(question) + 1, new_markdown_cell("Yes, by definition. <b>Why</b> [x](y)")
    )


def test_names_layouts_and_repairs_hold_through_to_gradebook_tables_and_feedback(toys, grade_class, tmp_path):
    def toy(answers, change=lambda notebook: None):
        return nbformat.writes(filled(toys["01_toy"], answers, change))

    def merged(notebook):
        cell(notebook, "double").source += "\n\n" + cell(notebook, "half").source
        cell(notebook, "half").source = cell(filled(toys["01_toy"], {}), "half").source

    files = {
        "[ab]*?": toy(RIGHT),
        "{student} %s, 李 é": toy(RIGHT, merged),
        "carl": toy(RIGHT, merged_with_what_is_locked),
        "dora": toy(RIGHT, split),
        "eve": toy(RIGHT, stripped_and_rewritten),
        "fay": toy(RIGHT, answered_below),
    }
    handed_in = {f"{student}/Copy of 01_toy (1).ipynb": text for student, text in files.items()}
    handed_in["carl/01_toy.ipynb"] = (toy({}), datetime(2020, 1, 1))
    handed_in |= {"a/01_toy.ipynb": toy({}), "gus/01_toy.ipynb": "{", "diary.ipynb": "{}"}
    into = tmp_path / "grading"
    table = grade_class(pile(tmp_path / "class", handed_in), into)

    def scores(student):
        return {row["question"]: (row["score"], row["verdict"]) for row in table if row["student"] == student}

    for student in files:
        assert scores(student) == FULL, student
        assert (into / "feedback" / student / "01_toy" / "01_toy.html").exists()
    assert scores("a")["test_double"] == ("0", "not answered")
    assert scores("gus") == {"": ("", "refused")} == scores(NOBODY)
    said = {}
    for row in table:
        said[row["student"]] = said.get(row["student"], "") + row["message"]
    assert "(half: answered in the cell of another exercise, where it counts)" in said["{student} %s, 李 é"]
    assert "(q_half: answered in another cell; that cell counts, the released one is left out)" in said["fay"]
    assert "taken for 01_toy" in said["dora"] and "2 attempts" in said["carl"]
    totals = (into / "totals.csv").read_text("utf-8").splitlines()
    assert "gus,01_toy,,," in totals and "dora,01_toy,6.0,9.0,1" in totals

    feedback = (into / "feedback" / "carl" / "01_toy" / "01_toy.html").read_text("utf-8")
    assert "Put right before grading" in feedback and "taken for 01_toy" in feedback
    assert "test_double: this cell is not yours to change" in feedback
    untouched = (into / "feedback" / "a" / "01_toy" / "01_toy.html").read_text("utf-8")
    assert "Put right before grading" not in untouched
    log = (into / "grading.log").read_text("utf-8")
    assert "gus, 01_toy: refused: 01_toy.ipynb cannot be read as a notebook" in log
    assert "carl, 01_toy: test_double: this cell is not yours to change" in log
