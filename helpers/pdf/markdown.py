"""A text in Markdown on its way to Typst, through pandoc."""

import json
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from helpers.pdf.figures import decoded
from helpers.pdf.press import Press
from helpers.words import shortened
from helpers.writeup import pandoc
from helpers.writeup.formulas import formulas_out

DEEPEST = 6  # lists and quotations in one another
HIGHEST = 250  # of a picture in an answer, in pt

# What Jupyter reads. No raw attributes, with which a text could speak Typst.
_DIALECT = "commonmark+pipe_tables+strikeout+task_lists+autolink_bare_uris"
_NO_ATTRIBUTES = ["", [], []]
_LISTS = ("BlockQuote", "BulletList", "OrderedList", "DefinitionList", "Div", "Figure")
_TOKEN = re.compile("\ue000(\\d+)\ue001")  # stands for a formula while pandoc reads the text
_NEXT = "\ue002"  # between two formulas

# Signs that pandoc calls by names which Typst has given up; they go by as characters.
_SIGNS = {
    "cap": "∩",
    "bigcap": "⋂",
    "sqcap": "⊓",
    "odot": "⊙",
    "bigodot": "⨀",
    "otimes": "⊗",
    "bigotimes": "⨂",
    "ominus": "⊖",
    "llbracket": "⟦",
    "rrbracket": "⟧",
}
_STANDS_FOR = {chr(0xE100 + at): sign for at, sign in enumerate(_SIGNS.values())}
_MENDED = [
    *(
        (re.compile(rf"\\{name}(?![A-Za-z])|{_SIGNS[name]}"), code)
        for name, code in zip(_SIGNS, _STANDS_FOR, strict=True)
    ),
    # What MathJax knows and pandoc does not.
    (re.compile(r"\\label\{[^{}]*\}|\\textcolor\{[^{}]*\}|\\(?:limits|notag|rm|bf|it|sf|tt)(?![A-Za-z])"), ""),
    (re.compile(r"\\tag\*?\{([^{}]*)\}"), r"\\qquad \\text{(\1)}"),
    (re.compile(r"\\cfrac(?![A-Za-z])"), r"\\frac"),
]


@cache
def of_assignment(markdown: str) -> str:
    """Return a text of the assignment in Typst."""
    with tempfile.TemporaryDirectory(prefix="pdf-") as folder:
        return Markdown(markdown, {}, Press(Path(folder))).typeset("This text")


class Markdown:
    """A text in Markdown on its way to Typst.

    remarks: what could not be set as it was meant
    """

    def __init__(self, text: str, attachments: dict[str, bytes], press: Press):
        """Keep the text, without what cannot be printed, and the pictures pasted into its cell."""
        self.source, self.pictures, self.press = printable(text), dict(attachments), press
        self.remarks: list[str] = []
        self.tex: list[tuple[str, bool]] = []
        self.formulas: list[str | None] = []

    def typeset(self, what: str) -> str:
        """Return Typst that compiles, if need be with the text as it was typed, under a line that says so."""
        try:
            blocks = self._blocks()
            self.formulas = _formulas(self.tex)
            typst = self._typst(blocks)
            if not self.press.takes(typst):
                self.formulas = [
                    formula if formula and self.press.takes(formula) else None for formula in self.formulas
                ]
                typst = self._typst(blocks)
            if self.press.takes(typst):
                for (tex, _), formula in zip(self.tex, self.formulas, strict=True):
                    if formula is None:
                        self.remarks.append(f"a formula could not be set and is printed as TeX: {shortened(tex, 60)}")
                return typst
        except (subprocess.SubprocessError, OSError, ValueError, RecursionError, IndexError):
            pass  # IndexError: an entity, such as &#xe000;, may bring a token that stands for nothing
        self.remarks.append("the answer could not be set and is printed as it was typed.")
        return f"#as-typed({_quoted(what)}, {_quoted(_breakable(self.source, 30))})\n"

    def _blocks(self) -> list:
        """Return pandoc's blocks, with a token in place of each formula."""
        text = re.sub(r"data:image/[\w.+-]+;base64,([A-Za-z0-9+/=]+)", self._take_picture, self.source)
        text = formulas_out(text, self._take_formula)
        dialect = _DIALECT + "+footnotes" * ("[^" in text)
        try:
            blocks = pandoc.convert(text, dialect, "json")
        except subprocess.SubprocessError:
            # Pandoc never ends with a footnote that refers to itself.
            dialect = _DIALECT
            blocks = pandoc.convert(text, dialect, "json")
        if '"t":"Raw' in blocks:
            # HTML in the text. Read as HTML as a whole, its tags mean what they mean in a browser.
            page = pandoc.convert(text, dialect, "html")
            blocks = pandoc.convert(page, "html-native_divs-native_spans", "json")
        return json.loads(blocks)["blocks"]

    def _take_picture(self, found: re.Match) -> str:
        """Turn a picture in the text, which is how Colab pastes them, into an attachment."""
        name = f"in-the-text-{len(self.pictures)}"
        self.pictures[name] = decoded(found[1]) or b""
        return f"attachment:{name}"

    def _take_formula(self, tex: str, displayed: bool) -> str:
        self.tex.append((tex, displayed))
        return f"\ue000{len(self.tex) - 1}\ue001"

    def _typst(self, blocks: list) -> str:
        return pandoc.convert(pandoc.document(self._safe(blocks)), "json", "typst").strip() if blocks else ""

    # Nodes of pandoc are {"t": type, "c": content}; lists hold nodes and whatever else a type needs.

    def _safe(self, part: Any, depth: int = 0, longest: int = 30) -> Any:
        """Return a part of pandoc's document in which nothing but text and its form is left.

        Args:
            part: node, list or value.
            depth: number of lists and quotations around it.
            longest: length from which a word may be broken anywhere.
        """
        if isinstance(part, dict):
            return {key: self._safe(value, depth, longest) for key, value in part.items()}
        if not isinstance(part, list):
            return self._back(part) if isinstance(part, str) else part
        if len(part) == 3 and isinstance(part[0], str) and isinstance(part[1], list) and isinstance(part[2], list):
            # Attributes. Some of them would be Typst.
            return _NO_ATTRIBUTES
        safe = []
        for child in part:
            if isinstance(child, dict) and "t" in child and "c" in child:
                safe += self._safe_node(child["t"], child["c"], depth, longest)
            else:
                safe.append(self._safe(child, depth, longest))
        return safe

    def _safe_node(self, kind: str, content: Any, depth: int, longest: int) -> list:
        """Return what becomes of a node."""
        if kind == "Str":
            return self._words(content, longest)
        if kind in ("Code", "CodeBlock"):
            (_, languages, _), text = content
            text = _quoted(_breakable(self._back(text), longest))
            if kind == "Code":
                return [_typst_inline(f"#raw({text});")]
            language = languages[-1] if languages and re.fullmatch("[A-Za-z0-9+#-]+", languages[-1]) else "text"
            return [{"t": "RawBlock", "c": ["typst", f"#raw(block: true, lang: {_quoted(language)}, {text})"]}]
        if kind == "Image":
            return self._image(*content[1:])
        if kind == "Link" and not re.match("(?:https?|mailto):", content[2][0]):
            return self._safe(content[1], depth, longest)
        if kind in ("RawInline", "RawBlock", "Math"):
            return []
        if kind in _LISTS:
            depth += 1
            if depth > DEEPEST:
                return [{"t": "Para", "c": self._words(_text_of(content), longest)}]
        if kind == "Table":
            columns = content[2]
            longest = max(8, 60 // max(1, len(columns)))
            content[2] = [[{"t": "AlignLeft"} if side["t"] == "AlignDefault" else side, wide] for side, wide in columns]
        return [{"t": kind, "c": self._safe(content, depth, longest)}]

    def _words(self, text: str, longest: int) -> list:
        """Return text, with its formulas back in."""
        nodes = []
        for at, piece in enumerate(_TOKEN.split(text)):
            if at % 2 == 0:
                nodes += [{"t": "Str", "c": _breakable(piece, longest)}] if piece else []
            elif (formula := self.formulas[int(piece)]) is not None:
                nodes.append(_typst_inline(formula))
            else:
                nodes.append(_typst_inline(f"#raw({_quoted(_breakable(self.tex[int(piece)][0], longest))});"))
        return nodes

    def _back(self, text: str) -> str:
        """Return text with the source of its formulas, where none is set: in code, in addresses."""
        return _TOKEN.sub(lambda token: self._dollars(*self.tex[int(token[1])]), text)

    def _dollars(self, tex: str, displayed: bool) -> str:
        return f"$${tex}$$" if displayed else f"${tex}$"

    def _image(self, words: list, target: list) -> list:
        """Return a pasted picture, or a box in place of a picture that is not in the notebook."""
        address = target[0]
        name = address.removeprefix("attachment:")
        content = self.pictures.get(name) or self.pictures.get(unquote(name))
        placed = self.press.picture(content) if content and name != address else None
        if placed is None:
            shown = shortened(_text_of(words) or self._back(address), 60)
            self.remarks.append(f"a picture is missing: {shown}. Paste it into the cell of the answer, as PNG or JPEG.")
            return [_typst_inline(f"#no-picture({_quoted(shown)});")]
        file, width, height = placed
        width *= min(1.0, HIGHEST / height)
        return [_typst_inline(f"#picture({_quoted(file)}, {width:.1f});")]


def _formulas(tex: list[tuple[str, bool]]) -> list[str | None]:
    """Return formulas in Typst; None for what pandoc cannot read."""
    if not tex:
        return []
    blocks = []
    for text, displayed in tex:
        for pattern, instead in _MENDED:
            text = pattern.sub(instead, text)
        blocks += [pandoc.formula(text, displayed), _typst_block(_NEXT)]
    try:
        found = [piece.strip() for piece in pandoc.convert(pandoc.document(blocks), "json", "typst").split(_NEXT)[:-1]]
    except subprocess.SubprocessError:
        found = []
    if len(found) != len(tex):
        return [None] * len(tex)
    for code, sign in _STANDS_FOR.items():
        found = [formula.replace(code, sign) for formula in found]
    # Where it cannot read TeX, pandoc writes it down between escaped dollars.
    return [formula if formula.startswith("$") and formula.endswith("$") else None for formula in found]


def _typst_inline(text: str) -> dict:
    return {"t": "RawInline", "c": ["typst", text]}


def _typst_block(text: str) -> dict:
    return {"t": "RawBlock", "c": ["typst", text]}


def _text_of(part: Any) -> str:
    """Return the words in a part of pandoc's document."""
    if isinstance(part, dict):
        kind = part.get("t")
        content: Any = part.get("c")
        if kind in ("Str", "Code", "CodeBlock"):
            return content if kind == "Str" else content[1]
        if kind in ("Space", "SoftBreak", "LineBreak"):
            return " "
        return _text_of(content) + (" " if kind in ("Para", "Plain", "Header") else "")
    return "".join(map(_text_of, part)) if isinstance(part, list) else ""


def printable(text: str) -> str:
    """Return text without control characters, private ones, halves of characters, and heaps of accents."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
    text = re.sub("[\ud800-\udfff\ue000-\uf8ff\x7f-\x9f\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069]", "", text)
    return re.sub("([\u0300-\u036f]{3})[\u0300-\u036f]+", r"\1", text)


def _breakable(text: str, longest: int) -> str:
    """Return text in which words of more than `longest` characters may be broken anywhere."""
    return re.sub(
        rf"\S{{{longest},}}", lambda word: "\u200b".join(re.findall(rf".{{1,{longest // 2}}}", word[0])), text
    )


def _quoted(text: str) -> str:
    """Return text as a string of Typst, on one line."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
