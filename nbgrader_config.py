"""Configuration of nbgrader: our preprocessors in its pipeline, its course folder in grading/."""

import os
import sys
from pathlib import Path

from nbconvert.preprocessors import ClearMetadataPreprocessor, CSSHTMLHeaderPreprocessor
from nbgrader.preprocessors import (
    AssignLatePenalties,
    DeduplicateIds,
    GetGrades,
    IgnorePattern,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
)

from helpers.course.marks.late import LatePenalty
from helpers.course.marks.preprocessors import CompareWithReference, RepairSubmission, RunSubmission, SaveVerdicts
from helpers.course.pages.terms import terms
from helpers.course.release.notebooks import RELEASE_PREPROCESSORS
from helpers.course.report.feedback import ClearHiddenHalves, ShowFigures, ShowVerdicts
from helpers.course.report.harmless import NoScript
from helpers.course.report.marking import ShowMarks, ShowRubrics
from helpers.course.report.pages import FeedbackExporter
from helpers.course.report.summary import ShowSummary

c = get_config()  # noqa: F821 (nbgrader provides it)

# nbgrader calls `alembic` by name; it lies beside the Python that runs this, whether its environment is active or not.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

c.CourseDirectory.course_id = "looking-inside-cnns"
# COURSE_GRADING names another folder that `make grade INTO=...` or `make demo` wrote.
GRADING = Path(__file__).parent / os.environ.get("COURSE_GRADING", "grading")
c.CourseDirectory.root = str(GRADING)

# Stubs and answer cells in the release are the same as in notebooks/.
c.GenerateAssignment.preprocessors = RELEASE_PREPROCESSORS

# nbgrader's CheckCellMetadata is not among them: all metadata are the release's, which was checked when it was built.
c.Autograde.sanitize_preprocessors = [
    RepairSubmission,
    DeduplicateIds,
    OverwriteKernelspec,
    OverwriteCells,
]
c.Autograde.autograde_preprocessors = [
    RunSubmission,
    CompareWithReference,
    NoScript,
    ShowVerdicts,
    ShowFigures,
    IgnorePattern,
    ClearMetadataPreprocessor,
    LimitOutput,
    SaveVerdicts,
    AssignLatePenalties,
]
c.GenerateFeedback.exporter_class = FeedbackExporter
c.GenerateFeedback.preprocessors = [
    GetGrades,
    ShowMarks,
    ShowSummary,
    ClearHiddenHalves,
    CSSHTMLHeaderPreprocessor,
]

# A notebook is validated when all preprocessors have been through it, not after each.
c.Exporter.optimistic_validation = True

# The page on which formgrader shows a submission: model answers and rubrics below the written answers.
c.HTMLExporter.preprocessors = [ShowRubrics]

# How long a student's code may run, in seconds.
c.GradingPreprocessor.cell_seconds = 30
c.GradingPreprocessor.notebook_seconds = 300
# Whether to run it where it cannot be isolated from this machine; `make grade UNSAFE=1` says so for one run.
c.GradingPreprocessor.unsafe = False

# What late work costs stands in course.toml.
c.AssignLatePenalties.plugin_class = LatePenalty
c.LatePenalty.per_day = terms().per_day
c.LatePenalty.grace_minutes = terms().grace_minutes
