"""The figures: what is drawn is what was given, with one look for one kind of map."""

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from helpers import plots

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
