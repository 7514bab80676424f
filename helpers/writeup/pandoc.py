"""Pandoc, without access to files or the network."""

import json
import re
import subprocess
from functools import cache

SECONDS = 20  # for one run, which takes some hundredths
DEEPEST_TEX = 12  # braces in one another
_MEMORY = ("+RTS", "-M512M", "-RTS")


def convert(text: str, source: str, target: str, *options: str) -> str:
    """Return a text in another of pandoc's formats.

    Raises:
        subprocess.SubprocessError: pandoc fails, or takes longer than it may.
    """
    command = [_program(), "--sandbox", "--wrap=none", "--from", source, "--to", target, *options, *_MEMORY]
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=SECONDS, check=True)
    return done.stdout.decode()


def document(blocks: list) -> str:
    """Return blocks as a document in the format "json" of this pandoc."""
    return json.dumps({"pandoc-api-version": _api(), "meta": {}, "blocks": blocks})


def formula(tex: str, displayed: bool) -> dict:
    """Return a paragraph that is a formula; one too deep to be read in time becomes TeX that pandoc cannot read."""
    # Pandoc takes twice as long for each exponent of an exponent.
    tex = tex if _nesting(tex) <= DEEPEST_TEX else "}"
    kind = {"t": "DisplayMath" if displayed else "InlineMath"}
    return {"t": "Para", "c": [{"t": "Math", "c": [kind, tex]}]}


def _nesting(tex: str) -> int:
    """Return how deep braces and their like stand in one another."""
    depth = deepest = 0
    for mark in re.findall(r"(?<!\\)[{}]|\\(?:left|right|begin|end)(?![A-Za-z])", tex):
        depth += 1 if mark in ("{", r"\left", r"\begin") else -1
        deepest = max(deepest, depth)
    return deepest


@cache
def _program() -> str:
    import pypandoc

    return pypandoc.get_pandoc_path()


@cache
def _api() -> list[int]:
    return json.loads(convert("", "commonmark", "json"))["pandoc-api-version"]
