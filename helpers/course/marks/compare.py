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
from typing import Any

import numpy as np

from helpers.inside.emit import MIME

DTYPES = {"float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"}
LARGEST = 5_000_000  # elements of one array
Arrays = tuple[np.ndarray, ...]
Judge = Callable[[str, Arrays, Arrays, Mapping[str, Arrays]], Any]
TOLERANCE = {"float64": 1e-6, "float32": 1e-3, "float16": 1e-2}


class CaptureError(ValueError):
    """What left the kernel is not what `emit` sends."""


@dataclass(frozen=True)
class Part:
    """What was said for one part of a hidden test: arrays, or the error that stood in their way."""

    name: str
    arrays: Arrays = ()
    error: str = ""


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
            parts.append(Part(payload["name"], tuple(decoded(item) for item in payload["values"])))
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
    mutants: Sequence[tuple[str, Sequence[Part]]],
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
        mutants: (says, parts) of each known wrong answer.
        judge: `judge(part, got, want, given)` in place of `equal`, with the name of the part, the submission's and the
            reference's arrays, and all arrays of the submission by part name.
        public: the errors that may be told, because the student saw them in the visible check.

    Returns:
        A Verdict whose message names the mistake where the values are those of a known one.

    Raises:
        CaptureError: the parts are not those of the reference, in order.
    """
    right = passed(got, reference, judge)
    if all(right):
        return Verdict(question, points, points, "right", f"All {len(right)} parts are right.")
    if got and all(part.error.startswith("NotImplementedError") for part in got):
        return Verdict(question, 0.0, points, "not answered", "Not answered.")
    known, unexplained = diagnosis(got, [position for position, passes in enumerate(right) if not passes], mutants)
    lines = [f"{sum(right)} of {len(right)} parts are right."] if any(right) else []
    lines += known
    lines += [f"{reference[position].name}: {difference(got, position, reference, public)}" for position in unexplained]
    verdict = "partly right" if any(right) else "wrong"
    return Verdict(question, points * sum(right) / len(right), points, verdict, "\n".join(lines))


def passed(got: Sequence[Part], reference: Sequence[Part], judge: Judge | None) -> list[bool]:
    """Tell of each part of the reference whether the submission's is right; one that it did not reach is not.

    Raises:
        CaptureError: the submission's parts are not those of the reference, in order.
    """
    if [part.name for part in got] != [part.name for part in reference[: len(got)]]:
        raise CaptureError("values that the hidden tests did not ask for")
    given = {part.name: part.arrays for part in got}

    def passes(mine: Part, want: Part) -> bool:
        if judge is None or mine.error:
            return equal(mine, want)
        return bool(judge(want.name, mine.arrays, want.arrays, given))

    reached = [passes(mine, want) for mine, want in zip(got, reference, strict=False)]
    return reached + [False] * (len(reference) - len(reached))


def diagnosis(
    got: Sequence[Part], failed: Sequence[int], mutants: Sequence[tuple[str, Sequence[Part]]]
) -> tuple[list[str], list[int]]:
    """Name the known mistakes whose values the failed parts have.

    Returns:
        The sentences, the mutant that explains most first, and the failed parts that none of them explains.
    """
    said: list[str] = []
    left = set(failed)
    alike = [
        (
            says,
            {position for position, (mine, theirs) in enumerate(zip(got, parts, strict=False)) if equal(mine, theirs)},
        )
        for says, parts in mutants
    ]
    while left and alike:
        # Of two that explain as much, the one that is like the submission in the other parts, too.
        says, same = max(alike, key=lambda item: (len(item[1] & left), len(item[1])))
        if not same & left:
            break
        said.append(says)
        left -= same
    return said, sorted(left)


def public_error(error: str, public: Collection[str] = ()) -> str:
    """Return the part of an error that may be told.

    Its text comes from the student's process, which has seen the hidden inputs; what it could carry out is told only
    where the student saw it before.
    """
    kind = error.partition(":")[0]
    if error in public or re.fullmatch(r"NameError: name '\w{1,40}' is not defined", error):
        return error
    return (
        f"{kind} in the hidden test"
        if isinstance(getattr(builtins, kind, None), type)
        else "an error in the hidden test"
    )


def difference(got: Sequence[Part], position: int, reference: Sequence[Part], public: Collection[str] = ()) -> str:
    """Say in a few words how one failed part differs, without giving an input or an expected value away."""
    if position >= len(got):
        return "not reached"
    mine, want = got[position], reference[position]
    if mine.error:
        return public_error(mine.error, public)
    if len(mine.arrays) != len(want.arrays):
        return f"{len(mine.arrays)} values came back, {len(want.arrays)} were wanted"
    for left, right in zip(mine.arrays, want.arrays, strict=True):
        if left.shape != right.shape:
            return f"found shape {left.shape}, wanted {right.shape}"
        if left.dtype.kind != right.dtype.kind:
            return f"found {left.dtype} values, wanted {right.dtype}"
        if left.dtype.kind == "f" and not np.isfinite(left).all():
            return "some values are NaN or infinite"
        if not close(left, right):
            return scale(left, right) or "the values differ"
    return "the values differ"


def scale(got: np.ndarray, want: np.ndarray) -> str:
    """Say so where `got` is `want` up to one factor."""
    if got.dtype.kind != "f" or not np.linalg.norm(want) or not np.linalg.norm(got):
        return ""
    factor = float(np.vdot(want, got) / np.vdot(want, want))
    if factor and close(got, want * factor):
        return f"the values are {factor:.3g} times those wanted"
    return ""
