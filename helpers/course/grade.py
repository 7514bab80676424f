"""The whole way from what was handed in to marks: intake, execute, compare, record, report."""

import contextlib
import logging
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, BaseConverter, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from tqdm.auto import tqdm
from traitlets.config import Config, PyFileConfigLoader

from helpers import COURSE
from helpers.course import whole
from helpers.course.intake import collect, earlier
from helpers.course.intake.attempts import Submission
from helpers.course.marks import late, ledger, recorded, reference
from helpers.course.marks.gradebook import one_engine
from helpers.course.marks.guard import back_up, one_grader, require_writable
from helpers.course.marks.place import Place, released, solved
from helpers.course.pages import registry
from helpers.course.pages.cells import Page
from helpers.course.pages.terms import terms
from helpers.course.report import drawn, overview, roster, tables
from helpers.course.run import cluster, finished, prepare, sandbox, shards
from helpers.course.run.executors import cores, executor_on
from helpers.course.run.forecast import Forecast
from helpers.course.run.limits import Limits
from helpers.course.run.shards import Shard


def grade(
    handed_in: collect.HandedIn,
    folder: str | Path,
    *,
    workers: int | None = None,
    page_paths: Iterable[str | Path] | None = None,
    cell_seconds: int | None = None,
    unsafe: bool = False,
    dask: str | None = None,
    merge: bool = False,
) -> list[tables.Row]:
    """Grade a folder of submissions into nbgrader's course folder `folder`.

    Args:
        handed_in: a folder or a zip in any layout that `intake.collect` knows, or several.
        folder: becomes or already is a course folder of nbgrader, with gradebook.db, feedback/ and grades.csv.
        workers: how many notebooks run at once; default one per core.
        page_paths: the sources of the assignments; default all in solutions/ and those `folder` was graded with.
        cell_seconds: how long one cell may run; default as in nbgrader_config.py.
        unsafe: grade even where this machine cannot isolate a student's code; sandbox.NoIsolation otherwise.
        dask: the address of a Dask scheduler on whose workers notebooks run, in the place of processes here.
        merge: run no submission: every run was made before, in shares (`run_shard`).

    Returns:
        The rows of grades.csv.

    Raises:
        FileNotFoundError: there is nothing at `handed_in`, or a page is not there.
        registry.MalformedPages: a page is malformed.
        cluster.ClusterError: the cluster is not there, or its workers are not as this machine is.
        shards.ShardError: runs are missing that were to be merged.
        guard.CannotGrade: another grader is at work in `folder`, or its gradebook is damaged.
        OSError: the disk is full or read-only; what was finished before is kept.
        sheet.SheetError: the roster or the table of extra time cannot be used.
    """
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    pages, releases, config = opened(handed_in, folder, page_paths, cell_seconds, unsafe)
    registry.remember(pages.values(), folder)
    with one_grader(folder), logged(folder / "grading.log"), one_engine():
        back_up(folder / "gradebook.db")
        ledger.require_whole(folder / "ledger.jsonl")
        with contextlib.nullcontext() if merge else executor_on(workers, dask) as executor:
            submissions = collect.collect(handed_in, releases, config)
            earlier.spare(submissions, folder, releases)
            check_sheets(folder, submissions, releases)
            accepted = [submission for submission in submissions if not submission.refused]
            for submission in accepted:
                keep(submission, folder)
            log_intake(submissions)
            handled = sorted({submission.assignment for submission in accepted})
            for name in handled:
                release(pages[name], folder, config)
            todo = to_run(accepted, [pages[name] for name in handled], releases, config)
            runs = run_everything(accepted, *todo, folder, executor, workers)
        record_everything(accepted, runs, folder, config)
        table = tables.rows(folder, submissions)
        tables.write(folder, table)
        report(table, pages, folder, config, workers)
    return table


def report(
    table: Sequence[tables.Row], pages: Mapping[str, Page], folder: Path, config: Config, workers: int | None
) -> None:
    """Write the class report; the pictures in it are drawn once and kept."""
    with executor_on(workers) as executor:
        pictures = drawn.pictures(pages.values(), table, folder / "runs", executor, limits_of(config))
    overview.write(folder, table, pages, terms().name, sandbox.described(sandbox.tier()), pictures)


def limits_of(config: Config) -> Limits:
    """Return what a student's notebook may use."""
    settings = config.GradingPreprocessor
    return Limits(settings.cell_seconds, settings.notebook_seconds, isolated=not settings.unsafe)


def run_shard(
    handed_in: collect.HandedIn,
    folder: str | Path,
    shard: Shard,
    *,
    workers: int | None = None,
    page_paths: Iterable[str | Path] | None = None,
    cell_seconds: int | None = None,
    unsafe: bool = False,
) -> tuple[int, int]:
    """Run one share of a class for `grade(..., merge=True)`; nothing but the folder's runs/ is written to.

    Arguments are those of `grade`, and so is what is raised. Every share needs all submissions, and the same ones.

    Returns:
        How many runs of the share are there now, and how many it has: fewer are there where some could not be made.
    """
    folder = Path(folder).absolute()
    runs = folder / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    pages, releases, config = opened(handed_in, folder, page_paths, cell_seconds, unsafe)
    done, log = shard.files(runs)
    done.unlink(missing_ok=True)
    with logged(log):
        accepted = [item for item in collect.collect(handed_in, releases, config) if not item.refused]
        handled = [pages[name] for name in sorted({submission.assignment for submission in accepted})]
        references, prepared, limits = to_run(accepted, handled, releases, config)
        mine = {key: each for each in (*references.values(), *prepared) if shard.holds(key := finished.key(each))}
        with executor_on(workers) as executor:
            made = dict(finished.run_all(mine.values(), runs, executor, limits, f"share {shard}"))
    if len(made) == len(mine):
        done.touch()
    return len(made), len(mine)


def opened(
    handed_in: collect.HandedIn,
    folder: Path,
    page_paths: Iterable[str | Path] | None,
    cell_seconds: int | None,
    unsafe: bool,
) -> tuple[dict[str, Page], dict[str, NotebookNode], Config]:
    """Return the pages, the notebooks that were released and the configuration; arguments are those of `grade`."""
    pages = registry.pages(page_paths or registry.paths(folder).values())
    releases = {name: released(page) for name, page in pages.items()}
    if not unsafe:
        sandbox.require(*collect.places(handed_in), folder, *(page.path for page in pages.values()))
    config = nbgrader_config(folder)
    config.GradingPreprocessor.unsafe = unsafe
    if cell_seconds:
        config.GradingPreprocessor.cell_seconds = cell_seconds
    return pages, releases, config


def check_sheets(folder: Path, submissions: Iterable[Submission], assignments: Iterable[str]) -> None:
    """Raise SheetError where the roster or the table of extra time cannot be used, before anything runs."""
    students = {submission.student for submission in submissions}
    students |= {place.name for place in (folder / "submitted").glob("*")}
    people = {person.student for person in roster.read(folder, students)}
    late.extra_time(folder / "extra_time.csv", students | people, list(assignments))


def nbgrader_config(folder: Path) -> Config:
    """Return the configuration in nbgrader_config.py, with `folder` as the course folder."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(COURSE)).load_config()
    config.CourseDirectory.root = str(folder)
    return config


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    """Send what nbgrader logs and warns of to a file instead of the terminal."""
    handler = logging.FileHandler(path, encoding="utf-8")
    # On a full disk, each line that cannot be written would be a traceback in the terminal.
    handler.handleError = lambda record: None  # type: ignore[method-assign]
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


def keep(submission: Submission, folder: Path) -> None:
    """Write a submission to submitted/ and its repairs to repairs/, where the feedback page takes them from.

    In submitted/<student>/<assignment>/ lie the repaired notebook, every attempt as it was handed in, and when the
    platform told it, the time in nbgrader's timestamp.txt. A submission that was collected from there stays.
    """
    place = folder / "submitted" / submission.student / submission.assignment
    notebook, stamp = place / f"{submission.assignment}.ipynb", place / "timestamp.txt"
    repairs = Place(folder, submission.student, submission.assignment).file("repairs", ".txt")
    if notebook.exists() and submission.source.exists() and notebook.samefile(submission.source):
        if repairs.exists():
            submission.repairs = list(dict.fromkeys([*repairs.read_text("utf-8").splitlines(), *submission.repairs]))
    else:
        for name, data in filter(None, (attempt.original() for attempt in submission.attempts)):
            whole.write(place / "attempts" / name, data)
        if submission.time:
            whole.write(stamp, f"{submission.time:%Y-%m-%d %H:%M:%S} UTC\n")
        else:
            stamp.unlink(missing_ok=True)
    whole.write(notebook, nbformat.writes(submission.notebook) + "\n")
    whole.write(repairs, "".join(f"{line}\n" for line in submission.repairs))


def log_intake(submissions: Iterable[Submission]) -> None:
    """Log every repair and every refusal."""
    log = logging.getLogger("traitlets")
    for submission in submissions:
        for line in filter(None, [submission.refused and f"refused: {submission.refused}", *submission.repairs]):
            log.warning("%s, %s: %s", submission.student, submission.assignment, line)


def release(page: Page, folder: Path, config: Config) -> None:
    """Tell the gradebook about an assignment; nbgrader's generate_assignment on the solved notebook."""
    whole.write(folder / "source" / page.name / f"{page.name}.ipynb", nbformat.writes(solved(page)))
    try:
        convert(GenerateAssignment, page.name, ".", config)
    except NbGraderException as error:
        require_writable(folder, after=error)
        reason = str(error.__cause__ or error)
        do = f"All that was said stands in {folder}/grading.log."
        if "there are submissions associated" in reason:
            do = "Graded cells can be changed then, but not added, removed or renamed: grade into a new folder."
        raise SystemExit(
            f"{page.path}: nbgrader cannot take this assignment into {folder}/gradebook.db: {reason}. {do}"
        ) from error
    if due := terms().due.get(page.name):
        with Gradebook(f"sqlite:///{folder}/gradebook.db", config.CourseDirectory.course_id) as gradebook:
            # nbgrader keeps times in UTC, without saying so.
            gradebook.update_or_create_assignment(page.name, duedate=due.replace(tzinfo=None))


def convert(converter: type[BaseConverter], assignment: str, student: str, config: Config) -> None:
    """Run one of nbgrader's converters on one student's assignment."""
    course = CourseDirectory(config=config)
    course.assignment_id, course.student_id = assignment, student
    app = converter(coursedir=course, config=config)
    app.force = True

    def this_one() -> None:
        # nbgrader's own looks for the files by patterns, in which a name with one of [ ] * ? finds others or none.
        place = course.format_path(app._input_directory, student, assignment)
        app.assignments, app.notebooks = {place: [f"{place}/{assignment}.ipynb"]}, []

    app.init_notebooks = this_one
    failures: list[Exception] = []
    for step in ("init_assignment", "convert_single_notebook"):
        setattr(app, step, noting(getattr(app, step), failures))
    before = Path.cwd()
    try:
        app.start()
    except NbGraderException as error:
        # nbgrader logs what went wrong, and does not say it.
        raise error from next(iter(failures), None)
    finally:
        os.chdir(before)


def noting(step: Callable[..., None], failures: list[Exception]) -> Callable[..., None]:
    """Return `step` as a function that also puts what it raises into `failures`."""

    def noted(*arguments: Any) -> None:
        try:
            step(*arguments)
        except Exception as failure:
            failures.append(failure)
            raise

    return noted


def run_everything(
    accepted: Sequence[Submission],
    references: Mapping[str, NotebookNode],
    prepared: Sequence[NotebookNode],
    limits: Limits,
    folder: Path,
    executor: Executor | None,
    workers: int | None,
) -> list[dict[str, str]]:
    """Run the references and all submissions, so that recording finds every run finished.

    Args:
        accepted: the submissions.
        references: from `to_run`, as the next two.
        prepared: one for each submission.
        limits: what each may use.
        folder: the course folder.
        executor: where they run; None where every run was made before.
        workers: how many run at once, for the forecast.

    Returns:
        For each submission the keys of the finished runs that its marks come from (`recorded.key`).

    Raises:
        shards.ShardError: there is no executor, and runs are missing.
    """
    notebooks, runs = [*references.values(), *prepared], folder / "runs"
    known = {name: finished.key(notebook) for name, notebook in references.items()}
    keys = [finished.key(notebook) for notebook in prepared]
    if executor is None:
        shards.require_all(finished.missing(notebooks, runs, limits), runs)
    else:
        kinds = {key: f"{name}, solved" for name, key in known.items()}
        kinds |= {key: item.assignment for key, item in zip(keys, accepted, strict=True)}
        new = {key: kind for key, kind in kinds.items() if not (runs / f"{key}.ipynb").exists()}
        forecast = Forecast(folder / "seconds.json")
        mine = Counter(new[key] for key in dict.fromkeys(keys) if key in new)
        at_once = executor.workers if isinstance(executor, cluster.Checked) else workers or cores()
        print(forecast.line(len(accepted), mine, Counter(new.values()) - mine, at_once), file=sys.stderr)
        try:
            for name, run in finished.run_all(notebooks, runs, executor, limits):
                if name in new:
                    forecast.note(new[name], run.metadata["took"])
        finally:
            forecast.write()
    return [{"reference": known[item.assignment], "submission": key} for item, key in zip(accepted, keys, strict=True)]


def to_run(
    accepted: Sequence[Submission], pages: Sequence[Page], releases: dict[str, NotebookNode], config: Config
) -> tuple[dict[str, NotebookNode], list[NotebookNode], Limits]:
    """Return the prepared notebooks: {assignment: its reference}, one for each submission; and their limits."""
    answered = {page.name: solved(page) for page in pages}
    references = {page.name: reference.notebook(page) for page in pages}
    prepared = [
        prepare.prepared(item.notebook, releases[item.assignment], answered[item.assignment])
        for item in accepted
        if item.notebook
    ]
    return references, prepared, limits_of(config)


def record_everything(
    accepted: Sequence[Submission], runs: Sequence[dict[str, str]], folder: Path, config: Config
) -> None:
    """Record each submission that is not recorded as it is now."""
    database = f"sqlite:///{folder}/gradebook.db"
    todo = []
    with Gradebook(database, config.CourseDirectory.course_id) as gradebook:
        for submission, keys in zip(accepted, runs, strict=True):
            place = Place(folder, submission.student, submission.assignment)
            if not recorded.is_recorded(place, keys, gradebook, config):
                todo.append((submission, place, keys))
    for submission, place, keys in tqdm(todo, desc="recording", unit="notebook", disable=not todo):
        recorded.forget(place)
        record(submission, folder, config)
        if not submission.refused:
            with Gradebook(database, config.CourseDirectory.course_id) as gradebook:
                recorded.keep(place, keys, gradebook, config)


def record(submission: Submission, folder: Path, config: Config) -> None:
    """Autograde one submission and make its feedback page; a failure costs nobody else anything."""
    try:
        convert(Autograde, submission.assignment, submission.student, config)
        convert(GenerateFeedback, submission.assignment, submission.student, config)
    except (NbGraderException, SystemExit) as error:
        require_writable(folder, after=error)
        submission.failed = True
        submission.refused = f"nbgrader could not grade it ({error}); see {folder / 'grading.log'}"
        shutil.rmtree(folder / "feedback" / submission.student / submission.assignment, ignore_errors=True)
