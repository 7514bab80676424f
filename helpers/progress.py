"""One look for every bar that tells how far a long cell has got."""

from collections.abc import Collection, Iterator
from typing import TypeVar

from tqdm.auto import tqdm

Thing = TypeVar("Thing")


def progress(things: Collection[Thing], what: str, unit: str = "step") -> Iterator[Thing]:
    """Go through `things` with a bar that says what is done, and goes away when all is done."""
    return iter(tqdm(things, desc=what, unit=unit, leave=False))
