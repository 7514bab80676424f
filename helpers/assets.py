"""Files the course does not ship (photographs, ImageNet weights): found on this machine, or downloaded once.

A room without internet sets the environment variable COURSE_ASSETS to a folder that holds
`weights/<model name>.pth` and `photos/`. Everything else is downloaded into a cache and checked by sha256.
"""

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import torch

TIMEOUT = 10  # seconds of silence after which the network counts as absent


class AssetError(Exception):
    """A file is missing, unreachable or not what it should be. The message is one sentence for the user."""


class UnreachableError(AssetError):
    """A file is not on this machine, and the network does not bring it."""


def asset(relative: str) -> Path | None:
    """Return the file `relative` (such as "photos/x.JPEG") in the COURSE_ASSETS folder; None if not there."""
    folder = os.environ.get("COURSE_ASSETS")
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise AssetError(f"COURSE_ASSETS={folder} is not a folder: set it to one that exists, or unset it.")
    path = Path(folder) / relative
    return path if path.is_file() else None


def cache_folder() -> Path:
    """Return the folder for downloads: the course's own inside $XDG_CACHE_HOME, or inside ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "looking-inside-cnns"


def fetch(relative: str, url: str, cached: Path, sha256: str) -> Path:
    """Return the path of a checked file: COURSE_ASSETS/`relative`, else `cached`, downloaded if need be.

    `sha256` is the hexadecimal digest wanted, or its first digits. Where it is empty, the first download writes the
    digest of what came beside `cached`, and that one is wanted from then on. Raises AssetError for a file on this
    machine that has another one, and UnreachableError for a file that cannot be had. `cached` appears only when whole
    and checked.
    """
    path = asset(relative)
    first = cached.with_name(f"{cached.name}.sha256")
    if not sha256 and path is None and first.is_file():
        sha256 = first.read_text().strip()
    if path is None and not cached.is_file():
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            with no_longer_silence_than(TIMEOUT):
                torch.hub.download_url_to_file(url, str(cached), hash_prefix=sha256)
        # RuntimeError: the digest of what came is another one. The line broke, or something on the way answered.
        except (OSError, HTTPException, RuntimeError) as error:
            raise UnreachableError(
                f"{cached.name} is not on this machine and cannot be downloaded from "
                f"{urlsplit(url).hostname} into {cached.parent} ({error}): connect to the internet, "
                f"or set COURSE_ASSETS to a folder that holds {relative}."
            ) from error
        if not sha256:
            first.write_text(f"{_digest(cached)}\n")
        return cached
    path = path or cached
    found = _digest(path)
    if not found.startswith(sha256):
        raise AssetError(
            f"{path} is not the file the course knows (sha256 found {found[:12]}, wanted {sha256[:12]}): delete it "
            "and run this again."
        )
    return path


def _digest(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def no_longer_silence_than(seconds: float) -> Iterator[None]:
    """Let a silent connection that is opened in here fail after so long; PyTorch's download takes no timeout."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
