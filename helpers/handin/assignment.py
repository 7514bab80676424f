"""An assignment as it was handed out.

`make notebooks` writes data/released/<assignment>.json: the cells that count, as released. The hand-in check and the
PDF of the written answers go by it, whatever has become of the notebook.
"""

import json
import re
from dataclasses import asdict, dataclass

from helpers import DATA

NOT_ANSWERED = "*Your answer here.*"
_STUB = re.compile(r'raise NotImplementedError\("\w+: replace this line"\)')


@dataclass(frozen=True)
class Item:
    """A cell that counts, as it was handed out.

    id: nbgrader's grade id
    kind: setup, exercise, check or question
    title: heading above an exercise or a question, without its #
    source: text of the cell; an exercise's stub, a question's placeholder
    points: of a check or a question
    words: of a question, how many it may have
    text: of a question, its prose (Markdown), from the heading on
    figures: of a question, the figures of other notebooks collected for it, such as "01_saliency-maps"
    """

    id: str
    kind: str
    title: str
    source: str
    points: int | None = None
    words: int | None = None
    text: str = ""
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """An assignment: its file name without the ending, its title, the name of the course, the cells that count."""

    name: str
    title: str
    course: str
    items: tuple[Item, ...]

    def _of(self, kind: str) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.kind == kind)

    @property
    def exercises(self) -> tuple[Item, ...]:
        """The functions to write, in order."""
        return self._of("exercise")

    @property
    def checks(self) -> tuple[Item, ...]:
        """The check cells, one for each exercise."""
        return self._of("check")

    @property
    def questions(self) -> tuple[Item, ...]:
        """The written questions, in order."""
        return self._of("question")

    def as_json(self) -> str:
        """Return the text of its file in data/released/."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def handed_out(name: str) -> Assignment:
    """Return the assignment `name`, such as "07_writeup"; ValueError where there is none of this name."""
    folder = DATA / "released"
    path = folder / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in folder.glob("*.json"))) or "none"
        raise ValueError(f"found no assignment {name!r}; known are {known}")
    content = json.loads(path.read_text("utf-8"))
    items = (Item(**{**item, "figures": tuple(item["figures"])}) for item in content.pop("items"))
    return Assignment(**content, items=tuple(items))


def is_answered(item: Item, source: str | None) -> bool:
    """Return whether `source` answers a question or an exercise: something stands in place of what was handed out."""
    if item.kind == "exercise":
        return bool(source) and bool(source.strip()) and not _STUB.search(source)
    return bool(source) and source.strip() not in ("", NOT_ANSWERED)
