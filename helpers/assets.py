"""Files the course does not ship (photographs, ImageNet weights): found on this machine, or downloaded once.

A room without internet sets the environment variable COURSE_ASSETS to a folder that holds
`weights/<model name>.pth` and `photos/`. Everything else is downloaded into a cache and checked by sha256.
"""

import hashlib
import os
import tempfile
import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from tqdm.auto import tqdm

TIMEOUT = 10  # seconds of silence after which the network counts as absent
BLOCK = 1 << 16  # bytes


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

    `sha256` is the hexadecimal digest wanted, or its first digits. Raises AssetError for a file that has
    another one, and UnreachableError for a file that cannot be had.
    """
    path = asset(relative)
    if path is None:
        path = cached
        if not cached.is_file():
            try:
                download(url, cached, sha256)
            except (OSError, HTTPException) as error:
                raise UnreachableError(
                    f"{cached.name} is not on this machine and cannot be downloaded from "
                    f"{urlsplit(url).hostname} into {cached.parent} ({error}): connect to the internet, "
                    f"or set COURSE_ASSETS to a folder that holds {relative}."
                ) from error
            return cached
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    check_digest(path, found.hexdigest(), sha256, "delete it and run this again")
    return path


def download(url: str, target: Path, sha256: str) -> None:
    """Download `url` to the path `target` with a progress bar; `target` appears only when whole and checked.

    The bytes go to a part file beside `target`, which takes its name at the end and is removed on any
    failure, so that a stopped download leaves nothing bad. Raises AssetError for a file with another sha256,
    and what urllib and the file system raise.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.", suffix=".part")
    part = Path(name)
    found = hashlib.sha256()
    try:
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            length = answer.headers.get("Content-Length")
            total = int(length) if length else None
            with tqdm(total=total, desc=target.name, unit="B", unit_scale=True, leave=False) as bar:
                while block := answer.read(BLOCK):
                    file.write(block)
                    found.update(block)
                    bar.update(len(block))
            size = file.tell()
        if total is not None and size < total:
            raise ConnectionError(f"it stopped after {size} of {total} bytes")
        check_digest(target, found.hexdigest(), sha256, "the download was not kept, run this again")
        part.chmod(0o644)  # mkstemp makes files that other users of a shared cache cannot read
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def check_digest(path: Path, found: str, wanted: str, remedy: str) -> None:
    """Raise AssetError unless the sha256 `found` for the file at `path` begins with the digits `wanted`."""
    if not found.startswith(wanted):
        raise AssetError(
            f"{path} is not the file the course knows (sha256 found {found[:12]}, wanted {wanted[:12]}): {remedy}."
        )
