"""Pandoc, without access to files or the network."""

import json
import subprocess
from functools import cache

SECONDS = 20  # for one run, which takes some hundredths
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


@cache
def _program() -> str:
    import pypandoc

    return pypandoc.get_pandoc_path()


@cache
def _api() -> list[int]:
    return json.loads(convert("", "commonmark", "json"))["pandoc-api-version"]
