"""What an instructor types or exports: understood whatever wrote it, or refused with the line; and what is uploaded."""

import csv
import io

import pytest

from helpers.course.grade import check_sheets
from helpers.course.intake.attempts import Submission
from helpers.course.intake.sheet import SheetError
from helpers.course.marks.late import extra_hours, extra_time, hours_of
from helpers.course.report import changes, roster, tables, uploads
from helpers.course.report.roster import Person

TIMES = "student,assignment,hours\nada,01_saliency,48\nZoë Ünal,02_gradcam,1.5\n"
EXPECTED = {("ada", "01_saliency"): 48.0, ("Zoë Ünal", "02_gradcam"): 1.5}
KNOWN, PAGES = ["ada", "Zoë Ünal", "bob"], ["01_saliency", "02_gradcam"]

SPELLINGS = {
    "plain": TIMES.encode(),
    "Excel's UTF-8": TIMES.encode("utf-8-sig"),
    "Windows": TIMES.encode("cp1252"),
    "UTF-16": TIMES.encode("utf-16"),
    "semicolons": TIMES.replace(",", ";").encode("utf-8-sig"),
    "semicolons and decimal commas": TIMES.replace(",", ";").replace("1.5", "1,5").encode(),
    "tabs": TIMES.replace(",", "\t").encode(),
    "Windows's line ends": TIMES.replace("\n", "\r\n").encode(),
    "spaces": TIMES.replace(",", " , ").replace("Zoë Ünal", " Zoë  Ünal ").encode(),
    "case": TIMES.replace("student", "Student").replace("ada", "Ada").replace("hours", "HOURS").encode(),
    "quotes": "\n".join(f'"{line}"' for line in TIMES.replace(",", '";"').splitlines()).encode(),
    "empty lines": b"\n" + TIMES.replace("\n", "\n\n,,\n").encode(),
    "another order, more columns": (
        "why,hours,assignment,student\nill,48,01_saliency,ada\n,1.5 h,02_Gradcam,zoë ünal".encode()
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_extra_time_is_understood_whatever_program_wrote_it(tmp_path, spelling):
    path = tmp_path / "extra_time.csv"
    path.write_bytes(SPELLINGS[spelling])
    assert extra_time(path, KNOWN, PAGES) == EXPECTED
    assert {key: hours_of(path, *key) for key in EXPECTED} == EXPECTED
    assert hours_of(path, "bob", "01_saliency") == 0.0


@pytest.mark.parametrize(
    "text, said",
    [
        ("student,hours\nada,3\n", "line 1: found no column assignment"),
        ("a\n", "line 1: found no column student and no assignment and no hours"),
        ("", "line 1: found no column student"),
        ("student,assignment,hours\nada,01_saliency,1\nada,02_gradcam,many\n", "line 3: found 'many' hours"),
        ("student,assignment,hours\nada,01_saliency,-3\n", "line 2: found '-3' hours"),
        ("student,assignment,hours\nada,01_saliency,nan\n", "line 2: found 'nan' hours"),
        ("student,assignment,hours\nada,,3\n", "line 2: found student 'ada' and assignment ''"),
        ("student,assignment,hours\nada,01_saliency,3\nada,01_saliency,4\n", "line 3: 'ada' has other hours"),
        ("student,assignment,hours\nada,01_toi,3\n", "assignment '01_toi'; known are 01_saliency, 02_gradcam"),
        ("student,assignment,hours\nadda,01_saliency,3\n", "student 'adda', .* is 'ada' meant?"),
        ("student,assignment,hours\nxyz,01_saliency,3\n", "put everybody into roster.csv"),
    ],
)
def test_extra_time_that_cannot_be_used_is_refused_before_anything_runs(tmp_path, text, said):
    (tmp_path / "extra_time.csv").write_text(text)
    submissions = [Submission(student, "01_saliency", tmp_path) for student in KNOWN]
    with pytest.raises(SheetError, match=f"extra_time.csv.*{said}"):
        check_sheets(tmp_path, submissions, PAGES)


def test_who_stands_in_the_roster_is_known(tmp_path):
    (tmp_path / "extra_time.csv").write_text("student,assignment,hours\ncarl,01_saliency,3\n")
    with pytest.raises(SheetError, match="carl"):
        check_sheets(tmp_path, [], PAGES)
    (tmp_path / "roster.csv").write_text("student\ncarl\n")
    check_sheets(tmp_path, [], PAGES)
    assert extra_hours(tmp_path / "extra_time.csv") == {("carl", "01_saliency"): 3.0}


# ------------------------------------------------------------------------------------------------ roster

CANVAS = """Student,ID,SIS User ID,SIS Login ID,Section,01_saliency (77)
    Points Possible,,,,,25
"Lovelace, Ada",5101,s1,ada@x.org,Course 1,
"Gauß, Carl Friedrich",5102,s2,cfg,Course 1,
"""
MOODLE = (
    "\ufeffFirst name;Last name;ID number;Email address\nAda;Lovelace;s1;ada@x.org\nCarl Friedrich;Gauß;s2;c@x.org\n"
)
BLACKBOARD = (
    '"Last Name"\t"First Name"\t"Username"\t"Student ID"\t"Last Access"\n'
    "Lovelace\tAda\talove\ts1\t\nGauß\tCarl\tcfg\ts2\t\n"
)
GRADESCOPE = (
    "First Name,Last Name,SID,Email,Role\nAda,Lovelace,s1,ada@x.org,Student\n"
    "Carl,Gauß,,c@x.org,Student\nT,A,,t@x.org,TA\n"
)
BRIGHTSPACE = (
    "OrgDefinedId,Username,Last Name,First Name,Email\n#s1,alove,Lovelace,Ada,ada@x.org\n#s2,cfg,Gauß,Carl,c@x.org\n"
)


@pytest.mark.parametrize(
    "text, students, expected",
    [
        (CANVAS, ["lovelaceada_5101"], ["lovelaceada_5101", "gaußcarlfriedrich_5102"]),
        (MOODLE, ["Ada Lovelace", "Carl Friedrich Gauß"], ["Ada Lovelace", "Carl Friedrich Gauß"]),
        (BLACKBOARD, ["alove", "cfg"], ["alove", "cfg"]),
        (GRADESCOPE, ["s1", "c@x.org"], ["s1", "c@x.org"]),
        (BRIGHTSPACE, ["Ada Lovelace", "Carl Gauß"], ["Ada Lovelace", "Carl Gauß"]),
        ("student,name\nada,Ada L\nbob,\n", ["Ada"], ["Ada", "bob"]),
        ("name\nAda  Lovelace\n", [], ["Ada Lovelace"]),
    ],
    ids=["Canvas", "Moodle", "Blackboard", "Gradescope", "Brightspace", "plain", "names"],
)
def test_a_roster_is_what_the_platform_exports(tmp_path, text, students, expected):
    (tmp_path / "roster.csv").write_text(text, "utf-8")
    assert [person.student for person in roster.read(tmp_path, students)] == expected


@pytest.mark.parametrize(
    "text, said",
    [
        ("a,b\n1,2\n", "line 1: found no column that names students"),
        ("student,name\nada,Ada\n,\n,,x\nada,Ada\n", "line 5: 'ada' stands in line 2 already"),
        ("student,section\nada,1\n,2\n", "line 3: names nobody"),
    ],
)
def test_a_roster_that_cannot_be_used_is_refused_with_the_line(tmp_path, text, said):
    (tmp_path / "roster.csv").write_text(text)
    with pytest.raises(SheetError, match=said):
        check_sheets(tmp_path, [], PAGES)


# ------------------------------------------------------------------------------------------------ uploads

TOTALS = {
    ("lovelaceada_5101", "01_saliency"): (20.5, 25.0, 0),
    ("lovelaceada_5101", "07_writeup"): (3.0, 40.0, 2),
    ("gaußcarl_5102", "01_saliency"): (0.0, 25.0, 0),
    ("hal_5103", "01_saliency"): None,
    ("=evil", "01_saliency"): (1.0, 25.0, 0),
}
PEOPLE = [
    Person("lovelaceada_5101", "Ada Lovelace", "5101", "s1", "alove", "ada@x.org", "A"),
    Person("hal_5103", "Hal Abelson", "5103", "s3", "hal", "hal@x.org", "A"),
]


def rows(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def test_the_file_for_canvas_has_its_columns_and_what_each_assignment_is_worth():
    head, worth, *lines = rows(uploads.files(TOTALS, PEOPLE)["canvas.csv"])
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "01_saliency", "07_writeup"]
    assert worth == ["    Points Possible", "", "", "", "", "25", "40"]
    assert lines == [
        ["Ada Lovelace", "5101", "s1", "alove", "A", "20.5", ""],  # an answer waits
        ["Hal Abelson", "5103", "s3", "hal", "A", "", ""],
        ["'=evil", "", "", "", "", "1", ""],
        ["gaußcarl_5102", "5102", "", "", "", "0", ""],
    ]


def test_the_files_for_moodle_and_blackboard():
    files = uploads.files(TOTALS, PEOPLE)
    head, ada, *_ = rows(files["moodle.csv"])
    assert head == ["Full name", "ID number", "Username", "Email address", "01_saliency", "07_writeup"]
    assert ada == ["Ada Lovelace", "s1", "alove", "ada@x.org", "20.5", ""]
    head, ada, *_ = rows(files["blackboard.csv"])
    assert head[:4] == ["Last Name", "First Name", "Username", "Student ID"]
    assert head[4:] == ["01_saliency [Total Pts: 25]", "07_writeup [Total Pts: 40]"]
    assert ada == ["Lovelace", "Ada", "alove", "s1", "20.5", ""]


# ------------------------------------------------------------------------------------------------ changes


def row(student, score, verdict="right", question="test_f"):
    values = (student, "01_saliency", question, score, "4" if score else "", verdict, "")
    return dict(zip(tables.COLUMNS, values, strict=True))


def test_what_changed_since_the_last_run_is_listed(tmp_path):
    (tmp_path / "roster.csv").write_text("student,name,id\nada,Ada Lovelace,7\nzed,Zed,8\n")
    tables.write(tmp_path, [row("ada", "4"), row("bob", "2"), row("carl", "", "refused")])
    assert changes.printed(tmp_path / "changed.csv") == ""
    assert (tmp_path / "totals.csv").read_text().splitlines() == [
        "student,assignment,score,max_score,to_be_marked,name,id,email",
        "ada,01_saliency,4.0,4.0,0,Ada Lovelace,7,",
        "bob,01_saliency,2.0,4.0,0,,,",
        "carl,01_saliency,,,,,,",
    ]
    table = [row("ada", "4"), row("bob", "3"), row("carl", "1"), row("dora", "0", "to be marked")]
    tables.write(tmp_path, table)
    assert changes.printed(tmp_path / "changed.csv").splitlines()[1:] == [
        "    bob 01_saliency: 2 -> 3",
        "    carl 01_saliency: no mark -> 1",
        "    dora 01_saliency: nothing -> 0+",
    ]
    tables.write(tmp_path, table)
    assert changes.printed(tmp_path / "changed.csv") == ""
