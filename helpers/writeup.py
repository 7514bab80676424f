"""What written answers are made of: figures that one notebook saves and another collects, and words that are counted.

A figure cell ends with `save_figure(figure, "01_saliency-maps")`. The writeup shows the figure with
`saved_figure("01_saliency-maps")`; the picture in that cell's output is the one that is handed in.
"""

import html
import io
import os
import re
import sys
from pathlib import Path

from IPython.display import Image
from PIL.Image import open as open_picture

DRIVE = Path("/content/drive/MyDrive")  # where Colab mounts Google Drive
ON_DRIVE = Path("looking-inside-cnns", "figures")
DPI = 150

_NAME = re.compile(r"(\d\d_\w+)-([\w-]+)", re.ASCII)
_SHOWS = re.compile(r"""\s*saved_figure\(\s*(["'])(\d\d_\w+-[\w-]+)\1\s*\);?\s*""", re.ASCII)
_said_once = set()


# ------------------------------------------------------------------------------------------------ figures


def save_figure(figure, name: str):
    """Save a figure as <name>.png for the writeup, say where, and return it, so that the cell shows it.

    The folder is $COURSE_FIGURES if set; in Colab with Google Drive mounted, looking-inside-cnns/figures on the drive;
    else `figures` in the working folder.

    Args:
        figure: a matplotlib Figure.
        name: the notebook and a name of its own in it, such as "01_saliency-maps".
    """
    _parts(name)
    if not hasattr(figure, "savefig"):
        raise TypeError(
            f"found {type(figure).__name__}, wanted a matplotlib Figure. Save the figure, not what is in it."
        )
    content = io.BytesIO()
    metadata = {"Software": None, "Description": getattr(figure, "alt", None)}
    figure.savefig(content, format="png", dpi=DPI, bbox_inches="tight", metadata=metadata)
    path = figure_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())
    print(f"Saved {path}")
    if _in_colab() and not DRIVE.is_dir() and not os.environ.get("COURSE_FIGURES") and "drive" not in _said_once:
        _said_once.add("drive")
        print(
            "Colab forgets this file when the session ends. To keep your figures for the writeup, run\n"
            '    from google.colab import drive; drive.mount("/content/drive")\n'
            "and then this cell again."
        )
    return figure


def saved_figure(name: str) -> "Image | MissingFigure":
    """Return the figure that `save_figure` saved under this name; a box that says where it is made, if it was not."""
    _parts(name)
    path = figure_path(name)
    if not path.is_file():
        return MissingFigure(name)
    with open_picture(path) as picture:
        alt = picture.info.get("Description")
    return Image(data=path.read_bytes(), format="png", alt=alt)


class MissingFigure:
    """What a cell shows in place of a figure that was not saved. It is no picture, so nobody takes it for one."""

    def __init__(self, name: str):
        """Keep the figure's name."""
        self.name = name

    def __repr__(self) -> str:
        """Return the message: what is missing, which notebook makes it, what to do."""
        notebook, figure = _parts(self.name)
        return (
            f"Missing figure: {figure}, of notebook {notebook}. Open {notebook}.ipynb and run it down to "
            f'save_figure(..., "{self.name}"), then run this cell again. Looked for: {figure_path(self.name)}'
        )

    def _repr_html_(self) -> str:
        style = "border: 2px dashed #b42318; border-radius: 4px; padding: 1em; color: #b42318; max-width: 45em"
        return f'<div style="{style}">{html.escape(repr(self))}</div>'


def collected_figure(source: str) -> str:
    """Return the name of the figure that a cell shows, where it does this alone; "" elsewhere."""
    found = _SHOWS.fullmatch(source)
    return found[2] if found else ""


def figure_path(name: str) -> Path:
    """Return where the figure `name` is saved, or would be."""
    if chosen := os.environ.get("COURSE_FIGURES"):
        folder = Path(chosen)
    elif _in_colab() and DRIVE.is_dir():
        folder = DRIVE / ON_DRIVE
    else:
        folder = Path("figures")
    return folder / f"{name}.png"


def _parts(name: str) -> tuple[str, str]:
    """Return notebook and figure of a name such as "01_saliency-maps"."""
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    if not found:
        raise ValueError(f'found the name {name!r} of a figure; wanted notebook-figure, such as "01_saliency-maps".')
    return found[1], found[2]


def _in_colab() -> bool:
    return "google.colab" in sys.modules


def offer_download(path: Path) -> None:
    """In Colab, hand a file to the browser; elsewhere do nothing."""
    if not _in_colab():
        return
    try:
        from google.colab import files

        files.download(str(path))
    except Exception as error:
        print(f"The download did not start ({error}). Take the file from the list of files on the left.")


# ------------------------------------------------------------------------------------------------ words

# What Jupyter takes for a formula. Code and escaped dollars come first, since no formula begins in them; a formula
# holds no empty line; a dollar before a digit ends none ("between $5 and $6").
_FORMULA = re.compile(
    r"""
    (?P<code>
        ^(?P<margin>[ \t>]*)(?P<fence>`{3,}|~{3,}).*(?:\n(?![ \t>]*(?P=fence)).*)*(?:\n.*)?
      | (?<![`\\])(?P<ticks>`+)(?!`)(?:.|\n(?![ \t]*\n))*?(?<!`)(?P=ticks)(?!`)
    )
  | \\[$`]
  | \$\$(?P<display>(?:[^$\\\n]|\\.|\\?\n(?![ \t]*\n)|\$(?!\$))+)\$\$
  | \$(?P<inline>(?:[^$\\\n]|\\.|\\?\n(?![ \t]*\n))+)\$(?!\d)
  | (?P<environment>
        \\begin\{(?P<kind>(?:equation|align|gather|multline|eqnarray)\*?)\}
        (?:[^\\\n]|\n(?![ \t]*\n)|\\(?!(?:begin|end)\{(?P=kind)\}))+
        \\end\{(?P=kind)\}
    )
  | \\\\\[(?P<brackets>(?:[^\\\n]|\n(?![ \t]*\n)|\\(?!\\[\[\]]))+)\\\\\]
  | \\\\\((?P<parentheses>(?:[^\\\n]|\n(?![ \t]*\n)|\\(?!\\[()]))+)\\\\\)
    """,
    re.VERBOSE | re.MULTILINE,
)
_DISPLAYED = ("display", "environment", "brackets")
_IN_LINE = ("inline", "parentheses")

_ADDRESS = r"\((?:[^()\n]|\([^()\n]*\))*\)"
_NOT_A_WORD = re.compile(
    rf"""
    <!--(?:(?!-->)[\s\S])*(?:-->)?          # a comment
  | !\[[^\]\n]{{0,300}}\](?:{_ADDRESS}|\[[^\]\n]{{0,300}}\])?   # a picture
  | (?<=\]){_ADDRESS}                       # the address of a link
  | ^[ ]{{0,3}}\[[^\]^\n]+\]:.*$            # an address to be referred to
  | \[\^[^\]\n]{{1,100}}\]:?                # the mark of a footnote
  | <?https?://[^\s>]+>?
  | </?[A-Za-z][^<>]*>                      # an HTML tag
  | ^[ \t>]*(?:`{{3,}}|~{{3,}}).*$          # the fence of a code block, with its language
  | ^[ \t>]*(?:[-+*]|\d+[.)])[ \t]+(?:\[[ xX]\][ \t])?   # the mark of a list's item
    """,
    re.VERBOSE | re.MULTILINE,
)


def count_words(text: str) -> int:
    """Return the number of words of an answer in Markdown.

    A word is what stands between white space and holds a letter or a digit. A formula is one word. Pictures, the
    addresses of links, HTML and the marks of Markdown are none.
    """
    text = formulas_out(text, lambda tex, displayed: "x")
    text = re.sub(r"<(?:br|p|div|li|t[dhr])\b[^<>]*>", " ", text, flags=re.IGNORECASE)
    text = html.unescape(_NOT_A_WORD.sub("", text))
    # The cells of a table need no space around them.
    text = re.sub(r"^[ \t>]*\|.*$", lambda row: row[0].replace("|", " "), text, flags=re.MULTILINE)
    return sum(any(map(str.isalnum, word)) for word in text.split())


def formulas_out(text: str, put) -> str:
    """Return Markdown with `put(tex, displayed)` in place of each formula; where this is None, the formula stays."""

    def replaced(found):
        formula = _formula(found)
        instead = None if formula is None else put(*formula)
        return found[0] if instead is None else instead

    return _FORMULA.sub(replaced, text)


def _formula(found: re.Match) -> tuple[str, bool] | None:
    """Return a formula's TeX and whether it is displayed; None where code or an escaped dollar was found."""
    for kind in (*_DISPLAYED, *_IN_LINE):
        if found[kind] is not None:
            return found[kind].strip(), kind in _DISPLAYED
    return None
