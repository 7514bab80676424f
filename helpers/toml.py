"""Files that people type, in TOML, on Python 3.10 too."""

import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read(path: Path) -> dict[str, Any]:
    """Return what is in a TOML file; ValueError naming the file and the place when it is not TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:  # of TOML, or of UTF-8
        raise ValueError(f"{path}: {error}") from error
