"""Files that are written whole or not at all."""

import uuid
from contextlib import suppress
from pathlib import Path


def write(path: Path, content: str | bytes) -> None:
    """Write a file, and its folder where there is none, in one step.

    Where that cannot be done, or this process is killed meanwhile, what was there before is there still.

    Raises:
        OSError: the disk is full or read-only, for instance.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another machine may write the same file at the same time.
    partial = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
