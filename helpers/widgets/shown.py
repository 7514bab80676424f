"""Widgets where there are some, and text elsewhere: on a page on GitHub, in a PDF, in a run without a browser."""

import ipywidgets
from IPython.display import display


def show(box: ipywidgets.Widget, text: str) -> None:
    """Display a widget, with words of ours in place of its class name for readers without widgets."""
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    display({"text/plain": text, "application/vnd.jupyter.widget-view+json": view}, raw=True)
