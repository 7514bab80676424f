"""A class in shares: each of many machines runs one and fills the folder of finished runs, and one machine merges.

Which share a run is in depends on its name alone. So the shares need nothing of each other, and a share that is run a
second time finds its runs there.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from helpers.words import counted


class ShardError(ValueError):
    """Why a class cannot be run in shares, or not be merged, and what to do."""


@dataclass(frozen=True)
class Shard:
    """Share `number` of `count`; numbers begin at 1."""

    number: int
    count: int

    def __str__(self) -> str:
        """Return it as it is typed."""
        return f"{self.number}/{self.count}"

    def holds(self, name: str) -> bool:
        """Tell whether the run of this name, hexadecimal digits, is in the share."""
        return int(name, 16) % self.count == self.number - 1

    def files(self, runs: Path) -> tuple[Path, Path]:
        """Return two files of its own in the folder of finished runs: one that says that all are there, and its log."""
        name = f"shard-{self.number}-of-{self.count}"
        return runs / f"{name}.done", runs / f"{name}.log"

    def state(self, runs: Path) -> str:
        """Say what is known of a share that lacks runs, and what to do."""
        done, log = self.files(runs)
        if done.exists():
            return f"it was finished, before submissions or sources changed perhaps; run --shard {self} again"
        if log.exists():
            return f"it was begun and not finished; if it does not run any more, run --shard {self} again ({log})"
        return f"it was not begun; run --shard {self}"


def shard(text: str) -> Shard:
    """Return the share that is typed as "2/4"; ShardError where there is none such."""
    numbers = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    number, count = map(int, numbers.groups()) if numbers else (0, 0)
    if not 1 <= number <= count:
        raise ShardError(f"found {text!r}, wanted i/n with i from 1 to n, such as 2/4 for the second of four shares")
    return Shard(number, count)


def require_all(missing: Iterable[str], runs: Path) -> None:
    """Raise ShardError where runs are missing from the folder `runs`, with the numbers of the shares they are in."""
    missing = list(missing)
    if not missing:
        return
    logs = [re.fullmatch(r"shard-(\d+)-of-(\d+)\.log", path.name) for path in runs.glob("shard-*.log")]
    counts = sorted({int(each[2]) for each in logs if each})
    lines = [f"{counted(len(missing), 'run')} of those to merge not found in {runs}."]
    if not counts:
        lines.append("No share was begun: run --shard 1/n to n/n into this folder, each on a machine, then merge.")
    for count in counts:
        for each in (Shard(number, count) for number in range(1, count + 1)):
            if held := sum(map(each.holds, missing)):
                lines.append(f"Share {each} lacks {held}: {each.state(runs)}.")
    lines.append("Or grade without --merge: then what is missing is run here.")
    raise ShardError("\n".join(lines))
