"""The whole way from what was handed in to marks: intake, execute, compare, record, report."""

import contextlib
import glob
import logging
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nbformat
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from tqdm.auto import tqdm
from traitlets.config import PyFileConfigLoader

from helpers import COURSE
from helpers.course import execute, intake, notebooks, reference, report
from helpers.course import source as sources


def grade(handed_in, folder, *, workers=None, page_paths=None, cell_seconds=None):
    """Grade a folder of submissions into nbgrader's course folder `folder`.

    Args:
        handed_in: the folder with `<student>/<notebook>.ipynb` or nbgrader's tree.
        folder: becomes or already is a course folder of nbgrader, with gradebook.db, feedback/ and grades.csv.
        workers: how many notebooks run at once; default one per core.
        page_paths: the sources of the assignments; default all in solutions/.
        cell_seconds: how long one cell may run; default as in nbgrader_config.py.

    Returns:
        The rows of grades.csv.
    """
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    paths = page_paths or sorted((COURSE / "solutions").glob("*.py"))
    pages = {page.name: page for page in map(sources.read, paths)}
    releases = {name: notebooks.student_notebook(page) for name, page in pages.items()}
    submissions = intake.collect(handed_in, releases)
    accepted = [submission for submission in submissions if not submission.refused]
    for submission in accepted:
        keep(submission, folder)
    config = nbgrader_config(folder)
    if cell_seconds:
        config.GradingPreprocessor.cell_seconds = cell_seconds
    handled = sorted({submission.assignment for submission in accepted})
    with logged(folder / "grading.log"):
        for name in handled:
            release(pages[name], folder, config)
        run_everything(accepted, [pages[name] for name in handled], releases, folder, config, workers)
        for submission in tqdm(accepted, desc="recording", unit="notebook"):
            record(submission, folder, config)
    table = report.rows(folder, submissions)
    report.write(folder, table)
    return table


def nbgrader_config(folder):
    """Return the configuration in nbgrader_config.py, with `folder` as the course folder."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(COURSE)).load_config()
    config.CourseDirectory.root = str(folder)
    return config


@contextlib.contextmanager
def logged(path):
    """Send what nbgrader logs and warns of to a file instead of the terminal."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(name) for name in ("traitlets", "py.warnings")]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
        handler.close()


def keep(submission, folder):
    """Write a repaired submission to submitted/, with the log of its repairs beside it."""
    place = folder / "submitted" / submission.student / submission.assignment
    place.mkdir(parents=True, exist_ok=True)
    nbformat.write(submission.notebook, place / f"{submission.assignment}.ipynb")
    if submission.repairs:
        (place / "repairs.txt").write_text("\n".join(submission.repairs) + "\n", "utf-8")


def release(page, folder, config):
    """Tell the gradebook about an assignment; nbgrader's generate_assignment on the solved notebook."""
    place = folder / "source" / page.name
    place.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebooks.solved_notebook(page), place / f"{page.name}.ipynb")
    try:
        convert(GenerateAssignment, page.name, ".", folder, config)
    except NbGraderException as error:
        raise SystemExit(
            f"{page.path}: nbgrader cannot take this assignment into {folder}/gradebook.db: {error}. Once submissions "
            "are graded, its graded cells can be changed but not added, removed or renamed. Grade into a new folder."
        ) from error


def convert(converter, assignment, student, folder, config):
    """Run one of nbgrader's converters on one student's assignment."""
    course = CourseDirectory(config=config)
    course.assignment_id, course.student_id = assignment, glob.escape(student)
    app = converter(coursedir=course, config=config)
    app.force = True
    before = Path.cwd()
    try:
        app.start()
    finally:
        os.chdir(before)


def run_everything(accepted, pages, releases, folder, config, workers):
    """Run the references and all submissions in parallel, so that recording finds every run finished."""
    solved = {page.name: notebooks.solved_notebook(page) for page in pages}
    todo = [reference.notebook(page) for page in pages]
    todo += [execute.prepared(item.notebook, releases[item.assignment], solved[item.assignment]) for item in accepted]
    limits = execute.Limits(config.GradingPreprocessor.cell_seconds, config.GradingPreprocessor.notebook_seconds)
    # Spawned, not forked: the parent holds threads and an open log.
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=get_context("spawn")) as executor:
        for _ in execute.run_all(todo, folder / "runs", executor, limits):
            pass


def record(submission, folder, config):
    """Autograde one submission and make its feedback page; a failure costs nobody else anything."""
    try:
        convert(Autograde, submission.assignment, submission.student, folder, config)
        convert(GenerateFeedback, submission.assignment, submission.student, folder, config)
    except (NbGraderException, SystemExit) as error:
        submission.refused = f"nbgrader could not grade it ({error}); see {folder / 'grading.log'}"
        shutil.rmtree(folder / "feedback" / submission.student / submission.assignment, ignore_errors=True)
