"""Widgets where there are some, and text elsewhere: on a page on GitHub, in a PDF, in a run without a browser."""

import ipywidgets


def bundle(box: ipywidgets.Widget, text: str) -> dict[str, object]:
    """Return what a notebook shows of a widget, with words of ours for readers without widgets."""
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    return {"text/plain": text, "application/vnd.jupyter.widget-view+json": view}
