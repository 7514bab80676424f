"""In a real browser: an explorer is played with by keyboard, a quiz is answered, and a written answer is marked.

The marking goes from opening formgrader in JupyterLab to the student's feedback page.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import nbformat
import pytest
from nbgrader.api import Gradebook

from helpers import COURSE
from helpers.course.release import notebooks
from tests.submissions import cell, hand_in, png, shown

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")

expect = sync_api.expect
expect.set_options(timeout=30_000)  # milliseconds: a kernel that starts on a busy machine takes its time
ANSWERS = {
    "ada": "No score depends on **another** image, so $\\partial s_j / \\partial x_i = 0$. BatchNorm breaks it.",
    # The heading would have the id of the other question's score field.
    "ben": "# q_claim\n\nBecause [a sum](javascript:steal()) is a sum. <script>steal()</script>",
}
# The course of a toy: nbgrader's settings are the project's own.
CONFIG = """load_subconfig("nbgrader_config.py", path={course!r})
"""


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium: playwright's own, else the machine's."""
    own = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_api.sync_playwright() as playwright:
        for path in (None, own):
            try:
                chromium = playwright.chromium.launch(executable_path=path)
                break
            except sync_api.Error as error:
                reason = str(error).splitlines()[0]
        else:
            pytest.skip(f"no Chromium: playwright install chromium ({reason})")
        yield chromium
        chromium.close()


@pytest.fixture
def course(toys, grade_class, tmp_path):
    """A folder with a graded class of two, as an instructor has it after `make grade`."""
    for student, answer in ANSWERS.items():
        notebook = notebooks.student_notebook(toys["02_toy"])
        cell(notebook, "q_sum").source = answer
        cell(notebook, "q_claim").source = "Brightness is scaling."
        cell(notebook, "01_toy-dots").outputs = [shown(png("steelblue", (300, 120)))]
        hand_in(notebook, tmp_path / "class", student, "02_toy")
    grade_class(tmp_path / "class", tmp_path / "grading")
    return tmp_path


@contextmanager
def lab_in(course):
    """The address of a JupyterLab in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{kind}_DIR": str(course / "jupyter" / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    own |= {"COURSE_GRADING": str(course / "grading"), "PYTHONPATH": str(COURSE)}
    options = [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--no-browser"]
    options += ["--allow-root", f"--ServerApp.root_dir={course}", "--LabApp.news_url="]
    with (course / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], cwd=course, env=os.environ | own, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not answers(f"{address}/api"):
            assert server.poll() is None and time.monotonic() < deadline, (course / "lab.log").read_text()
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def lab(course):
    """The address of a JupyterLab in the folder of that course."""
    (course / "nbgrader_config.py").write_text(CONFIG.format(course=str(COURSE)), "utf-8")
    with lab_in(course) as address:
        yield address


@contextmanager
def opened(notebook, browser, folder):
    """A tab with a notebook in a JupyterLab, its kernel ready; nothing may go wrong in the page."""
    nbformat.write(notebook, folder / "page.ipynb")
    with lab_in(folder) as address:
        tab = browser.new_page(viewport={"width": 1100, "height": 1400})
        errors = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.set_default_timeout(60_000)
        tab.goto(f"{address}/lab/tree/page.ipynb")
        tab.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        yield tab
        assert not errors
        tab.close()


def answers(address):
    try:
        return urllib.request.urlopen(address).status == 200
    except OSError:
        return False


def saved(tab):
    """Wait until nbgrader has nothing more to send."""
    tab.wait_for_function("window.jQuery && jQuery.active === 0 && document.readyState === 'complete'")


PLAY = """from helpers import plots
from helpers.widgets import between, explore


def draw(kind, level):
    return plots.strip([plots.ranked({kind: level}, f"level {level}", high=9)])


explore(draw, kind=["cat", "fish"], level=between(1, 9, at=4))
"""


@pytest.mark.kernel
@pytest.mark.slow
def test_a_slider_that_is_moved_by_keyboard_draws_a_new_picture(browser, tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PLAY)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with opened(notebook, browser, tmp_path) as tab:
        tab.locator(".jp-Notebook .cm-content").first.click()
        tab.keyboard.press("Control+Enter")
        picture = tab.locator(".explorer img")
        expect(picture).to_have_attribute("alt", re.compile("level 4"), timeout=120_000)  # torch is imported first
        before = picture.get_attribute("src")

        # From the menu by Tab to the slider, which has the keyboard's focus then, and by arrow keys along it.
        tab.get_by_label("kind").focus()
        tab.keyboard.press("Tab")
        slider = tab.get_by_role("slider")
        expect(slider).to_be_focused()
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowRight")
        expect(picture).to_have_attribute("alt", re.compile("level 6"))
        assert picture.get_attribute("src") != before
        expect(slider).to_have_attribute("aria-valuenow", re.compile(r"^6(\.0)?$"))
        tab.get_by_label("kind").select_option("fish")
        expect(picture).to_have_attribute("alt", re.compile("fish 6"))
        tab.screenshot(path=tmp_path / "played.png")


@pytest.mark.kernel
@pytest.mark.slow
def test_a_quiz_is_answered_by_mouse_and_by_keyboard(browser, tmp_path):
    page = nbformat.read(COURSE / "notebooks" / "01_saliency.ipynb", 4)
    place = next(place for place, cell in enumerate(page.cells) if 'quiz("01_saliency")' in cell.source)
    page.cells = page.cells[place - 1 : place + 2]
    page.cells[1].metadata = {}  # unfolded, so that there is something to click at
    with opened(page, browser, tmp_path) as tab:
        tab.locator(".jp-CodeCell .cm-content").click()
        tab.keyboard.press("Shift+Enter")

        # By mouse: the answer is marked, and what speaks for or against it stands below.
        first, second, *_ = (tab.locator(".quiz-question").nth(number) for number in range(10))
        told, answers = first.locator(".quiz-feedback"), first.locator(".quiz-answer")
        answers.first.wait_for(timeout=120_000)
        assert told.count() == 0
        answers.nth(1).click()
        expect(told).to_have_count(1)
        expect(answers.nth(1)).to_have_text(re.compile(r"^[✓✗] b\) "))
        expect(told).to_have_text(re.compile(r"^(Right|Not this one)\. "))
        expect(answers.nth(1)).to_be_focused()

        # By keyboard: arrows and Tab go from answer to answer, Enter and letters choose; the notebook hears nothing.
        tab.keyboard.press("ArrowDown")
        expect(answers.nth(2)).to_be_focused()
        tab.keyboard.press("Enter")
        expect(answers.nth(2)).to_have_text(re.compile(r"^[✓✗] c\) "))
        expect(answers.nth(2)).to_be_focused()
        tab.keyboard.press("Tab")
        expect(answers.nth(3)).to_be_focused()
        tab.keyboard.press("ArrowDown")
        expect(second.locator(".quiz-answer").first).to_be_focused()
        for letter in "bdac":
            tab.keyboard.press(letter)
            expect(second.locator(".quiz-answer").nth("abcd".index(letter))).to_be_focused()
        expect(second.locator(".quiz-feedback")).to_have_count(4)
        expect(second.locator(".quiz-feedback.quiz-right")).to_have_count(1)
        for key in "xyz":
            tab.keyboard.press(key)
        expect(tab.locator(".jp-Notebook .jp-Cell")).to_have_count(3)
        expect(tab.locator(".quiz-score")).to_contain_text("Still open: ")
        tab.screenshot(path=tmp_path / "quiz.png")


def test_an_answer_is_marked_from_opening_formgrader_to_the_feedback_page(browser, lab, course, grade_class):
    tab = browser.new_page(viewport={"width": 1300, "height": 1000})
    dialogs, errors = [], []
    tab.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.set_default_timeout(30_000)

    # The marker opens formgrader from JupyterLab's menu and finds the submissions that wait.
    tab.goto(f"{lab}/lab")
    tab.get_by_role("menuitem", name="Nbgrader").click()
    tab.get_by_role("menuitem", name="Formgrader", exact=True).click()
    formgrader = tab.frame_locator("iframe").last
    formgrader.get_by_text("Manual Grading").click()
    formgrader.get_by_role("link", name="02_toy").click()
    formgrader.get_by_role("link", name="02_toy").last.click()
    formgrader.get_by_role("link", name="Submission #1").wait_for()
    tab.screenshot(path=course / "1-submissions.png")

    # A submission in a page of its own, as large as the screen.
    with Gradebook(f"sqlite:///{course}/grading/gradebook.db") as gradebook:
        ids = {s.student.id: s.id for s in gradebook.notebook_submissions("02_toy", "02_toy")}
    tab.goto(f"{lab}/formgrader/submissions/{ids['ada']}/")
    rubric = tab.locator('.rubric[data-question="q_sum"]')
    score, comment = tab.locator("#q_sum"), tab.locator("#q_sum-comment")
    rubric.locator("input:enabled").first.wait_for()
    assert "of 3 points ticked" in rubric.inner_text()
    tab.screenshot(path=course / "2-before.png")

    # A tick counts into the score and is kept in the comment; what the marker types stays.
    comment.fill("Well put.")
    rubric.get_by_text("names a layer that breaks it").click()
    expect(score).to_have_value("2")
    expect(comment).to_have_value("Well put.\n\n[x] 2 points: names a layer that breaks it.")
    rubric.get_by_text("whatever the").click()
    rubric.get_by_text("Model answer").click()
    saved(tab)
    tab.screenshot(path=course / "3-ticked.png", full_page=True)
    expect(score).to_have_value("3")

    # After a reload everything is as it was left.
    tab.reload()
    rubric.locator("input:enabled").first.wait_for()
    assert [box.is_checked() for box in rubric.get_by_role("checkbox").all()] == [True, True]
    rubric.get_by_role("checkbox").first.uncheck()
    expect(score).to_have_value("2")
    expect(comment).to_have_value("Well put.\n\n[x] 2 points: names a layer that breaks it.")
    # A score by hand stands, whatever is ticked.
    saved(tab)
    score.fill("2.5")
    comment.click()
    saved(tab)
    expect(score).to_have_value("2.5")
    expect(rubric.get_by_role("checkbox").nth(1)).to_be_checked()

    # By keyboard: from the score past the extra credit to the first criterion, and on to the next submission.
    score.click()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.dataset.points") == "1"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.dataset.points") == "2"
    tab.keyboard.press("Control+.")
    tab.wait_for_url(lambda url: ids["ada"] not in url)
    saved(tab)

    # Ben's answer runs nothing, and its heading does not catch the other question's score.
    tab.goto(f"{lab}/formgrader/submissions/{ids['ben']}/")
    rubric.locator("input:enabled").first.wait_for()
    assert tab.locator("a[href^=javascript]").count() == 0 and tab.locator("h1#q_claim").count() == 0
    tab.locator("#q_claim").fill("1")
    tab.locator("#q_claim-comment").click()
    saved(tab)
    tab.screenshot(path=course / "4-ben.png", full_page=True)
    expect(score).to_have_value("")
    assert not dialogs and not errors
    tab.close()

    # One command later, the mark is in the tables, and Ada reads on her page what earned it.
    table = grade_class(course / "grading" / "submitted", course / "grading")
    table = {(row["student"], row["question"]): row for row in table}
    assert table["ada", "q_sum"]["score"] == "2.5"
    assert table["ada", "q_sum"]["message"] == "Well put.\n\n[x] 2 points: names a layer that breaks it."
    assert table["ben", "q_claim"]["score"] == "1" and table["ben", "q_sum"]["verdict"] == "to be marked"
    tab = browser.new_page(viewport={"width": 1100, "height": 900})
    for student in ANSWERS:
        tab.goto((course / "grading" / "feedback" / student / "02_toy" / "02_toy.html").as_uri())
        tab.screenshot(path=course / f"5-feedback-{student}.png", full_page=True)
        said = tab.locator("body").inner_text()
        assert ("What earned points" in said) == (student == "ada")
    assert "waits to be marked" in said
    tab.close()
