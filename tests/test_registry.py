"""Which pages there are, and where a course folder finds those it was graded with."""

import os
import shutil

import pytest

from helpers import COURSE
from helpers.course.pages import registry, source

TOY = COURSE / "tests" / "toy" / "01_toy.py"


@pytest.fixture
def mine(tmp_path):
    """A page outside solutions/."""
    return shutil.copy(TOY, tmp_path / "01_toy.py")


def test_the_pages_of_the_course_are_those_in_solutions():
    pages = registry.pages()
    assert "01_saliency" in pages and "01_toy" not in pages
    assert all(page.path == registry.SOLUTIONS / f"{name}.py" for name, page in pages.items())


def test_a_page_is_read_anew_only_where_its_file_has_changed(mine):
    page = registry.read(mine)
    assert registry.read(mine) is page
    mine.write_text(mine.read_text("utf-8").replace("# # A toy assignment", "# # Another toy"), "utf-8")
    os.utime(mine, (0, 0))
    assert registry.read(mine).title == "Another toy"


def test_a_course_folder_finds_the_pages_it_was_graded_with_until_others_take_their_place(mine, tmp_path):
    folder = tmp_path / "grading"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match="found no assignment '01_toy'; known are 01_saliency, "):
        registry.page_of("01_toy", folder)
    registry.remember([registry.read(mine), registry.page_of("01_saliency")], folder)
    assert registry.page_of("01_toy", folder).path == mine
    assert registry.page_of("01_saliency", folder).path == registry.SOLUTIONS / "01_saliency.py"
    registry.remember([registry.read(TOY)], folder)
    assert registry.page_of("01_toy", folder).path == TOY


def test_a_page_in_solutions_is_not_remembered_so_that_a_course_may_be_moved(mine, tmp_path):
    registry.remember([registry.page_of("01_saliency")], tmp_path)
    assert not (tmp_path / "pages.json").exists()


def test_a_page_that_is_gone_is_asked_for(mine, tmp_path):
    registry.remember([registry.read(mine)], tmp_path)
    mine.unlink()
    with pytest.raises(FileNotFoundError, match=rf"found no page at {mine}; put it back"):
        registry.page_of("01_toy", tmp_path)


def test_malformed_pages_are_refused_with_all_that_is_wrong_with_any_of_them(mine, tmp_path):
    untitled = tmp_path / "02_untitled.py"
    untitled.write_text("# %%\nx = 1\n", "utf-8")
    mine.write_text(mine.read_text("utf-8").replace(" points=4", ""), "utf-8")
    with pytest.raises(source.SourceError, match="page without a title"):
        registry.read(untitled)
    with pytest.raises(registry.MalformedPages, match=r"(?s)check without points.*page without a title"):
        registry.pages([mine, TOY, untitled])
