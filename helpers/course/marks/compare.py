"""Captured values against the reference's: the only place where a mark is decided.

Runs on the trusted side and takes nothing from a student but arrays, decoded strictly.
"""

import base64
import builtins
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from helpers.inside import emit
from helpers.inside.emit import MIME

DTYPES = {"float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"}
LARGEST = 5_000_000  # elements of one array
Arrays = tuple[np.ndarray, ...]
Judge = Callable[[str, Arrays, Arrays, Mapping[str, Arrays]], Any]
TOLERANCE = {"float64": 1e-6, "float32": 1e-3, "float16": 1e-2}


@dataclass(frozen=True)
class Finding:
    """What a judge found of a part: whether it is right, and in words that student and marker read either way."""

    right: bool
    words: str

    def __bool__(self) -> bool:
        """Tell whether the part is right."""
        return bool(self.right)


class CaptureError(ValueError):
    """What left the kernel is not what `emit` sends."""


@dataclass(frozen=True)
class Part:
    """What was said for one part of a hidden test: arrays, or the error that stood in their way.

    labels: the words for each array, "" for most; form: how they were nested (`emit.form`).
    """

    name: str
    arrays: Arrays = ()
    error: str = ""
    labels: tuple[str, ...] = ()
    form: Any = None


@dataclass(frozen=True)
class Verdict:
    """The outcome of one graded cell.

    `verdict` is one of: right, partly right, wrong, not answered, stopped, to be marked.
    """

    question: str
    score: float | None
    max_score: float
    verdict: str
    message: str


def decoded(item: Any) -> np.ndarray:
    """Return one encoded array; CaptureError where it is anything but dtype, shape and as many bytes as these need."""
    try:
        dtype, shape, data = item["dtype"], item["shape"], item["data"]
        if dtype not in DTYPES:
            raise CaptureError(f"values of type {str(dtype)[:20]!r}; wanted one of {', '.join(sorted(DTYPES))}")
        if len(shape) > 8 or any(type(side) is not int or side < 0 for side in shape):
            raise CaptureError("a shape that no array has")
        if math.prod(shape) > LARGEST:
            raise CaptureError(f"more than {LARGEST} values")
        return np.frombuffer(base64.b64decode(data, validate=True), dtype=dtype).reshape(shape)
    except CaptureError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise CaptureError("values that could not be read") from error


def captures(outputs: Iterable[Mapping[str, Any]]) -> list[Part]:
    """Return the parts said in the outputs of a hidden half, in order; CaptureError for anything malformed."""
    parts: list[Part] = []
    for output in outputs:
        payload = output.get("data", {}).get(MIME)
        if payload is None:
            continue
        if isinstance(payload, str):
            payload = json.loads(payload)
        if not isinstance(payload, dict) or not isinstance(payload.get("name"), str):
            raise CaptureError("values without a name")
        if "error" in payload:
            parts.append(Part(payload["name"], error=str(payload["error"])[:500]))
        elif isinstance(payload.get("values"), list):
            arrays = tuple(decoded(item) for item in payload["values"])
            labels = tuple(str(label)[:80] for label in payload.get("labels", ()))
            parts.append(Part(payload["name"], arrays, labels=labels, form=payload.get("form")))
        else:
            raise CaptureError("a message with neither values nor an error")
    return parts


def close(got: np.ndarray, want: np.ndarray) -> bool:
    """Tell whether two arrays agree: same shape, same kind of number, and within the norm-relative tolerance.

    Integers and booleans must be equal. NaN and infinity equal nothing. Where dtypes differ in precision only, the
    coarser one sets the tolerance.
    """
    if got.shape != want.shape or got.dtype.kind != want.dtype.kind:
        return False
    if got.dtype.kind != "f":
        return bool(np.array_equal(got, want))
    tolerance = max(TOLERANCE[got.dtype.name], TOLERANCE[want.dtype.name])
    got, want = got.astype(np.float64), want.astype(np.float64)
    if not (np.isfinite(got).all() and np.isfinite(want).all()):
        return False
    return float(np.linalg.norm(got - want)) <= tolerance * float(np.linalg.norm(want)) + 1e-12


def equal(got: Part, want: Part) -> bool:
    """Tell whether two parts say the same."""
    if got.error or want.error:
        return without_addresses(got.error) == without_addresses(want.error)
    return len(got.arrays) == len(want.arrays) and all(map(close, got.arrays, want.arrays))


def without_addresses(text: str) -> str:
    """Return an error message without memory addresses, which differ from run to run."""
    return re.sub(r"0x[0-9a-f]+", "0x", text)


def grade(
    question: str,
    points: float,
    got: Sequence[Part],
    reference: Sequence[Part],
    mistakes: Sequence[tuple[str, Sequence[Part]]],
    *,
    judge: Judge | None = None,
    public: Collection[str] = (),
) -> Verdict:
    """Compare what a submission said with what the reference said.

    Args:
        question: the id of the graded cell.
        points: what the cell is worth; every part is worth the same share of it.
        got: the parts of the submission, a prefix of the reference's by name and order.
        reference: the parts of the reference solution.
        mistakes: (says, parts) of each known wrong answer.
        judge: `judge(part, got, want, given)` in place of `equal`, with the name of the part, the submission's and the
            reference's arrays, and all arrays of the submission by part name. It may give a Finding.
        public: the errors that may be told, because the student saw them in the visible check.

    Returns:
        A Verdict whose message names the mistake where the values are those of a known one.

    Raises:
        CaptureError: the parts are not those of the reference, in order.
    """
    outcomes = _outcomes(got, reference, judge)
    right = list(map(bool, outcomes))
    found = {place: outcome.words for place, outcome in enumerate(outcomes) if isinstance(outcome, Finding)}
    good = [f"{reference[place].name}: {words}" for place, words in found.items() if right[place]]
    praise = f" Found: {'; '.join(good)}." if good else ""
    if all(right):
        return Verdict(question, points, points, "right", f"All {len(right)} parts are right.{praise}")
    if got and all(part.error.startswith("NotImplementedError") for part in got):
        return Verdict(question, 0.0, points, "not answered", "Not answered.")
    failed = [position for position, passes in enumerate(right) if not passes]
    known, unexplained = diagnosis(got, failed, reference, mistakes, judge)
    lines = [f"{sum(right)} of {len(right)} parts are right.{praise}"] if any(right) else []
    lines += known
    told: dict[str, list[str]] = {}
    for position, places in groupby(unexplained, key=lambda place: place[0]):
        words = found.get(position) or difference(got, position, reference, [label for _, label in places], public)
        told.setdefault(words, []).append(reference[position].name)
    lines += [
        f"{'every part' if len(names) == len(right) > 1 else '; '.join(names)}: {words}"
        for words, names in told.items()
    ]
    verdict = "partly right" if any(right) else "wrong"
    return Verdict(question, points * sum(right) / len(right), points, verdict, "\n".join(lines))


def passed(got: Sequence[Part], reference: Sequence[Part], judge: Judge | None) -> list[bool]:
    """Tell of each part of the reference whether the submission's is right; one that it did not reach is not.

    Raises:
        CaptureError: the submission's parts are not those of the reference, in order.
    """
    return list(map(bool, _outcomes(got, reference, judge)))


def _outcomes(got: Sequence[Part], reference: Sequence[Part], judge: Judge | None) -> list[Any]:
    """Return what the judge says of each part, True or False where there is none; see `passed`."""
    if [part.name for part in got] != [part.name for part in reference[: len(got)]]:
        raise CaptureError("values that the hidden tests did not ask for")
    given = {part.name: part.arrays for part in got}

    def outcome(mine: Part, want: Part) -> Any:
        if judge is None or mine.error:
            return equal(mine, want)
        return judge(want.name, mine.arrays, want.arrays, given)

    reached = [outcome(mine, want) for mine, want in zip(got, reference, strict=False)]
    return reached + [False] * (len(reference) - len(reached))


Place = tuple[int, str | None]  # the position of a part, and what in it: a label, or None for all of it


def diagnosis(
    got: Sequence[Part],
    failed: Sequence[int],
    reference: Sequence[Part],
    mistakes: Sequence[tuple[str, Sequence[Part]]],
    judge: Judge | None,
) -> tuple[list[str], list[Place]]:
    """Name the known mistakes whose values the failed parts have.

    A mistake is named only where every part that it spoils has all that it spoils there.

    Returns:
        The sentences, the mistake that explains most first, and the places that none of them explains.
    """
    left = {place for position in failed for place in _spoilt(got, position, reference)}
    known: list[tuple[str, set[Place]]] = []
    for says, parts in mistakes:
        spoils = [position for position, passes in enumerate(passed(parts, reference, judge)) if not passes]
        places = {place for n in spoils if n < len(got) for place in _spoilt(parts, n, reference)}
        if all(_alike(got[position], parts[position], reference[position], label) for position, label in places):
            known.append((says, places))
    said = []
    while left and known:
        says, explained = max(known, key=lambda item: len(item[1] & left))
        if not explained & left:
            break
        said.append(says)
        left -= explained
    return said, sorted(left, key=lambda place: (place[0], place[1] or ""))


def _labelled(part: Part, reference: Part) -> dict[str, list[np.ndarray]]:
    """Return the arrays of a part by the reference's labels: all without one are looked at together, as ""."""
    result: dict[str, list[np.ndarray]] = {}
    for label, array in zip(reference.labels or ("",) * len(part.arrays), part.arrays, strict=True):
        result.setdefault(label, []).append(array)
    return result


def _spoilt(said: Sequence[Part], position: int, reference: Sequence[Part]) -> set[Place]:
    """Return what differs in a failed part from the reference's: by labels, where they can be compared so."""
    want = reference[position]
    if position < len(said) and not said[position].error and len(said[position].arrays) == len(want.arrays):
        mine, theirs = _labelled(said[position], want), _labelled(want, want)
        if labels := [label for label in theirs if not all(map(close, mine[label], theirs[label]))]:
            return {(position, label) for label in labels}
    return {(position, None)}


def _alike(mine: Part, theirs: Part, reference: Part, label: str | None) -> bool:
    """Tell whether two parts agree in what has a label, or as a whole. Here NaN is like NaN: both divided 0 by 0."""
    if label is None or mine.error or len(mine.arrays) != len(theirs.arrays):
        return equal(mine, theirs)
    pairs = zip(_labelled(mine, reference)[label], _labelled(theirs, reference)[label], strict=True)
    return all(
        np.array_equal(np.isnan(one), np.isnan(other)) and close(np.nan_to_num(one), np.nan_to_num(other))
        for one, other in pairs
    )


# What may be told of an error, besides what the student saw in the visible check: it holds nothing of an input.
TYPES = {
    *("NoneType", "tuple", "list", "dict", "set", "generator", "map", "zip", "filter", "str", "bytes", "complex"),
    *("ndarray", "Size", "function", "builtin_function_or_method", "method", "type", "Classifier", "Sequential"),
    *("int", "float", "bool", "Image", "Figure"),
}
PAIRS = {"max", "min", "sort", "topk", "median", "kthvalue", "mode", "aminmax"}  # named tuples of torch
ARITY = r"TypeError: [\w.<>]+\(\) (takes (?:from \d to )?\d positional arguments? but \d (?:was|were) given)"


def public_error(error: str, public: Collection[str] = (), wanted: str = "a tensor was wanted") -> str:
    """Return the part of an error that may be told; `wanted` ends what is said of a result of the wrong type.

    Its text comes from the student's process, which has seen the hidden inputs; what it could carry out is told only
    where the student saw it before.
    """
    kind = error.partition(":")[0]
    if error in public or re.fullmatch(r"NameError: name '\w{1,40}' is not defined", error):
        return error
    if met := re.fullmatch(ARITY, error):
        return f"TypeError: the function {met[1]}"
    if met := re.fullmatch("TypeError: " + emit.wrong_type(r"(\w+)", r"(a tensor|a network)"), error):
        wanted = wanted if met[2] == "a tensor" else "a network was wanted"
        if met[1] in PAIRS:
            return f"found the pair (values, indices) that `{met[1]}` gives; {wanted}"
        return f"found a value of {f'type {met[1]}' if met[1] in TYPES else 'another type'}; {wanted}"
    if (met := re.match(r"(?:AttributeError|TypeError): '(?:\w+\.)*(\w+)' object ", error)) and met[1] in TYPES | PAIRS:
        return f"{kind} at a value of type {met[1]}"
    return (
        f"{kind} in the hidden test"
        if isinstance(getattr(builtins, kind, None), type)
        else "an error in the hidden test"
    )


def difference(
    got: Sequence[Part],
    position: int,
    reference: Sequence[Part],
    labels: Collection[str | None],
    public: Collection[str] = (),
) -> str:
    """Say in a few words how one failed part differs, without giving an input or an expected value away.

    Args:
        got: the parts of the submission.
        position: of the failed part.
        reference: the parts of the reference.
        labels: what in the part to speak of; None for all of it.
        public: the errors that may be told.
    """
    if position >= len(got):
        return "not reached"
    mine, want = got[position], reference[position]
    if mine.error:
        wanted = "a tensor was wanted" if any(array.ndim for array in want.arrays) else "numbers were wanted"
        return public_error(mine.error, public, wanted)
    if len(mine.arrays) != len(want.arrays):
        return other_form(mine.form, want.form) or (
            f"{len(mine.arrays)} values came back, {len(want.arrays)} were wanted"
        )
    said = []
    if not {"", None}.isdisjoint(labels):
        arrays = _labelled(mine, want).get("", []), _labelled(want, want).get("", [])
        words = dict.fromkeys(filter(None, map(how, *arrays)))
        told = [each for each in words if not each.startswith("the values")] or list(words)
        said.append(told[0] if len(words) == 1 or len(told) < len(words) else "the values differ")
    if named := list(filter(None, labels)):
        said.append(f"not as it must be: {', '.join(named)}")
    return "; ".join(said)


def how(got: np.ndarray, want: np.ndarray) -> str:
    """Say in a few words how an array differs from the one wanted; "" where it does not."""
    if got.shape != want.shape:
        return f"found shape {got.shape}, wanted {want.shape}"
    if got.dtype.kind != want.dtype.kind:
        return f"found {got.dtype} values, wanted {want.dtype}"
    if got.dtype.kind == "f" and not np.isfinite(got).all():
        return "some values are NaN or infinite"
    return "" if close(got, want) else scale(got, want) or "the values differ"


def other_form(mine: Any, want: Any) -> str:
    """Say where several values came back in the place of one, or one in that of several; "" where none did."""
    if isinstance(want, list) and isinstance(mine, list) and len(mine) == len(want):
        return next(filter(None, map(other_form, mine[1:], want[1:])), "")
    if isinstance(mine, list) and not isinstance(want, list):
        kind = str(mine[0]) if mine else ""
        if kind in PAIRS:
            return f"found the pair (values, indices) that `{kind}` gives; a tensor was wanted"
        return f"found a {'list' if kind == 'list' else 'tuple'} of {len(mine) - 1}; one tensor was wanted"
    if isinstance(want, list) and not isinstance(mine, list):
        return f"found one value; {len(want) - 1} were wanted"
    return ""


def scale(got: np.ndarray, want: np.ndarray) -> str:
    """Say so where `got` is `want` up to one factor."""
    if got.dtype.kind != "f" or not np.linalg.norm(want) or not np.linalg.norm(got):
        return ""
    factor = float(np.vdot(want, got) / np.vdot(want, want))
    if factor and close(got, want * factor):
        return f"the values are {factor:.3g} times those wanted"
    return ""
