"""Figures from one notebook to another, and the words of an answer."""

import sys
import types
from pathlib import Path

import pytest
from IPython.display import Image
from matplotlib.figure import Figure

from helpers.writeup import figures, save_figure, saved_figure
from helpers.writeup.formulas import formulas_out
from helpers.writeup.words import count_words


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COURSE_FIGURES", raising=False)
    monkeypatch.setattr(figures, "_said_once", set())


@pytest.fixture
def figure():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2])
    return figure


@pytest.fixture
def colab(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))


def test_a_saved_figure_is_returned_and_shown_by_the_other_notebook(figure, tmp_path, capsys):
    assert save_figure(figure, "01_saliency-maps") is figure
    path = tmp_path / "figures" / "01_saliency-maps.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == f"Saved {Path('figures', '01_saliency-maps.png')}\n"
    shown = saved_figure("01_saliency-maps")
    assert isinstance(shown, Image)
    assert shown.data == path.read_bytes()


def test_the_folder_is_the_one_of_the_environment_if_it_is_set(figure, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_FIGURES", str(tmp_path / "mine"))
    save_figure(figure, "02_gradcam-guided")
    assert (tmp_path / "mine" / "02_gradcam-guided.png").is_file()


def test_colab_keeps_figures_on_the_drive_where_one_is_mounted(figure, tmp_path, monkeypatch, capsys, colab):
    monkeypatch.setattr(figures, "DRIVE", tmp_path)
    save_figure(figure, "01_saliency-maps")
    assert (tmp_path / "looking-inside-cnns" / "figures" / "01_saliency-maps.png").is_file()
    assert "forgets" not in capsys.readouterr().out


def test_colab_without_a_drive_says_once_how_to_keep_figures(figure, tmp_path, monkeypatch, capsys, colab):
    monkeypatch.setattr(figures, "DRIVE", tmp_path / "none")
    save_figure(figure, "01_saliency-maps")
    assert 'drive.mount("/content/drive")' in capsys.readouterr().out
    save_figure(figure, "01_saliency-doubt")
    assert "drive.mount" not in capsys.readouterr().out


def test_a_missing_figure_is_a_box_that_says_where_it_is_made_and_never_a_picture():
    shown = saved_figure("02_gradcam-guided")
    for text in (repr(shown), shown._repr_html_()):
        assert "02_gradcam.ipynb" in text
        assert "guided" in text
    assert not hasattr(shown, "_repr_png_")
    assert not hasattr(shown, "_repr_mimebundle_")


@pytest.mark.parametrize("name", ["maps", "../01_saliency-maps", "01_saliency-maps.png", "", None])
def test_a_name_that_is_none_is_refused(name, figure):
    with pytest.raises(ValueError, match="wanted notebook-figure"):
        save_figure(figure, name)
    with pytest.raises(ValueError, match="wanted notebook-figure"):
        saved_figure(name)


def test_what_is_no_figure_is_refused(figure):
    with pytest.raises(TypeError, match="found Axes, wanted a matplotlib Figure"):
        save_figure(figure.axes[0], "01_saliency-maps")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("one two\nthree", 3),
        ("*one* **two** ~~three~~ `four` - -- ...", 4),
        ("# One\n\n- two\n* three\n1. four\n2) five\n- [x] six\n> seven\n\n---", 7),
        ("$x$-axis and $\\frac{a b}{c d}$", 3),
        ("$$\na_i = b \\\\\nc = d\n$$\nthen $ x = 3 $", 3),
        ("\\begin{align}a &= b \\\\ c &= d\\end{align} so", 2),
        ("\\\\( a + b \\\\) and \\\\[ c d \\\\]", 3),
        ("`$HOME` and `$PATH` differ", 4),
        ("between $5 and $6, or \\$7 and \\$8", 8),
        ("$a\n\nb$ c", 3),
        ("[two words](https://example.org/a_(b) 'title here')", 2),
        ("<https://example.org> https://example.org/x see", 1),
        ("![alt text](attachment:x.png) one", 1),
        ("[one][a]\n\n[a]: https://example.org/some/where", 1),
        ("one[^1] two\n\n[^1]: three four", 4),
        ('<font color="red">one</font> two<br>three <!-- not these words --> &nbsp; &mdash;', 3),
        ("| a|b |\n|---|:-:|\n|c|$x|y$|", 4),
        ("```python\nx = y + 1\n```\none", 4),
        ("naïve 李雷 and/or e.g. 3.14 §§", 5),
    ],
)
def test_words_are_counted_by_the_rule(text, words):
    assert count_words(text) == words


def test_formulas_are_found_as_jupyter_finds_them():
    text = "$a_1$ `$b$` $$c$$ \\$d $ e $ \\begin{align*}f\\end{align*}\n~~~\n$g$\n~~~\n$h$"
    found = []
    formulas_out(text, lambda tex, displayed: found.append((tex, displayed)) or "")
    assert found == [
        ("a_1", False),
        ("c", True),
        ("e", False),
        ("\\begin{align*}f\\end{align*}", True),
        ("h", False),
    ]


@pytest.mark.parametrize("piece", ["$", "`", "$a ", "\\begin{align}", "\\\\(", "<!--", "](", "- ", "`` ` "])
def test_a_hostile_text_is_counted_to_the_end(piece):
    assert count_words(piece * 10_000) <= 10_000
