"""The exports of learning platforms, as documented: never two students made one, or one two, without a line."""

from datetime import datetime

import nbformat
import pytest

from helpers.course.__main__ import several
from helpers.course.intake import names, times
from helpers.course.intake.collect import IntakeError, collect
from helpers.course.intake.owners import NOBODY
from tests.piles import NAME, OTHER, RELEASES, answered, collected, pile, source_of, students, text_of, zipped

CAM = nbformat.from_dict(OTHER)
CAM.cells[0].source = "def cam(x):\n    return x"
CAM = nbformat.writes(CAM)


# ------------------------------------------------------------------------------------------------ times


@pytest.mark.parametrize("time", ["10-10-10", "08-30-00", "23-59-59", "13-43-22", "00-00-00", "12-00-05", "19-05-30"])
def test_blackboards_times_are_no_time_zones(tmp_path, time):
    when = datetime.strptime(f"2025-10-10 {time}", "%Y-%m-%d %H-%M-%S")
    assert names.utc(f"2025-10-10-{time}") == when
    files = {f"HW1_{student}_attempt_2025-10-10-{time}_{NAME}": answered() for student in ("ada", "bob")}
    found = collected(pile(tmp_path, files))
    assert [item.time for item in found.values()] == [when, when]


@pytest.mark.parametrize(
    "moment, when",
    [
        ("2025-03-01", datetime(2025, 3, 1)),
        ("2025-03-01 12:00", datetime(2025, 3, 1, 12)),
        ("2025-03-01T12:00:30", datetime(2025, 3, 1, 12, 0, 30)),
        ("20250301T120030", datetime(2025, 3, 1, 12, 0, 30)),
        ("20250301120030", datetime(2025, 3, 1, 12, 0, 30)),
        ("2025-03-01 12:00:00 Europe/Berlin", datetime(2025, 3, 1, 11)),
        ("2025-03-01 12:00:00 -0500", datetime(2025, 3, 1, 17)),
        ("2025-03-01T12:00-05", datetime(2025, 3, 1, 17)),
        ("2025-03-02 10:00:00.5 Z", datetime(2025, 3, 2, 10, 0, 0, 500_000)),
        ("2025-13-01-10-10-10", None),
        ("20259901120030", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_taken_as_it_is_written(moment, when):
    assert times.utc(moment) == when


@pytest.mark.parametrize(
    "moment, when",
    [
        ("Sep 24, 2024 926 PM", datetime(2024, 9, 24, 21, 26)),
        ("Nov 26, 2025 1205 AM", datetime(2025, 11, 26, 0, 5)),
        ("September 24, 2024 9:26 PM", datetime(2024, 9, 24, 21, 26)),
        ("24 September, 2024 2126", datetime(2024, 9, 24, 21, 26)),
        ("24 sept. 2024 21 26", datetime(2024, 9, 24, 21, 26)),
        ("3 mars 2024 09h05", datetime(2024, 3, 3, 9, 5)),
        ("3. Mai 2024 0905", datetime(2024, 5, 3, 9, 5)),
        ("3. Dezember 2024 0905", datetime(2024, 12, 3, 9, 5)),
        ("1 juillet 2024 0905", datetime(2024, 7, 1, 9, 5)),
        ("1 juin 2024 0905", datetime(2024, 6, 1, 9, 5)),
        ("Ada Lovelace- Sep 24, 2024 926 PM", datetime(2024, 9, 24, 21, 26)),
        ("31 Feb, 2024 0905", None),
        ("Part 2, 2024 926 PM", None),
    ],
)
def test_a_time_in_words(moment, when):
    assert times.in_words(moment) == when


# ------------------------------------------------------------------------------------------------ Blackboard


def blackboard(head, second=0, file=NAME):
    return f"{head}_attempt_2025-10-10-10-00-{second:02}_{file}"


@pytest.mark.parametrize(
    "heads, expected",
    [
        (["Saliency maps_a_smith", "Saliency maps_b_smith"], ["a_smith", "b_smith"]),
        (["HW_1_ada", "HW_1_bob", "HW_1_carl"], ["ada", "bob", "carl"]),
        (["HW1_ada", "HW1_a_smith", "HW1_b_smith"], ["a_smith", "ada", "b_smith"]),
        (["01_saliency_ada", "01_saliency_b_smith"], ["ada", "b_smith"]),
        (["Week 1 - maps_ada", "Week 1 - maps_bob"], ["ada", "bob"]),
        (["Lab_1_2_ada", "Lab_1_2_bob"], ["ada", "bob"]),  # looks like Canvas's
        (["Lab_12_34_s1", "Lab_12_34_s2"], ["s1", "s2"]),
        (["x_1234_5678_ada"], None),  # who can tell?
    ],
)
def test_blackboards_users_may_have_underscores_and_so_may_assignments(tmp_path, heads, expected):
    found = collected(pile(tmp_path, {blackboard(head): answered() for head in heads}))
    assert not any(item.refused for item in found.values())
    assert expected is None or [student for student, _ in found] == expected
    for item in found.values():
        doubtful = any(head.count("_") > 1 and head.endswith(f"_{item.student}") for head in heads)
        assert any("do not tell where the assignment ends" in line for line in item.repairs) == doubtful


def test_what_blackboard_tells_beside_a_submission_decides_and_is_no_submission(tmp_path):
    files = {}
    for user in ("a_smith", "a_jones"):
        files[blackboard(f"HW_a_{user}")] = answered()
        files[f"HW_a_{user}_attempt_2025-10-10-10-00-00.txt"] = f"Name: Someone ({user})\nAssignment: HW_a\n\nFiles:\n"
    found = collected(pile(tmp_path, files))
    assert list(found) == [("a_jones", "01_saliency"), ("a_smith", "01_saliency")]
    assert [item.repairs for item in found.values()] == [
        [f"notebook: its file is named {NAME!r}; taken for 01_saliency"][:0] for _ in range(2)
    ]


def test_a_blackboard_student_who_typed_instead_of_handing_in_is_in_the_table(tmp_path):
    files = {blackboard("HW_ada"): answered()}
    files["HW_bob_attempt_2025-10-10-10-00-00.txt"] = "Name: Bob (bob)\nSubmission Field:\nI was ill\n"
    found = collected(pile(tmp_path, files))
    assert [student for student, _ in found] == ["ada", "bob"]
    assert found["bob", ""].refused.startswith("there is no notebook in this folder, only HW_bob_attempt_")


def test_a_student_of_canvas_cannot_pass_a_file_off_as_anothers_of_blackboard(tmp_path):
    files = {f"{name}_{n}_9{n}_01_saliency.ipynb": answered() for n, name in ((1, "ada"), (2, "bob"))}
    files["mallory_3_93_HW_bob_attempt_2030-10-10-10-00-00_01_saliency.ipynb"] = answered(text_of("forged"))
    files["mallory_3_94_Bob - 01_saliency.ipynb"] = answered(text_of("forged"))
    found = collected(pile(tmp_path, files))
    assert {student for student, _ in found} == {"ada_1", "bob_2", "mallory_3"}


# ------------------------------------------------------------------------------------------------ Brightspace


def test_brightspace(tmp_path):
    folder = "397063-2557369 - {} - {}/{}"
    files = {
        folder.format("Mary-Ann Smith", "Sep 24, 2024 926 PM", NAME): answered(text_of("new")),
        folder.format("Mary-Ann Smith", "Sep 24, 2024 1126 AM", NAME): answered(text_of("old")),
        folder.format("Ünal, Zoë", "Sep 24, 2024 1200 AM", NAME): answered(),
        folder.format("Jo Doe", "Sep 24, 2024 0905 AM", "essay.docx"): zipped(
            {"[Content_Types].xml": "", "word/a": ""}
        ),
        "397063-2557369 - Dora - Sep 24, 2024 926 PM - 01_saliency.ipynb": answered(),
        "index.html": "<html>",
    }
    found = collected(pile(tmp_path, files))
    assert {key: item.time for key, item in found.items()} == {
        ("Dora", "01_saliency"): datetime(2024, 9, 24, 21, 26),
        ("Jo Doe", ""): None,
        ("Mary-Ann Smith", "01_saliency"): datetime(2024, 9, 24, 21, 26),
        ("Ünal, Zoë", "01_saliency"): datetime(2024, 9, 24),
    }
    assert source_of(found["Mary-Ann Smith", "01_saliency"]) == text_of("new")
    assert found["Jo Doe", ""].refused == "there is no notebook in this folder, only essay.docx (a Word document)"


# ------------------------------------------------------------------------------------------------ Moodle


def moodle(name, number, file=NAME):
    return f"{name}_{number}_assignsubmission_file/{file}"


def test_moodle_says_where_it_takes_two_numbers_for_one_student_or_tells_namesakes_apart(tmp_path):
    files = {moodle("Ada", 3): answered(), moodle("Ada", 4, "02_gradcam.ipynb"): CAM}
    files |= {moodle("Li Wei", n): answered() for n in (1, 2)}
    found = collected(pile(tmp_path, files))
    assert [student for student, _ in found] == ["Ada", "Ada", "Li Wei_1", "Li Wei_2"]
    assert "notebook: 'Ada' has the numbers 3 and 4 in the exports; taken for one student" in (
        found["Ada", "02_gradcam"].repairs
    )
    assert "several students are called 'Li Wei'" in found["Li Wei_1", "01_saliency"].repairs[-1]


@pytest.mark.parametrize("word", ["Participant", "Teilnehmerin", "Partecipante", "参加者"])
def test_moodles_nameless_students_are_never_one(tmp_path, word):
    files = {moodle(word, 3): answered(), moodle(word, 4, "02_gradcam.ipynb"): CAM}
    assert {student for student, _ in collected(pile(tmp_path, files))} == {f"{word}_3", f"{word}_4"}


def test_moodles_namesakes_with_another_file_are_told_apart_and_a_group_needs_no_number(tmp_path):
    files = {moodle("Li Wei", 1, "x.pdf"): b"%PDF", moodle("Li Wei", 2): answered()}
    files["Default group_assignsubmission_file/01_saliency.ipynb"] = answered()
    found = collected(pile(tmp_path, files))
    assert list(found) == [("Default group", "01_saliency"), ("Li Wei_1", ""), ("Li Wei_2", "01_saliency")]


# ------------------------------------------------------------------------------------------------ Canvas, Gradescope


def test_what_is_typed_into_canvas_is_that_students(tmp_path):
    files = {"adal_1_91_01_saliency.ipynb": answered(), "gauss_LATE_2_text.html": "I was ill"}
    found = collected(pile(tmp_path, files))
    assert list(found) == [("adal_1", "01_saliency"), ("gauss_2", "")]


def test_gradescope_students_of_one_number_are_not_one(tmp_path):
    people = "\n".join(
        f"submission_{n}:\n  :submitters:\n  - :name: {name}\n    :sid: '000'\n    :email: {name}@x.org"
        for n, name in enumerate(("Ada", "Bob"))
    )
    files = {f"submission_{n}/01_saliency.ipynb": answered() for n in (0, 1)} | {"submission_metadata.yml": people}
    assert students(pile(tmp_path, files)) == ["Ada@x.org", "Bob@x.org"]


# ------------------------------------------------------------------------------------------------ others


def test_github_classroom(tmp_path):
    files = {
        "01-saliency-ada/01_saliency.ipynb": answered(),
        "01-saliency-b-ob/notebooks/01_saliency.ipynb": answered(),
        "02-gradcam-ada/02_gradcam.ipynb": CAM,
    }
    found = collected(pile(tmp_path / "class", files))
    assert list(found) == [("ada", "01_saliency"), ("ada", "02_gradcam"), ("b-ob", "01_saliency")]
    files = {f"week-1-submissions/week-1-{name}/01_saliency.ipynb": answered() for name in ("ada", "b-ob")}
    assert students(pile(tmp_path / "other", files)) == ["ada", "b-ob"]
    assert students(tmp_path / "other" / "week-1-submissions") == ["ada", "b-ob"]


def test_ilias(tmp_path):
    folder = "Exercise 1/Abgaben/{}/20250301101112_01_saliency.ipynb"
    files = {folder.format(name): answered() for name in ("Lovelace_Ada_alove_123", "Gauss_Carl_cg_45")}
    files |= {"Exercise 1/Abgaben/Team 7/01_saliency.ipynb": answered()}
    (tmp_path / "x.zip").write_bytes(zipped(files))
    assert students(tmp_path / "x.zip") == ["Gauss_Carl_cg_45", "Lovelace_Ada_alove_123", "Team 7"]


@pytest.mark.parametrize("wrapper", ["", "Submitted files/", "Student Work/Submitted files/", "提出済みのファイル/"])
def test_teams_counts_the_highest_version_whatever_the_dates_of_the_download_are(tmp_path, wrapper):
    version = "バージョン{}" if "提" in wrapper else "Version {}"
    files = {
        f"{wrapper}{student}/Maps/{version.format(n)}/01_saliency.ipynb": (
            answered(text_of(n)),
            datetime(2025, 3, 20 - n),
        )
        for student in ("Ada", "Bob")
        for n in (2, 10)
    }
    if "Work" in wrapper:
        files["Student Work/Working files/Carl/Maps/01_saliency.ipynb"] = answered()
    found = collected(pile(tmp_path, files))
    assert source_of(found["Ada", "01_saliency"]) == text_of(10)
    assert found["Ada", "01_saliency"].repairs[0].endswith("the latest by the number of its version")
    if "Work" in wrapper:
        assert "among the working files, which are not handed in" in found["Carl", "01_saliency"].refused


def test_the_zips_that_drive_cuts_a_folder_into_are_one_pile(tmp_path):
    parts = [
        {"Week 1/ada/01_saliency.ipynb": answered(), "Week 1/bob/a.txt": "x"},
        {"Week 1/ada/02_gradcam.ipynb": CAM},
        {"Week 1/bob/01_saliency.ipynb": answered()},
    ]
    names_ = ["Week 1-20250301T101112Z-001.zip", "Week 1-20250301T101112Z-1-002.zip", "Week 1-20250301T101112Z-003.zip"]
    folder = pile(tmp_path / "class", {name: zipped(part) for name, part in zip(names_, parts, strict=True)})
    expected = [("ada", "01_saliency"), ("ada", "02_gradcam"), ("bob", "01_saliency")]
    assert list(collected(folder)) == expected
    assert list(collected([folder / name for name in names_])) == expected


def test_several_exports_are_one_pile(tmp_path):
    week_1 = {f"{name}_{n}_9{n}_01_saliency.ipynb": answered() for n, name in ((1, "ada"), (2, "bob"))}
    week_2 = {f"{name}_{n}_8{n}_02_gradcam.ipynb": CAM for n, name in ((1, "ada"), (3, "carl"))}
    folder = pile(tmp_path / "class", {"week 1.zip": zipped(week_1), "week 2.zip": zipped(week_2)})
    expected = [("ada_1", "01_saliency"), ("ada_1", "02_gradcam"), ("bob_2", "01_saliency"), ("carl_3", "02_gradcam")]
    assert list(collected(folder)) == expected
    found = collected([folder / "week 1.zip", folder / "week 2.zip"])
    assert list(found) == expected
    assert found["carl_3", "02_gradcam"].source == folder / "week 2.zip" / "carl_3_83_02_gradcam.ipynb"
    (tmp_path / "dora").mkdir()
    pile(tmp_path / "late", {"dora/01_saliency.ipynb": answered(), "eve/01_saliency.ipynb": answered()})
    found = collect([folder / "week 1.zip", tmp_path / "late"], RELEASES)
    assert [item.student for item in found] == ["ada_1", "bob_2", "dora", "eve"]
    with pytest.raises(IntakeError):
        collect([folder / "week 1.zip", pile(tmp_path / "bad", {"x.rar": "x"}) / "x.rar"], RELEASES)


def test_make_hands_over_several_places_as_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.zip", "week 2.zip", "a.zip b.zip"):
        (tmp_path / name).touch()
    assert several(["a.zip 'week 2.zip'"]) == ["a.zip", "week 2.zip"]
    assert several(["a.zip b.zip"]) == ["a.zip b.zip"]  # there is one of this name
    assert several(["nowhere o'brien.zip"]) == ["nowhere o'brien.zip"]
    assert several(["a.zip", "week 2.zip"]) == ["a.zip", "week 2.zip"]


def test_a_class_in_a_folder_is_never_one_student(tmp_path):
    canvas = {f"{name}_{n}_9{n}_01_saliency.ipynb": answered() for n, name in ((1, "ada"), (2, "bob"))}
    moodle_ = {moodle(name, n): answered() for n, name in ((1, "Ada"), (2, "Bob"))}
    plain = {f"{name}/01_saliency/01_saliency.ipynb": answered() for name in ("ada", "bob")}
    for number, export in enumerate((canvas, moodle_, {blackboard(f"HW1_{name}"): answered() for name in "ab"})):
        within = {f"export {number}/{path}": text for path, text in export.items()}
        with pytest.raises(IntakeError, match=f"holds one folder, export {number}, .* grade .*export {number}"):
            collect(pile(tmp_path / f"alone {number}", within | {"list.csv": "x"}), RELEASES)
        beside = pile(tmp_path / f"beside {number}", within | {"zed/01_saliency.ipynb": answered()})
        found = collected(beside)
        reason = "looks like the export of a whole class; grade it on its own"
        assert reason in found[f"export {number}", f"export {number}"].refused
        assert found["zed", "01_saliency"].refused == ""
    with pytest.raises(IntakeError, match="holds one folder, week 1"):
        collect(
            pile(tmp_path / "plain", {f"week 1/{path}": text for path, text in plain.items()} | {"x.pdf": b"%PDF"}),
            RELEASES,
        )
    found = collected(
        pile(tmp_path / "tree", {f"submitted/{path}": text for path, text in plain.items()} | {"x.csv": ""})
    )
    assert list(found) == [(NOBODY, "x.csv"), ("ada", "01_saliency"), ("bob", "01_saliency")]
    both = {f"{top}/{path}": text for path, text in plain.items() for top in ("submitted", "release")}
    assert "whole class" in collected(pile(tmp_path / "both", both))["submitted", "submitted"].refused


def test_one_student_spelled_in_several_ways_is_one_with_a_line(tmp_path):
    files = {"Ada  Lovelace/01_saliency.ipynb": answered(), "Ada\u00a0Lovelace/02_gradcam.ipynb": CAM}
    files |= {"bob (1).zip": zipped({NAME: answered()}), "bob.zip": zipped({"02_gradcam.ipynb": CAM})}
    files |= {"carl_01_saliency.zip": zipped({NAME: answered()}), "carl_02_gradcam.ipynb": CAM}
    found = collected(pile(tmp_path, files))
    assert {student for student, _ in found} == {"Ada Lovelace", "bob", "carl"}
    for student in ("Ada Lovelace", "bob"):
        for assignment in RELEASES:
            assert "are taken for one student's" in found[student, assignment].repairs[-1]
    assert found["carl", "01_saliency"].repairs == []


def test_a_document_beside_a_notebook_is_told_with_what_it_is(tmp_path):
    word = zipped({"[Content_Types].xml": "", "word/document.xml": ""})
    files = {"doeduc_5_91_01_saliency.ipynb": answered(), "doeduc_5_93_essay.docx": word, "b_1_2_x.ipynb": answered()}
    files |= {"doeduc_5_94_02_gradcam.pdf": b"%PDF", "doeduc_5_95_notes.txt": "x"}
    found = collected(pile(tmp_path, files))
    reason = "handed in beside 01_saliency, and no notebook: doeduc_5_93_essay.docx (a Word document)"
    assert found["doeduc_5", ""].refused == reason
    reason = "there is no notebook of it, only doeduc_5_94_02_gradcam.pdf (a PDF)"
    assert found["doeduc_5", "02_gradcam"].refused == reason
    line = "notebook: also handed in, and not graded: doeduc_5_95_notes.txt"
    assert found["doeduc_5", "01_saliency"].repairs == [line]


def test_a_name_in_a_zip_that_does_not_say_its_encoding_is_utf_8_where_it_can_be(tmp_path):
    data = zipped({"Jos##/01_saliency.ipynb": answered(), "Li##/01_saliency.ipynb": answered()})
    data = data.replace(b"Jos##", "José".encode()).replace(b"Li##", b"Li\xff\xfe")
    (tmp_path / "x.zip").write_bytes(data)
    found = students(tmp_path / "x.zip")
    assert "José" in found and len(found) == 2 and NOBODY not in found


@pytest.mark.parametrize("where", ["{}.zip", "class/{}/work.zip"])
def test_a_zip_that_calls_names_utf_8_which_are_none_is_read(tmp_path, where):
    names_ = {f"Zo\u00eb{n}": f"Zo\u00eb{n}".encode() for n in (1, 2)}
    data = zipped({f"{name}/01_saliency.ipynb": answered(text_of(name[-1])) for name in names_})
    data = data.replace("\u00eb1".encode(), b"\xff\xfe1").replace("\u00eb2".encode(), b"\xff\xfd2")
    path = tmp_path / where.format("bob")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if "class" in where:
        (found,) = {student for student, _ in collected(tmp_path / "class")}
        assert found == "bob"
    else:
        assert len(students(path)) == 2


def test_windows_slashes_in_a_zip_are_slashes(tmp_path):
    (tmp_path / "x.zip").write_bytes(zipped({f"{name}\\hw\\01_saliency.ipynb": answered() for name in ("ada", "bob")}))
    assert students(tmp_path / "x.zip") == ["ada", "bob"]
