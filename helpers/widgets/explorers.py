"""Menus that draw a figure anew.

    explore(draw, picture=["cat", "car"], steps=[20, 80])

shows a menu for each choice and the figure `draw(picture=..., steps=...)`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ipywidgets
from IPython.display import clear_output, display

from helpers.widgets.shown import show


class Explorer:
    """A menu for each choice, and the figure of what is chosen.

    menus: {name: widget}
    figure: what was drawn last
    box: the widget
    """

    def __init__(self, draw: Callable[..., Any], choices: Mapping[str, Mapping[str, Any] | Iterable[Any]]):
        """Draw with the first value of each choice."""
        self.draw, self.figure, self._output = draw, None, ipywidgets.Output()
        self.menus = {
            name: ipywidgets.Dropdown(
                options=list(values.items()) if isinstance(values, Mapping) else [(str(each), each) for each in values],
                description=name.replace("_", " "),
                style={"description_width": "initial"},
                layout={"width": "auto"},
            )
            for name, values in choices.items()
        }
        button = ipywidgets.Button(description="Draw")
        button.on_click(lambda _: self.show())
        row = ipywidgets.HBox([*self.menus.values(), button], layout={"flex_flow": "row wrap"})
        self.box = ipywidgets.VBox([row, self._output])

    def show(self) -> None:
        """Draw what is chosen, in the place of what was drawn before."""
        with self._output:
            clear_output(wait=True)
            self.figure = self.draw(**{name: menu.value for name, menu in self.menus.items()})
            display(self.figure)

    def __str__(self) -> str:
        """Return the choices as plain text."""
        lines = [f"{name}: {', '.join(menu._options_labels)}" for name, menu in self.menus.items()]
        return "\n".join(["Run this cell in JupyterLab or Colab to choose, then press Draw.", *lines])

    def _ipython_display_(self) -> None:
        show(self.box, str(self))
        self.show()


def explore(draw: Callable[..., Any], **choices: Mapping[str, Any] | Iterable[Any]) -> Explorer:
    """Return menus for the last line of a cell, which shows them, and the figure of what is chosen.

    Args:
        draw: a function of the choices, by name, which returns a figure.
        choices: for each, the values there are, or {words: value}. The first of each is drawn at first.
    """
    return Explorer(draw, choices)
