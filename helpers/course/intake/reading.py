"""From the bytes of a file to the notebook in it: whatever can be read is read, with a line for what was amiss."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
from nbformat import NotebookNode

from helpers.course.intake import kinds
from helpers.course.intake.spelling import readable
from helpers.handin.cells import KINDS
from helpers.words import counted

LARGEST = 250_000_000  # bytes of a file, and of what it unpacks to
CUT_OFF = "it is not JSON: it ends in the middle; was the file cut off?"
LARGEST_KEPT = 20_000_000  # bytes of a notebook once outputs are dropped

_OUTPUTS = re.compile(rb'(?<!\\)"outputs"\s*:\s*\[')
_STRUCTURE = re.compile(rb'["\[\]{}]')
_COMMA = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|,(?=\s*[\]}])', re.DOTALL)
# How the object of a notebook begins.
_BEGINNING = re.compile(r'\{\s*"(?:cells|metadata|nbformat|nbformat_minor|worksheets)"\s*:')
_MOST_TRIES = 50

# A byte that is no UTF-8 stands for what it is in the Windows code page of Western Europe.
_WINDOWS = {0xDC00 + byte: bytes([byte]).decode("cp1252", "replace") for byte in range(0x80, 0x100)}


def read(
    data: bytes, notes: list[str] | None = None, rank: Callable[[NotebookNode], int] = lambda notebook: 0
) -> NotebookNode:
    """Return the notebook that the bytes of a file hold, in format 4 with the cells' own ids.

    Args:
        data: the file.
        notes: gets a line for each thing that was put right.
        rank: of several notebooks in one file the last of the highest rank is returned.

    Raises:
        ValueError: they hold none; the message says what they are.
    """
    notes = [] if notes is None else notes
    data = _unpacked(data, notes)
    text = _decoded(_without_large_outputs(data, notes), notes)
    found, error = _notebooks(text, notes)
    if not found:
        raise ValueError(_what_else(data, text, error))
    if len(found) > 1:
        alike = all(each.get("cells") == found[0].get("cells") for each in found)
        which = "the same one each time" if alike else "they differ; the last one with the most answers is taken"
        notes.append(f"its file holds {len(found)} notebooks: {which}")
    # Only one is put in order where they are the same: a rank may take a while.
    sound = [_in_order(each, notes) for each in (found[-1:] if len(found) > 1 and alike else found)]
    return max(reversed(sound), key=rank)


# ------------------------------------------------------------------------------------------------ bytes


def _unpacked(data: bytes, notes: list[str]) -> bytes:
    """Return what a gzip file holds; anything else as it is."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.open(io.BytesIO(data)) as file:
            inside = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError("it is a gzip archive that is damaged or cut off") from error
    if len(inside) > LARGEST:
        raise ValueError(f"it unpacks to more than {LARGEST // 1_000_000} MB")
    notes.append("its file is a gzip archive; unpacked")
    return inside


def _without_large_outputs(data: bytes, notes: list[str]) -> bytes:
    """Return the bytes without the largest outputs, as many as it takes to make them small enough to be parsed."""
    if len(data) <= LARGEST_KEPT:
        return data
    if words := kinds.kind(data[: kinds.HEAD]):
        raise ValueError(f"it is {words}")
    if _is_wide(data):
        data = data.decode(json.detect_encoding(data), "replace").encode()
    spans = sorted(_outputs(data), key=lambda span: span[1] - span[0])
    rest, dropped = len(data), []
    while spans and rest > LARGEST_KEPT:
        dropped.append(spans.pop())
        rest -= dropped[-1][1] - dropped[-1][0]
    if rest > LARGEST_KEPT:
        raise ValueError(f"it is larger than {LARGEST_KEPT // 1_000_000} MB without its outputs")
    kept, at = [], 0
    for start, end in sorted(dropped):
        kept.append(data[at:start])
        at = end
    notes.append(
        f"its file has {len(data) // 1_000_000} MB; the outputs of {counted(len(dropped), 'cell')} are dropped"
    )
    return b"".join([*kept, data[at:]])


def _outputs(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the content of each list of outputs begins and ends."""
    at = 0
    while match := _OUTPUTS.search(data, at):
        depth, at = 1, match.end()
        while depth:
            if not (token := _STRUCTURE.search(data, at)):
                raise ValueError(CUT_OFF)
            at = token.end()
            if token[0] == b'"':
                at = _after_string(data, at)
            else:
                depth += 1 if token[0] in b"[{" else -1
        yield match.end(), at - 1


def _after_string(data: bytes, at: int) -> int:
    """Return the position after the string that begins before `at`: a pattern would take seconds or much memory."""
    while (at := data.find(b'"', at)) >= 0:
        first = at
        while data[first - 1 : first] == b"\\":
            first -= 1
        at += 1
        if (at - first) % 2:
            return at
    raise ValueError(CUT_OFF)


def _is_wide(data: bytes) -> bool:
    """Tell whether a text has two or four bytes for a character: then half of its bytes are zeros, or more."""
    head = data.lstrip(b"\0")[:400].rstrip(b"\0")
    return data.startswith((b"\xff\xfe", b"\xfe\xff")) or head.count(0) > len(head) // 4


def _decoded(data: bytes, notes: list[str]) -> str:
    """Return the text of a file. Bytes that are no UTF-8, a few or all, are read as Windows writes them."""
    if _is_wide(data):
        return data.decode(json.detect_encoding(data), "replace").strip("\0\ufeff")
    text = data.strip(b"\0").decode("utf-8", "surrogateescape").lstrip("\ufeff")
    if odd := sum(text.count(character) for character in set(text) if "\udc80" <= character <= "\udcff"):
        text = text.translate(_WINDOWS)
        notes.append(f"bytes of its file that are no UTF-8: {odd}; read as Windows code page 1252")
    return text


# ------------------------------------------------------------------------------------------------ JSON


def _notebooks(text: str, notes: list[str]) -> tuple[list[dict], Exception | None]:
    """Return the notebooks in a text, and the error where the first object in it is none."""
    found, error, around = _objects(text)
    if not found and (mended := _COMMA.sub(lambda match: match[1] or "", text)) != text:
        found, _, around = _objects(mended)
        if found:
            notes.append("its JSON has commas too many; left out")
    if found and "<<<<<<< " in around:
        notes.append("its file has the marks of a merge conflict of git; the notebook in it is taken")
    elif found and around.strip("\0 \r\n\t\ufeff"):
        notes.append("its file holds other text beside the notebook; left out")
    return found, error


def _objects(text: str) -> tuple[list[dict], Exception | None, str]:
    """Return the notebooks in a text, the error where the first object is none, and the text around them."""
    # Control characters in strings are taken: some programs write them.
    decoder, found, error, around, at = json.JSONDecoder(strict=False), [], None, [], 0
    starts: list[int] = [text.find("{")]
    for _ in range(_MOST_TRIES):
        match = _BEGINNING.search(text, at)
        start = starts.pop() if starts else (match.start() if match else -1)
        if start < at:
            break
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as why:
            error, end = error or why, start + 1
        else:
            if notebook := _notebook_in(value):
                found.append(notebook)
                around.append(text[at:start])
                at = end
                continue
            error = error or ValueError("it is JSON, but no notebook")
        around.append(text[at:end])
        at = end
    return found, error, "".join([*around, text[at:]])


def _notebook_in(value: Any) -> dict | None:
    """Return the notebook that a JSON object is, or has inside it, as what Jupyter's server sends has; else None."""
    for each in (value, value.get("content"), value.get("notebook")):
        if isinstance(each, dict) and any(isinstance(each.get(key), list) for key in ("cells", "worksheets")):
            return each
    return None


def _what_else(data: bytes, text: str, error: Exception | None) -> str:
    """Return what a file is that holds no notebook."""
    if words := kinds.kind(data):
        return f"it is {words}"
    if isinstance(error, json.JSONDecodeError):
        if not text[error.pos :].strip() or error.msg.startswith("Unterminated string"):
            return CUT_OFF
        return f"it is not JSON: {error.msg} at line {error.lineno}"
    if isinstance(error, RecursionError):
        return "it is not JSON that can be read: brackets in brackets in brackets"
    if error:
        return f"{error}: it has no cells"
    begins = readable(" ".join(text.split()))[:40]
    return f"it is not JSON; it begins with {begins!r}"


# ------------------------------------------------------------------------------------------------ notebooks


def _in_order(found: dict, notes: list[str]) -> NotebookNode:
    """Return a notebook of any version as one of version 4, whose cells have what cells must have."""
    if not isinstance(found.get("cells"), list):
        found = _converted(found)
    elif found.get("nbformat") != 4 or not isinstance(found.get("nbformat_minor", 0), int):
        said = readable(f"{found.get('nbformat')}.{found.get('nbformat_minor')}")[:20]
        notes.append(f"it says that its format is {said}; read as 4.5")
        found = found | {"nbformat": 4, "nbformat_minor": 5}
    if not isinstance(found.get("metadata"), dict):
        found = found | {"metadata": {}}
    cells = [_cell(cell) for cell in found["cells"]]
    if odd := sum(_is_odd(cell) for cell, right in zip(found["cells"], cells, strict=True) if right is not cell):
        notes.append(f"malformed cells that could be put right: {odd}")
    notebook = nbformat.from_dict(found | {"cells": cells})
    if not cells:
        raise ValueError("it has no cells")
    return notebook


def _converted(found: dict) -> dict:
    """Return a notebook of version 1 to 3 in version 4."""
    try:
        version = found.get("nbformat")
        text = json.dumps(found | {"nbformat": version if version in (1, 2, 3) else 3})
        return nbformat.convert(nbformat.reader.reads(text), 4)
    except Exception as error:
        # nbformat raises many types for what is not a notebook; none may stop the class.
        raise ValueError(
            f"it is a notebook of an old version that cannot be converted: {type(error).__name__}"
        ) from error


def _cell(cell: Any) -> Any:
    """Return a cell with a type, one text, and metadata and outputs of the right kind; what is no cell as it is."""
    if not isinstance(cell, dict):
        return cell
    source, kind = cell.get("source"), cell.get("cell_type")
    if source is None and kind in KINDS:
        source = ""
    if isinstance(source, list):  # of lines
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        return cell
    if kind not in KINDS:
        kind = "code" if "outputs" in cell or "execution_count" in cell else "markdown"
    right = {"cell_type": kind, "source": source}
    if not isinstance(cell.get("metadata"), dict):
        right["metadata"] = {}
    if kind == "code":
        outputs = cell.get("outputs")
        right["outputs"] = [_output(output) for output in outputs] if isinstance(outputs, list) else []
    return cell | right


def _output(output: Any) -> Any:
    """Return an output whose texts are one text each, not lines."""
    if not isinstance(output, dict) or not isinstance(output.get("data"), dict):
        return output
    return output | {"data": {kind: _joined(text) for kind, text in output["data"].items()}}


def _joined(text: Any) -> Any:
    return "".join(text) if isinstance(text, list) and all(isinstance(line, str) for line in text) else text


def _is_odd(cell: dict) -> bool:
    """Tell whether a cell is not as the format wants it; a text in lines is."""
    lists = {"outputs"} if cell.get("cell_type") == "code" else set()
    source = cell.get("source")
    texts = source if isinstance(source, list) else [source]
    return (
        cell.get("cell_type") not in KINDS
        or not all(isinstance(line, str) for line in texts)
        or not isinstance(cell.get("metadata"), dict)
        or any(not isinstance(cell.get(key), list) for key in lists)
    )
