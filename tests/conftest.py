"""What tests share: how they are spread over the cores, the toy pages, and grading them."""

import shutil
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from nbgrader.api import Gradebook

from helpers.course import grade
from helpers.course.pages import registry
from tests.submissions import TOYS


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep the tests of a module, or of a page, on one core, where what they share is made once; long ones first."""
    for item in items:
        if "grade_class" in item.fixturenames:
            item.add_marker(pytest.mark.kernel)
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    started = {item.path for item in items if item.get_closest_marker("kernel")}
    items.sort(key=lambda item: item.path not in started)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No course assets, no network, and an empty cache, whose folder this is."""
    monkeypatch.delenv("COURSE_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def refuse(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    return tmp_path / "cache" / "looking-inside-cnns"


@pytest.fixture(scope="session")
def toys():
    """The pages in tests/toy by name."""
    return registry.pages(sorted(TOYS.glob("*.py")))


@pytest.fixture(scope="session")
def begun(tmp_path_factory):
    """A course folder with what takes seconds to make: an empty gradebook, and every run of a notebook so far."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "runs").mkdir()
    config = grade.nbgrader_config(folder)
    Gradebook(f"sqlite:///{folder}/gradebook.db", config.CourseDirectory.course_id).close()
    return folder


@contextmanager
def here(workers=None, dask=None):
    """An executor in this process, whose server for kernels serves one test after the other."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def grade_class(toys, begun, monkeypatch):
    """Grade a folder of submissions to the toy assignments into a course folder; return the table."""
    paths = [page.path for page in toys.values()]
    monkeypatch.setattr(grade, "executor_on", here)

    def grade_class(handed_in, into):
        if not into.exists():
            into.mkdir()
            shutil.copy(begun / "gradebook.db", into)
            (into / "runs").symlink_to(begun / "runs", target_is_directory=True)
        return grade.grade(handed_in, into, workers=1, page_paths=paths, unsafe=True)

    return grade_class
