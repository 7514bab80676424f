"""Sliders and menus that draw a figure anew as they are moved.

    explore(draw, picture={"cat": 0, "car": 3}, samples=between(1, 64, at=16), epsilon=between(0.5, 64, at=8, log=True))

shows a menu or a slider for each choice, and the figure `draw(picture=..., samples=..., epsilon=...)`. Where `draw` is
a generator of figures, a button starts and stops it, and each figure takes the place of the one before.
"""

import asyncio
import base64
import inspect
import math
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets

from helpers.plots import Drawing
from helpers.widgets.shown import bundle

# Seconds between two figures. What arrives from the browser meanwhile is seen to first: a slider that is dragged over
# twenty values draws the last of them and not all twenty, and a button that stops is heard.
PAUSE = 0.03
# JupyterLab may have each control served by a thread of its own, beside that of the cells.
ONE_AT_A_TIME = threading.RLock()

STYLE = """<style>
.explorer .widget-hbox { gap: 0.2em 1.2em; }
.explorer .noUi-handle:focus-visible, .explorer select:focus-visible, .explorer button:focus-visible {
  outline: 3px solid #1c7ed6; outline-offset: 2px; }
.explorer img { max-width: 100%; height: auto; background: white; }
.explorer .explorer-error { padding: 0.35em 1em; border-left: 5px solid #e8590c; background: rgba(232, 89, 12, 0.12); }
.explorer .explorer-error pre { white-space: pre-wrap; line-height: 1.4; }
</style>"""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high` in steps of `step`, `at` being the first that is drawn; see `between`."""

    low: float
    high: float
    at: float
    step: float
    log: bool


def between(low: float, high: float, *, at: float | None = None, step: float | None = None, log: bool = False) -> Range:
    """Return a range of numbers for `explore`, which makes a slider of it.

    Args:
        low, high: the ends.
        at: where the slider stands at first; at `low` by default.
        step: the way to the next number; 1 where all the others are whole numbers, else a fiftieth of the whole range.
            Where that is logarithmic, the next number is always 19 % larger: four steps double it.
        log: whether equal ways on the slider are equal factors, and not equal differences.

    Raises:
        ValueError: for ends that are not in order, a start outside of them, and a logarithm of 0 or less.
    """
    at = low if at is None else at
    if not low < high or not low <= at <= high:
        raise ValueError(f"between: found {low} to {high}, at {at}; wanted low < high, and a start between them.")
    if log and low <= 0:
        raise ValueError(f"between: found a logarithmic range from {low} on; wanted numbers above 0. Begin above 0.")
    whole = all(isinstance(number, int) for number in (low, high, at))
    return Range(low, high, at, step or (1 if whole else (high - low) / 50), log)


class Explorer:
    """A control for each choice, and the figure of what is chosen.

    controls: {name: widget}
    figure: what was drawn last; None where nothing could be drawn
    error: what went wrong with what is chosen; "" where nothing did
    box: the widget
    """

    _running: "Explorer | None" = None  # one at a time, and none behind the back of a cell that is run again

    def __init__(self, draw: Callable[..., Any], choices: Mapping[str, Range | Mapping[str, Any]]):
        """Make the controls; draw nothing yet."""
        self.draw, self.choices = draw, choices
        self.figure: Drawing | None = None
        self.error = ""
        self.controls = {name: _control(name, values) for name, values in choices.items()}
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self._png: bytes | None = None
        self._figures: Iterator[Drawing] | None = None  # those to come, of what is chosen
        self._waits = False
        self.start = ipywidgets.ToggleButton(description="Start", icon="play")
        self.start.observe(self._pressed, "value")
        self._grows = inspect.isgeneratorfunction(draw)
        row = [*self.controls.values(), *[self.start] * self._grows]
        self._place = ipywidgets.HTML()
        self.box = ipywidgets.VBox(
            [ipywidgets.HTML(STYLE), ipywidgets.HBox(row, layout={"flex_flow": "row wrap"}), self._place]
        ).add_class("explorer")

    def show(self) -> bool:
        """Draw what is chosen, or say what went wrong, in the place of what was there; return whether it was drawn.

        Of a generator, draw the next figure, or leave the last one where it is.
        """
        chosen = {name: control.value for name, control in self.controls.items()}
        try:
            if self._grows:
                self._figures = self._figures or self.draw(**chosen)
                self.figure = next(self._figures)
            else:
                self.figure = self.draw(**chosen)
            self._png = self.figure._repr_png_()
        except StopIteration:
            self._figures = None
            return False
        except Exception as error:
            self.figure = self._png = self._figures = None
            self.error = f"{type(error).__name__}: {error}"
            self._place.value = _told(self.error, error)
            return False
        self.error = ""
        self._place.value = _image(self._png, self.figure.alt)
        return True

    def __str__(self) -> str:
        """Return the choices, and what is drawn, as plain text."""
        choices = [f"{_words(name)}: {_listed(values)}" for name, values in self.choices.items()]
        shown = self.error or (self.figure.alt if self.figure else "")
        return "\n".join(["Run this cell in JupyterLab or Colab to choose.", *choices, *[shown] * bool(shown)])

    def _repr_png_(self) -> bytes | None:
        """Return the figure of what is chosen, for those who show a PNG."""
        if self.figure is None:
            self.show()
        return self._png

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return the controls; for readers without widgets the first figure, and the choices as text."""
        with ONE_AT_A_TIME:
            if Explorer._running:
                Explorer._running.start.value = False
            png = self._repr_png_()
        still = {"image/png": base64.b64encode(png).decode()} if png else {}
        return bundle(self.box, str(self)) | still

    def _changed(self, _: Any) -> None:
        with ONE_AT_A_TIME:
            self._figures = None  # those were of other values
            if not self.start.value:
                self._soon()

    def _pressed(self, _: Any) -> None:
        with ONE_AT_A_TIME:
            self.start.description, self.start.icon = ("Stop", "pause") if self.start.value else ("Start", "play")
            if self.start.value:
                if Explorer._running:
                    Explorer._running.start.value = False
                Explorer._running = self
                self._soon()
            elif Explorer._running is self:
                Explorer._running = None

    def _soon(self) -> None:
        """Draw after a pause, in which more may change: then it is drawn once."""
        if self._waits:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel
            self._now()
        else:
            self._waits = True
            loop.call_later(PAUSE, self._now)

    def _now(self) -> None:
        with ONE_AT_A_TIME:
            self._waits = False
            if not self.show():
                self.start.value = False
            if self.start.value:
                self._soon()


def explore(draw: Callable[..., Any], **choices: Range | Mapping[str, Any] | Iterable[Any]) -> Explorer:
    """Return controls for the last line of a cell, which shows them, and the figure of what is chosen.

    Args:
        draw: a function of the choices, by name, which returns a figure of `helpers.plots`; or a generator of such
            figures, which a button starts and stops. What it raises is shown in the place of the figure.
        choices: for each, a range of numbers (`between`), the values there are, or {words: value}; of values, the first
            is drawn at first.

    Raises:
        ValueError: for a choice without values.
    """
    return Explorer(draw, {name: _checked(name, values) for name, values in choices.items()})


def _checked(name: str, values: Range | Mapping[str, Any] | Iterable[Any]) -> Range | Mapping[str, Any]:
    if isinstance(values, Range):
        return values
    named = values if isinstance(values, Mapping) else {str(value): value for value in values}
    if not named:
        raise ValueError(f"explore: found no value for {name!r}; wanted at least one to choose.")
    return named


def _control(name: str, values: Range | Mapping[str, Any]) -> ipywidgets.DOMWidget:
    label: dict[str, Any] = {"description": _words(name), "style": {"description_width": "initial"}}
    if not isinstance(values, Range):
        return ipywidgets.Dropdown(options=list(values.items()), layout={"width": "auto"}, **label)
    look: dict[str, Any] = label | {"layout": {"width": "22em"}, "value": values.at}
    if values.log:
        low, high = math.log2(values.low), math.log2(values.high)
        return ipywidgets.FloatLogSlider(base=2, min=low, max=high, step=0.25, readout_format=".3g", **look)
    ends = {"min": values.low, "max": values.high, "step": values.step}
    if isinstance(values.step, int):
        return ipywidgets.IntSlider(**ends, **look)
    return ipywidgets.FloatSlider(**ends, readout_format=".3g", **look)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _listed(values: Range | Mapping[str, Any]) -> str:
    if isinstance(values, Range):
        return f"{values.low:g} to {values.high:g}, here {values.at:g}"
    return ", ".join(values)


def _image(png: bytes, alt: str) -> str:
    """Return a PNG as HTML whose place is kept free and filled at once: else, the page would jump at each change."""
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))  # where each PNG file says so
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f'<img alt="{escape(alt)}" width="{width}" height="{height}" decoding="sync" src="{source}">'


def _told(words: str, error: Exception) -> str:
    """Return what went wrong as HTML that a screen reader reads out, with the traceback for those who want it."""
    lines = traceback.format_exception(type(error), error, error.__traceback__ and error.__traceback__.tb_next)
    where = f"<details><summary>Where</summary><pre>{escape(''.join(lines))}</pre></details>"
    return f'<div class="explorer-error" role="alert"><b>{escape(words)}</b>{where}</div>'
