"""What you expect of a figure, written down before you see it: it comes back beside the expected picture."""

import textwrap

_written: dict[str, str] = {}  # by the name of the figure


def note_prediction(figure: str, text: str) -> None:
    """Keep a prediction, and say so; an empty one takes an earlier one back. Nothing of it is marked.

    Args:
        figure: page and figure, such as "01_saliency-maps".
        text: what you expect to see.
    """
    _written[figure] = " ".join(text.split())
    if _written[figure]:
        print("Noted. It comes back below the figure.")
    else:
        print("Write between the quotes what you expect to see, and run this cell again.")


def predicted(figure: str) -> str:
    """Return the sentence that repeats what was predicted of a figure, in lines; "" where nothing was."""
    text = _written.get(figure, "")
    return textwrap.fill(f"You predicted: {text}", 100) if text else ""
