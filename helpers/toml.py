"""TOML files, also on Python 3.10, which cannot read them by itself."""

import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read(path: Path) -> dict[str, Any]:
    """Return the tables in a file."""
    return tomllib.loads(path.read_text("utf-8"))
