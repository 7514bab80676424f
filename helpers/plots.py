"""Pictures of pictures: functions that return a matplotlib Figure; only `live` shows anything by itself.

A figure is a grid of panels. A panel is made by what it shows, so that one kind of map has one look in all notebooks:

    picture(image)          an image (3, H, W)
    unsigned(values)        a map (H, W) >= 0: black is 0, bright is the largest value
    signed(values)          a map (H, W) or (3, H, W) of both signs: blue is negative, white is 0, red is positive
    tinted(values)          a map (3, H, W) of both signs in its own colours around mid grey
    difference(change)      a change (3, H, W) of an image at its true size, or 10 times that, around mid grey
    overlay(image, values)  an unsigned map over its image, transparent where it is 0
    outline(image, ...)     an image with boxes and the borders of masks
    ranked(values)          a bar for each of a few named numbers

    panels([[picture(image, "hay"), unsigned(saliency_map, "saliency"), overlay(image, saliency_map)]])

Every map has a scale of its own, printed under it, since maps of different images or quantities can differ by orders of
magnitude. The scale ends at a high percentile of the sizes, so that one stray pixel does not darken all others.

Each Figure says in words what it shows, `figure.alt`, for those who cannot see it: notebook and PNG carry it along.
"""

import base64
import html
import io
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from IPython.display import Image, display
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL.Image import open as open_picture

from helpers import DATA, assets
from helpers.models import DEFAULT
from helpers.predictions import predicted
from helpers.spread import bootstrap

SEQUENTIAL = "inferno"
DIVERGING = "RdBu_r"
COLOURS = ("#e8590c", "#1c7ed6", "#2b8a3e", "#9c36b5")
MARKERS, DASHES = "os^D", ("-", "--", "-.", ":")  # lines differ in these as well, for eyes that mix colours up
PERCENTILE = 99.5
DPI = 110


class Drawing(Figure):
    """A Figure that every notebook shows as PNG, whether or not an inline backend has been set up.

    alt: what it shows, in words.
    """

    def __init__(self, alt, **options):
        """Take the description, and what matplotlib's Figure takes."""
        super().__init__(**options)
        self.alt = alt

    def _repr_png_(self):
        buffer = io.BytesIO()
        metadata = {"Software": None, "Description": self.alt}
        edges = "tight" if self.get_layout_engine() else None  # what has fixed places is drawn once, in its own size
        self.savefig(buffer, format="png", bbox_inches=edges, metadata=metadata)
        return buffer.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None):
        """Return the picture for those who show a PNG, with its description where nbconvert looks for it, and as HTML.

        JupyterLab and Colab give a PNG no alternative text; they do give it to HTML.
        """
        png = self._repr_png_()
        source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        shown = f'<img alt="{html.escape(self.alt)}" src="{source}">'
        return {"image/png": png, "text/html": shown, "text/plain": self.alt}, {"image/png": {"alt": self.alt}}


@dataclass(frozen=True)
class Panel:
    """One picture of a grid: what fills the axes, what stands above them, and the scale of its colours, if any."""

    draw: Callable  # draws on the axes it is given
    kind: str  # what it is, in words
    title: str = ""
    scale: tuple | None = None  # colour map, lowest value, highest value; both 0 where all of a map is


def picture(image, title=""):
    """Return a panel with an image (3, H, W) in [0, 1]; values outside are cut off."""
    pixels = _array(image).transpose(1, 2, 0).clip(0, 1)
    return Panel(lambda axes: axes.imshow(pixels, interpolation="nearest"), "picture", title)


def unsigned(values, title="", top=None):
    """Return a panel with a map (H, W) whose values are 0 or more.

    Args:
        values: the map.
        title: what stands above it.
        top: the value shown brightest; a high percentile of the map when None.
    """
    values = _array(values)
    return _map(values, title, SEQUENTIAL, 0.0, _top(values, top))


def signed(values, title="", top=None):
    """Return a panel with a map of both signs, (H, W), or (3, H, W) which is averaged over the channels."""
    values = _array(values)
    values = values.mean(axis=0) if values.ndim == 3 else values
    top = _top(values, top)
    return _map(values, title, DIVERGING, -top, top)


def tinted(values, title="", top=None):
    """Return a panel with a signed map (3, H, W) as a colour picture: 0 is mid grey, each channel has its own sign."""
    values = _array(values)
    top = top or robust_top(values)
    pixels = (0.5 + 0.5 * values / top).transpose(1, 2, 0).clip(0, 1)
    return Panel(lambda axes: axes.imshow(pixels, interpolation="nearest"), "map in colours around grey", title)


def difference(change, title="", times=1):
    """Return a panel with 0.5 + times * change, a change (3, H, W) of pixels; what leaves [0, 1] is cut off."""
    return tinted(change, title, top=0.5 / times)


def overlay(image, values, title="", top=None):
    """Return a panel with an unsigned map laid over its image (3, H, W), which is shown in pale grey.

    A map (h, w) of another size than the image is stretched over it. `top` is the value shown brightest; a high
    percentile of the map when None.
    """
    strength = (_array(values) / (top or robust_top(values))).clip(0, 1)
    height, width = image.shape[-2:]
    smooth = "nearest" if strength.shape == (height, width) else "bilinear"
    grey = 0.35 + 0.55 * _array(image).mean(axis=0)
    colours = colormaps[SEQUENTIAL](0.5 + 0.5 * strength)  # the dark half of the map would only dirty the image
    colours[..., 3] = strength

    def draw(axes):
        axes.imshow(grey, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.imshow(colours, interpolation=smooth, extent=(-0.5, width - 0.5, height - 0.5, -0.5))

    return Panel(draw, "map over its picture", title)


def outline(image, title="", *, boxes=(), masks=()):
    """Return a panel with an image and, in one colour each, boxes (x0, y0, x1, y1) and the borders of masks (H, W)."""
    base = picture(image)

    def draw(axes):
        base.draw(axes)
        for (x0, y0, x1, y1), colour in zip(boxes, COLOURS, strict=False):
            axes.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, color=colour, lw=2))
        for mask, colour in zip(masks, COLOURS, strict=False):
            if _array(mask).any():
                axes.contour(_array(mask).astype(float), levels=[0.5], colors=[colour], linewidths=2)

    marks = [f"{len(marked)} {name}" for name, marked in (("boxes", boxes), ("borders", masks)) if len(marked)]
    return Panel(draw, f"picture with {' and '.join(marks) or 'no marks'}", title)


def ranked(values, title="", low=0.0, high=None, highlight=()):
    """Return a panel with a horizontal bar for each number of {name: number}, in that order from above.

    Args:
        values: the names, and their numbers.
        title: what stands above it.
        low, high: where the scale begins and ends; by default at 0 or the least number, and at the largest.
        highlight: the names whose bars have the strong colour; the others are grey.
    """
    low, high = min(low, *values.values()), max(values.values()) if high is None else high
    width = high - low or 1.0
    colours = [COLOURS[1] if name in highlight else "#adb5bd" for name in values]
    told = ", ".join(f"{name} {number:.2f}" for name, number in values.items())

    def draw(axes):
        axes.barh(range(len(values)), list(values.values()), color=colours)
        for place, (name, number) in enumerate(values.items()):
            axes.text(low - 0.04 * width, place, name, ha="right", va="center", fontsize=7)
            axes.text(max(number, 0) + 0.03 * width, place, f"{number:.2f}", va="center", fontsize=7)
        axes.set(xlim=(low - 0.75 * width, low + 1.3 * width), ylim=(len(values) - 0.5, -0.5))

    return Panel(draw, f"bars: {told}", title)


def robust_top(values):
    """Return the value that ends a map's scale: a high percentile of the sizes, and never 0."""
    sizes = np.abs(_array(values))
    return float(np.percentile(sizes, PERCENTILE)) or float(sizes.max()) or 1.0


def panels(rows, *, heads=(), names=(), title="", width=1.9):
    """Return a Figure with a grid of panels.

    Args:
        rows: lists of panels; None leaves a place empty.
        heads: a heading for each column, above the titles of the panels.
        names: a name for each row, at its left.
        title: what stands above the whole.
        width: inches for one panel.
    """
    columns = max(len(row) for row in rows)
    heights = [width * _relative_height(row) for row in rows]
    lines_above = 0.2 * bool(heads) + 0.4 * bool(title)
    alt = _in_words(rows, heads, names, title)
    figure = Drawing(alt, figsize=(1.08 * columns * width, sum(heights) + lines_above), dpi=DPI, layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    if title:
        figure.suptitle(title, fontsize=11)
    for row, row_axes in zip(rows, grid, strict=True):
        for panel, axes in zip([*row, *[None] * (columns - len(row))], row_axes, strict=True):
            _fill(axes, panel)
    for head, axes in zip(heads, grid[0], strict=False):
        below = axes.get_title()
        axes.set_title(f"$\\bf{{{_escaped(head)}}}$" + (f"\n{below}" if below else ""), fontsize=9)
    for name, axes in zip(names, grid[:, 0], strict=False):
        if not axes.axison:  # a label needs the axis that it stands at, though not its ticks
            axes.set_axis_on()
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        axes.set_ylabel(name, fontsize=9)
    return figure


def strip(row, *, width=2.0):
    """Return a Figure with one row of panels at fixed places, drawn in half the time that `panels` takes.

    For what is drawn again and again: no number or title of another length moves a picture.

    Args:
        row: panels, each with a title of at most two lines.
        width: inches for one panel.
    """
    height, gap = width + 0.75, 0.12
    size = (len(row) * (width + gap) + gap, height)
    figure = Drawing(_in_words([row], (), (), ""), figsize=size, dpi=DPI)
    for number, panel in enumerate(row):
        place = (gap + number * (width + gap)) / size[0], 0.3 / height, width / size[0], width / height
        _fill(figure.add_axes(place), panel)
    return figure


def lines(x, curves, *, xlabel, ylabel, title="", log_x=False, log_y=False, size=(6, 3)):
    """Return a Figure with one line for each entry of `curves`; on a log x, ticks are at x.

    Args:
        x: where the values were measured.
        curves: {name: values at x}, or {name: [values at x, ...]} for several runs of one thing: then the line is
            their mean, and a band reaches from the lowest to the highest.
        xlabel, ylabel, title: what stands at the axes, and above.
        log_x, log_y: whether an axis is logarithmic.
        size: width and height in inches.
    """
    if len(curves) > len(COLOURS):
        raise ValueError(f"lines: found {len(curves)} curves, wanted at most {len(COLOURS)}, told apart at a glance.")
    means = {name: np.atleast_2d(np.asarray(values, dtype=float)).mean(axis=0) for name, values in curves.items()}
    told = [
        f"{name}: {', '.join(f'{_number(value)} at {_number(place)}' for place, value in zip(x, mean, strict=True))}"
        for name, mean in means.items()
    ]
    alt = _sentences(title, f"Lines of {ylabel} against {xlabel}", *told)
    figure = Drawing(alt, figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for (name, values), colour, marker, dash in zip(curves.items(), COLOURS, MARKERS, DASHES, strict=False):
        runs = np.atleast_2d(np.asarray(values, dtype=float))
        axes.plot(x, runs.mean(axis=0), dash, marker=marker, markersize=5, color=colour, label=name)
        if len(runs) > 1:
            axes.fill_between(x, runs.min(axis=0), runs.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    if log_x:
        axes.set_xscale("log")
        axes.set_xticks(x, labels=[f"{value:g}" for value in x])
        axes.minorticks_off()
    if log_y:
        axes.set_yscale("log")
    _label(axes, xlabel, ylabel, title)
    return figure


def bars(groups, *, ylabel, title="", highlight=(), size=(7, 3)):
    """Return a Figure with bars for each group.

    Args:
        groups: {name of the group: {name of the bar: value}}. A value is a number, or the numbers, one for each
            picture, that the bar is the mean of: then a line shows the 95 % bootstrap interval of this mean.
        ylabel: what the values are.
        title: what stands above the whole.
        highlight: the names of the bars drawn in the strong colour; the others are grey.
        size: width and height in inches.
    """
    told = [
        f"{_one_line(name)}: {', '.join(f'{bar} {_mean_and_ends(value)[0]:.2f}' for bar, value in values.items())}"
        for name, values in groups.items()
    ]
    figure = Drawing(_sentences(title, f"Bars of {ylabel}", *told), figsize=size, dpi=DPI, layout="constrained")
    for axes, (name, values) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
        colours = [COLOURS[1] if bar in highlight else "#adb5bd" for bar in values]
        means, ends = zip(*map(_mean_and_ends, values.values()), strict=True)
        reach = [[abs(end - mean) for mean, end in zip(means, side, strict=True)] for side in zip(*ends, strict=True)]
        whiskers = {"xerr": reach, "error_kw": {"elinewidth": 1, "capsize": 2}} if np.any(reach) else {}
        drawn = axes.barh(list(values), means, color=colours, **whiskers)
        axes.bar_label(drawn, labels=[f"{mean:.2f}" for mean in means], padding=2, fontsize=8)
        axes.invert_yaxis()
        lows, highs = zip(*ends, strict=True)
        low, high = min(0, *lows), max(0, *highs)
        room = 0.2 * (high - low or 1)  # for the numbers
        axes.set_xlim(low - room if low else 0, high + room)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(name, fontsize=9)
    figure.supxlabel(ylabel, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def matrix(values, *, rows, columns, title="", size=None):
    """Return a Figure with a table of numbers between 0 and 1, each on a colour of its own.

    Args:
        values: a list of rows, each a list of numbers.
        rows: a name for each row.
        columns: a name for each column.
        title: what stands above the whole.
        size: width and height in inches.
    """
    size = size or (1.8 + 0.95 * len(columns), 0.9 + 0.42 * len(rows))
    told = [
        f"{row}: {', '.join(f'{column} {number:.2f}' for column, number in zip(columns, numbers, strict=True))}"
        for row, numbers in zip(rows, values, strict=True)
    ]
    figure = Drawing(_sentences(title, "Table of numbers", *told), figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.imshow(values, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    for row, numbers in enumerate(values):
        for column, number in enumerate(numbers):
            colour = "black" if number > 0.6 else "white"
            axes.text(column, row, f"{number:.2f}", ha="center", va="center", color=colour, fontsize=10)
    axes.set_xticks(range(len(columns)), columns, fontsize=9)
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def live(figures, then=None):
    """Show Figures one after the other in one place of a cell's output, while they are being made; the last one stays.

    The stop button of the notebook ends it early: the last one stays then, too, and the cells below run.

    Args:
        figures: an iterable of Figures, such as a generator that does some work before it yields the next.
        then: a function that gets the last one at the end, whether it came to that by itself or was stopped.
    """
    handle = last = None
    try:
        for last in figures:
            if handle is None:
                handle = display(last, display_id=True)
            else:
                handle.update(last)
    except KeyboardInterrupt:
        print("Stopped here. The last picture stays as it is.")
    if then is not None and last is not None:
        then(last)


def expected_path(name, model="picturebook"):
    """Return where the expected picture of a figure lies, or would lie, None where it is not to be had.

    Those of the picture book come with the course. Those of another network show photographs, which the course must not
    hand on: where COURSE_ASSETS holds them, they are drawn into its folder `expected`.
    """
    if model.startswith("picturebook"):
        return DATA / "expected" / f"{name}.png"
    return assets.asset(f"expected/{model}/{name}.png")


def expected_picture(name):
    """Return the picture the reference solution draws, for a notebook to show; it prints on which network.

    Before that it repeats what you predicted, if you did.

    Args:
        name: page and figure, such as "01_saliency-maps".

    Returns:
        An IPython Image of the default network where there is one, else of the picture book; None, with a printed line,
        where the course has no such picture.
    """
    if prediction := predicted(name):
        print(f"{prediction}\n")
    model = os.environ.get("COURSE_MODEL") or DEFAULT
    path = expected_path(name, model)
    if path is None:
        model, path = "picturebook", expected_path(name)
    if not path.exists():
        print(f"There is no expected picture {name!r} in data/expected; `make figures` draws it.")
        return None
    if model.startswith("picturebook"):
        print("Expected on the picture book, from the reference solution. With another network, compare what it shows.")
    else:
        print(f"Expected on {model}, from the reference solution.")
    return described(path)


def described(path):
    """Return a PNG file as an IPython Image, with the description that the file holds."""
    with open_picture(path) as picture:
        return Image(filename=str(path), alt=picture.info.get("Description"))


def _array(values):
    return values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)


def _mean_and_ends(value):
    """Return the length of a bar, and where its interval begins and ends: at the length itself for a number."""
    if np.ndim(_array(value)) == 0:
        return float(value), (float(value), float(value))
    return float(np.mean(_array(value), dtype=float)), bootstrap(value)


def _map(values, title, colours, low, high):
    shown = (low, high) if high else (-1.0 if colours == DIVERGING else 0.0, 1.0)

    def draw(axes):
        axes.imshow(values, cmap=colours, vmin=shown[0], vmax=shown[1], interpolation="nearest")

    return Panel(draw, "map", title, (colours, low, high))


def _top(values, top):
    """Return where a map's scale ends: at `top` where one is given, at 0 where all of the map is 0."""
    return top or (robust_top(values) if np.any(values) else 0.0)


def _number(value):
    """Return a number with two digits that count, as people write it: 130, and not 1.3e+02."""
    return f"{float(f'{value:.2g}'):g}"


def _in_words(rows, heads, names, title):
    """Return what a grid of panels shows."""
    told = []
    for number, row in enumerate(rows):
        name = names[number] if number < len(names) and names[number] else f"Row {number + 1}"
        told.append(f"{_one_line(name)}: {'; '.join(_told(panel) for panel in row)}")
    columns = f"Columns: {', '.join(map(_one_line, heads))}" if heads else ""
    return _sentences(title, f"Grid of {len(rows)} by {max(map(len, rows))} panels", columns, *told)


def _told(panel):
    """Return what a panel shows."""
    if panel is None:
        return "nothing"
    scale = ""
    if panel.scale:
        _, low, high = panel.scale
        scale = f" from {_number(low)} to {_number(high)}" if low or high else ", 0 everywhere"
    return f"{panel.kind}{scale}" + (f", {_one_line(panel.title)}" if panel.title else "")


def _sentences(*parts):
    return " ".join(f"{part}." for part in parts if part)


def _one_line(text):
    return " ".join(str(text).split())


def _relative_height(row):
    """Return the height of a row over the width of a panel: image, titles, and colour bars below."""
    lines_of_title = max((1 + panel.title.count("\n") for panel in row if panel and panel.title), default=0)
    return 1.1 + 0.075 * lines_of_title + 0.14 * any(panel is not None and panel.scale for panel in row)


def _fill(axes, panel):
    axes.set_axis_off()
    if panel is None:
        return
    panel.draw(axes)
    axes.set_title(panel.title, fontsize=9)
    if panel.scale:
        colours, low, high = panel.scale
        inset = axes.inset_axes([0, -0.07, 1, 0.04])
        if low == high == 0:  # a bar from 0 to something would claim that something is there
            inset.set_axis_off()
            inset.text(0, 0.5, "0 everywhere", fontsize=7, va="center", transform=inset.transAxes)
            return
        bar = axes.figure.colorbar(ScalarMappable(Normalize(low, high), colours), cax=inset, orientation="horizontal")
        bar.set_ticks([low, high], labels=[_number(low), _number(high)])
        bar.ax.tick_params(labelsize=7, length=0, pad=1)
        bar.ax.get_xticklabels()[0].set_horizontalalignment("left")
        bar.ax.get_xticklabels()[-1].set_horizontalalignment("right")
        bar.outline.set_visible(False)


def _label(axes, xlabel, ylabel, title):
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.set_title(title, fontsize=11)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)


def _escaped(text):
    # Mathtext draws "-" as a minus sign, with space around it; U+2010 is the hyphen.
    return text.replace(" ", r"\ ").replace("_", r"\_").replace("%", r"\%").replace("-", "\u2010")
