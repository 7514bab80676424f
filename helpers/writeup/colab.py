"""Google Colab: whether this is it, the notebook in the browser, and files for it."""

import sys
from pathlib import Path


def is_here() -> bool:
    """Return whether this code runs in Colab."""
    return "google.colab" in sys.modules


def open_notebook() -> dict | None:
    """Return the notebook in the browser as parsed JSON, unsaved changes included; None where it is not handed over."""
    from google.colab import _message

    answer = _message.blocking_request("get_ipynb", timeout_sec=30)
    return answer["ipynb"] if answer else None


def offer_download(path: Path) -> None:
    """In Colab, hand a file to the browser; elsewhere do nothing."""
    if not is_here():
        return
    try:
        from google.colab import files

        files.download(str(path))
    except Exception as error:
        print(f"The download did not start ({error}). Take the file from the list of files on the left.")
