"""The figures: what is drawn is what was given, with one look for one kind of map."""

import html
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from helpers import plots, predictions
from helpers.predictions import note_prediction

IMAGE = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))
MAP = torch.rand(6, 8, generator=torch.Generator().manual_seed(1))


def pixels_of(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def shown(panel):
    """The axes of a figure with this panel alone."""
    figure = plots.panels([[panel]])
    pixels_of(figure)
    return figure.axes[0]


def test_picture_shows_the_image_with_channels_last_and_cut_to_its_range():
    image = IMAGE.clone()
    image[0, 0, 0], image[1, 5, 7] = -1.0, 2.0
    drawn = shown(plots.picture(image)).images[0].get_array()
    assert np.array_equal(drawn, image.clamp(0, 1).permute(1, 2, 0).numpy())


def test_unsigned_starts_at_zero_and_ends_at_a_percentile_that_one_stray_pixel_does_not_move():
    values = torch.rand(50, 50, generator=torch.Generator().manual_seed(2))
    values[10, 10] = 1000.0
    drawn = shown(plots.unsigned(values)).images[0]
    low, high = drawn.get_clim()
    assert drawn.get_cmap().name == plots.SEQUENTIAL
    assert low == 0
    assert 0.98 < high <= 1


def test_signed_is_symmetric_about_zero_and_averages_channels():
    gradient = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(3))
    drawn = shown(plots.signed(gradient)).images[0]
    low, high = drawn.get_clim()
    assert drawn.get_cmap().name == plots.DIVERGING
    assert low == -high
    assert np.allclose(drawn.get_array(), gradient.mean(dim=0))
    red, _, blue, _ = colormaps[plots.DIVERGING](0.95)
    assert red > blue


def test_a_given_top_puts_maps_on_one_scale():
    assert shown(plots.unsigned(MAP, top=3.0)).images[0].get_clim() == (0, 3)
    assert shown(plots.signed(MAP, top=3.0)).images[0].get_clim() == (-3, 3)


def test_a_map_of_zeros_is_drawn_dark_and_without_a_warning(recwarn):
    figure = plots.panels([[plots.unsigned(torch.zeros(4, 4)), plots.overlay(IMAGE[:, :4, :4], torch.zeros(4, 4))]])
    pixels_of(figure)
    assert figure.axes[0].images[0].get_clim() == (0, 1)
    assert [str(warning.message) for warning in recwarn] == []


def test_overlay_leaves_the_image_alone_where_the_map_is_zero():
    values = torch.zeros(6, 8)
    values[2, 3] = 1.0
    below, above = shown(plots.overlay(IMAGE, values)).images
    alpha = above.get_array()[..., 3]
    assert alpha[2, 3] == 1
    assert np.count_nonzero(alpha) == 1
    assert below.get_array().min() > 0
    assert below.get_array().max() < 1


def test_outline_draws_half_open_boxes_and_borders_of_masks():
    mask = torch.zeros(6, 8, dtype=torch.bool)
    mask[2:4, 3:6] = True
    axes = shown(plots.outline(IMAGE, boxes=[(3, 2, 6, 4), (0, 0, 1, 1)], masks=[mask, torch.zeros_like(mask)]))
    box = axes.patches[0]
    assert (box.get_x(), box.get_y(), box.get_width(), box.get_height()) == (2.5, 1.5, 3, 2)
    assert len({patch.get_edgecolor() for patch in axes.patches}) == 2
    corners = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
    assert np.allclose([*corners.min(axis=0), *corners.max(axis=0)], [2.5, 1.5, 5.5, 3.5])


def test_panels_places_titles_heads_names_and_gaps():
    figure = plots.panels(
        [[plots.picture(IMAGE, "hay"), plots.unsigned(MAP)], [None, plots.signed(MAP - 0.5, "slope")]],
        heads=["the picture", "50 % of_it"],
        names=["first", "second"],
        title="All",
    )
    pixels_of(figure)
    assert figure.get_suptitle() == "All"
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles[0].endswith("\nhay")
    assert "50" in titles[1]
    assert titles[2:] == ["", "slope"]
    assert [figure.axes[0].get_ylabel(), figure.axes[2].get_ylabel()] == ["first", "second"]
    assert not figure.axes[2].images


def test_colour_bars_stand_under_maps_alone():
    with_bar, without = plots.panels([[plots.unsigned(MAP)]]), plots.panels([[plots.picture(IMAGE)]])
    assert len(with_bar.axes[0].child_axes) == 1
    assert with_bar.axes[0].child_axes[0].get_xticklabels()[0].get_text() == "0"
    assert len(without.axes[0].child_axes) == 0


def test_numpy_arrays_and_tensors_give_the_same_figure():
    by_tensor = plots.panels([[plots.picture(IMAGE), plots.unsigned(MAP), plots.overlay(IMAGE, MAP)]])
    image, values = IMAGE.numpy(), MAP.numpy()
    by_array = plots.panels([[plots.picture(image), plots.unsigned(values), plots.overlay(image, values)]])
    assert np.array_equal(pixels_of(by_tensor), pixels_of(by_array))


def test_figures_are_figures_that_show_themselves_as_png_and_leave_pyplot_alone():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    for figure in (
        plots.panels([[plots.picture(IMAGE)]]),
        plots.lines([1, 2, 3], {"a": [1, 2, 3], "b": [3, 2, 1]}, xlabel="x", ylabel="y", log_x=True),
        plots.bars({"group": {"a": 0.5, "b": 0.2}}, ylabel="mean"),
    ):
        assert isinstance(figure, Figure)
        assert figure._repr_png_().startswith(b"\x89PNG")
    assert plt.get_fignums() == before


def test_lines_draws_every_curve_with_its_name():
    figure = plots.lines([0.01, 0.1, 1], {"score": [1, 2, 3], "loss": [3, 2, 1]}, xlabel="x", ylabel="y", log_x=True)
    (axes,) = figure.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[1, 2, 3], [3, 2, 1]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["score", "loss"]
    assert axes.get_xscale() == "log"


def test_bars_are_as_long_as_their_values_and_highlight_some():
    figure = plots.bars({"left": {"a": 0.5, "b": 0.25}, "right": {"c": 1.0}}, ylabel="mean", highlight=["b"])
    left, right = figure.axes
    assert [bar.get_width() for bar in left.patches] == [0.5, 0.25]
    assert [bar.get_width() for bar in right.patches] == [1.0]
    assert left.patches[0].get_facecolor() != left.patches[1].get_facecolor()
    assert left.patches[0].get_facecolor() == right.patches[0].get_facecolor()


def test_bars_below_zero_and_bars_of_nothing_are_in_the_picture():
    figure = plots.bars({"signs": {"a": -0.5, "b": 0.25}, "nothing": {"c": [0.0, 0.0]}}, ylabel="mean")
    signs, nothing = figure.axes
    assert signs.get_xlim()[0] < -0.5 and nothing.get_xlim() == (0, 0.2)


def test_expected_picture_is_the_file_of_that_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plots, "DATA", tmp_path)
    png = plots.panels([[plots.picture(IMAGE)]])._repr_png_()
    (tmp_path / "expected").mkdir()
    (tmp_path / "expected" / "01_saliency-maps.png").write_bytes(png)
    assert plots.expected_picture("01_saliency-maps").data == png
    assert "reference solution" in capsys.readouterr().out


def test_a_missing_expected_picture_is_one_clear_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plots, "DATA", tmp_path)
    assert plots.expected_picture("01_saliency-nothing") is None
    assert capsys.readouterr().out == (
        "There is no expected picture '01_saliency-nothing' in data/expected; `make figures` draws it.\n"
    )


@pytest.mark.parametrize("values", [torch.zeros(3, 3), torch.full((3, 3), 1e-30), torch.eye(60)])
def test_robust_top_is_never_zero(values):
    assert plots.robust_top(values) > 0


def test_lines_differ_in_marker_and_dash_as_well_as_in_colour():
    figure = plots.lines([1, 2], {name: [1, 2] for name in "abcd"}, xlabel="x", ylabel="y")
    looks = [(line.get_marker(), line.get_linestyle()) for line in figure.axes[0].lines]
    assert len({marker for marker, _ in looks}) == len({dash for _, dash in looks}) == 4


def test_more_lines_than_can_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="found 5 curves, wanted at most 4"):
        plots.lines([1], {name: [1] for name in "abcde"}, xlabel="x", ylabel="y")


def test_several_runs_are_drawn_as_their_mean_in_a_band_from_lowest_to_highest():
    (axes,) = plots.lines([0, 1], {"a": [[0, 2], [4, 2]], "b": [1, 1]}, xlabel="x", ylabel="y").axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[2, 2], [1, 1]]
    (band,) = axes.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    assert {(0, 0), (0, 4), (1, 2)} <= corners


def test_a_bar_of_many_numbers_is_their_mean_with_its_interval():
    figure = plots.bars({"group": {"many": [0.0, 1.0] * 50, "one": 0.25}}, ylabel="mean")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.25]
    (whiskers,) = [lines for lines in axes.collections if len(lines.get_segments()) == 2]
    (low, _), (high, _) = whiskers.get_segments()[0]
    assert 0.38 < low < 0.42 and 0.58 < high < 0.62  # 0.5 +- 1.96 * 0.5 / sqrt(100)
    (low, _), (high, _) = whiskers.get_segments()[1]
    assert low == high == 0.25


def ends_of_the_bar(panel):
    bar = shown(panel).child_axes[0]
    return [label.get_text() for label in bar.get_xticklabels()] if bar.axison else [bar.texts[0].get_text()]


def test_the_ends_of_a_colour_bar_read_right():
    assert ends_of_the_bar(plots.unsigned(torch.zeros(4, 4))) == ["0 everywhere"]
    assert ends_of_the_bar(plots.signed(torch.zeros(3, 4, 4))) == ["0 everywhere"]
    assert ends_of_the_bar(plots.unsigned(torch.zeros(4, 4), top=2.0)) == ["0", "2"]
    assert ends_of_the_bar(plots.unsigned(torch.full((4, 4), 131.0))) == ["0", "130"]
    assert ends_of_the_bar(plots.signed(torch.full((4, 4), 99.7))) == ["-100", "100"]
    assert ends_of_the_bar(plots.unsigned(torch.full((4, 4), 0.00123))) == ["0", "0.0012"]


def test_a_signed_map_of_zeros_is_white():
    zeros = shown(plots.signed(torch.zeros(4, 4))).images[0]
    assert zeros.norm(0.0) == 0.5


def test_every_figure_says_in_words_what_it_shows():
    grid = plots.panels(
        [[plots.picture(IMAGE, "hay"), plots.unsigned(torch.zeros(4, 4))], [None, plots.signed(MAP, top=0.5)]],
        heads=["one", "two"],
        names=["first", ""],
        title="All",
    )
    assert grid.alt == (
        "All. Grid of 2 by 2 panels. Columns: one, two. first: picture, hay; map, 0 everywhere. "
        "Row 2: nothing; map from -0.5 to 0.5."
    )
    lines = plots.lines([1, 2], {"a": [0.5, 0.25], "b": [[0, 1], [1, 2]]}, xlabel="size", ylabel="score")
    assert lines.alt == "Lines of score against size. a: 0.5 at 1, 0.25 at 2. b: 0.5 at 1, 1.5 at 2."
    bars = plots.bars({"left\nside": {"a": 0.5, "b": [0, 1]}}, ylabel="mean")
    assert bars.alt == "Bars of mean. left side: a 0.50, b 0.50."
    assert plots.matrix([[1, 0.25]], rows=["r"], columns=["a", "b"]).alt == "Table of numbers. r: a 1.00, b 0.25."


def test_notebook_file_and_nbconvert_get_the_description():
    figure = plots.panels([[plots.picture(IMAGE, 'a "quoted" <name>')]])
    data, metadata = figure._repr_mimebundle_()
    assert metadata["image/png"]["alt"] == data["text/plain"] == figure.alt
    assert f'<img alt="{html.escape(figure.alt)}" src="data:image/png;base64,' in data["text/html"]
    assert Image.open(io.BytesIO(data["image/png"])).info["Description"] == figure.alt


def test_the_expected_picture_is_that_of_the_default_network_where_there_is_one(tmp_path, monkeypatch, capsys):
    drawn = {name: plots.panels([[plots.picture(IMAGE, name)]]) for name in ("book", "photographs")}
    monkeypatch.setattr(plots, "DATA", tmp_path)
    monkeypatch.setenv("COURSE_ASSETS", str(tmp_path / "assets"))
    for name, folder in {"book": "expected", "photographs": "assets/expected/squeezenet1_1"}.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "01_saliency-maps.png").write_bytes(drawn[name]._repr_png_())
    shown = {}
    for model in ("squeezenet1_1", "picturebook", "vgg16"):
        monkeypatch.setenv("COURSE_MODEL", model)
        shown[model] = plots.expected_picture("01_saliency-maps").alt
    assert shown == {
        "squeezenet1_1": drawn["photographs"].alt,
        "picturebook": drawn["book"].alt,
        "vgg16": drawn["book"].alt,
    }
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Expected on squeezenet1_1, from the reference solution."
    assert said[2].startswith("Expected on the picture book")


# Figures that are drawn again and again


def test_a_strip_keeps_its_places_whatever_the_titles_and_numbers_are():
    made = [
        plots.strip([plots.picture(IMAGE, title), plots.unsigned(factor * MAP, title)])
        for title, factor in (("hay", 1.0), ("two\nlines of many words", 12345.6))
    ]
    short, long = (Image.open(io.BytesIO(figure._repr_png_())) for figure in made)
    assert short.size == long.size
    inside = [figure.axes[0].get_window_extent().bounds for figure in made]
    assert inside[0] == inside[1]
    assert made[0].alt.startswith("Grid of 1 by 2 panels. Row 1: picture, hay; map from 0 to")


def test_a_strip_shows_the_whole_of_titles_of_two_lines_and_colour_bars():
    figure = plots.strip([plots.unsigned(MAP, "two\nlines")])
    figure.canvas.draw()
    edges = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert edges.x0 >= 0 and edges.y0 >= 0 and edges.x1 <= width and edges.y1 <= height


def test_ranked_draws_a_bar_for_each_number_on_the_scale_that_is_given():
    values = {"cat": 3.0, "fish": -1.0, "car": 0.5}
    panel = plots.ranked(values, low=-2.0, high=6.0, highlight=["fish"])
    figure = plots.strip([panel])
    bars = figure.axes[0].patches
    assert [bar.get_width() for bar in bars] == [3.0, -1.0, 0.5]
    assert [bar.get_facecolor()[:3] == to_rgb(plots.COLOURS[1]) for bar in bars] == [False, True, False]
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["cat", "3.00", "fish", "-1.00", "car", "0.50"]
    same_scale = plots.strip([plots.ranked({"cat": -2.0}, low=-2.0, high=6.0)]).axes[0].get_xlim()
    assert same_scale == figure.axes[0].get_xlim()
    assert figure.alt.endswith("bars: cat 3.00, fish -1.00, car 0.50.")


def test_overlays_of_one_scale_are_as_strong_as_their_values():
    full, half = (shown(plots.overlay(IMAGE, values, top=1.0)).images[1].get_array() for values in (MAP, MAP / 2))
    assert np.allclose(half[..., 3], full[..., 3] / 2)


# Predictions


def test_a_prediction_comes_back_above_the_expected_picture_of_its_figure_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plots, "DATA", tmp_path)
    monkeypatch.setattr(predictions, "_written", {})
    note_prediction("01_a-b", "  They   fill the\nobject.")
    assert capsys.readouterr().out == "Noted. It comes back below the figure.\n"
    plots.expected_picture("01_a-c")
    assert "predicted" not in capsys.readouterr().out
    for _ in range(2):
        plots.expected_picture("01_a-b")
        assert capsys.readouterr().out.startswith(
            "You predicted: They fill the object.\n\nThere is no expected picture"
        )
    note_prediction("01_a-b", " ")
    assert "Write between the quotes" in capsys.readouterr().out
    plots.expected_picture("01_a-b")
    assert "predicted" not in capsys.readouterr().out


# A figure that is replaced while it is made


def growing(count, stopped_after=None):
    for number in range(1, count + 1):
        yield plots.panels([[plots.picture(IMAGE, f"iteration {number} of {count}")]])
        if number == stopped_after:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("stopped_after", "left"), [(None, "iteration 4 of 4"), (2, "iteration 2 of 4")])
def test_live_hands_the_last_figure_on_also_when_it_is_stopped(stopped_after, left, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(
        plots, "display", lambda figure, **_: shown.append(figure) or SimpleNamespace(update=shown.append)
    )
    kept = []
    plots.live(growing(4, stopped_after), then=kept.append)
    assert len(shown) == (stopped_after or 4) and kept == shown[-1:]
    assert left in kept[0].alt
    assert ("Stopped here" in capsys.readouterr().out) == (stopped_after is not None)


def test_live_that_is_stopped_before_the_first_figure_hands_nothing_on(monkeypatch):
    def stopped():
        raise KeyboardInterrupt
        yield

    plots.live(stopped(), then=lambda figure: pytest.fail("there is no figure"))
