"""Piles of files as students and platforms leave them, and what is collected from them."""

import copy
import io
import os
import warnings
import zipfile
from datetime import datetime, timezone

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from helpers.course.intake.collect import collect
from tests.handed_out import RELEASE, F, tagged

OTHER = new_notebook(
    cells=[
        tagged(new_code_cell("def cam(x):\n    raise NotImplementedError"), "cam", solution=True),
        tagged(new_code_cell("check(cam)"), "test_cam", grade=True, locked=True, points=4),
    ]
)
RELEASES = {"01_saliency": RELEASE, "02_gradcam": OTHER}
NAME = "01_saliency.ipynb"


def answered(answer=F):
    notebook = copy.deepcopy(RELEASE)
    notebook.cells[3].source = answer
    return nbformat.writes(notebook)


def text_of(answer):
    return f"def f(x):\n    return {answer!r}"


def pile(folder, files):
    """Write {path: text or bytes, or (them, time)} as a folder."""
    for place, content in files.items():
        content, time = content if isinstance(content, tuple) else (content, None)
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if time:
            seconds = time.replace(tzinfo=timezone.utc).timestamp()
            os.utime(path, (seconds, seconds))
    return folder


def zipped(files):
    """Return {path: text or bytes, or (them, time)} as the bytes of a zip."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two files of the same name
        for place, content in files.items():
            content, time = content if isinstance(content, tuple) else (content, datetime(2025, 3, 1))
            info = place if isinstance(place, zipfile.ZipInfo) else zipfile.ZipInfo(place, time.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return data.getvalue()


def collected(path, **options):
    """Return {(student, assignment): submission}."""
    found = collect(path, RELEASES, **options)
    keys = [(item.student, item.assignment) for item in found]
    assert keys == sorted(set(keys))
    return {key: item for key, item in zip(keys, found, strict=True)}


def students(path, **options):
    """Return the students whose submissions can be graded; nothing is refused."""
    found = collected(path, **options)
    assert [item.refused for item in found.values() if item.refused] == []
    assert {assignment for _, assignment in found} == {"01_saliency"}
    return [student for student, _ in found]


def source_of(submission):
    return submission.notebook.cells[3].source
