"""How values leave a student's kernel: raw bytes with dtype and shape, never a score, never a pickle.

Hidden tests call `emit`. The trusted side (`helpers.course.marks.compare`) decodes what was said and compares it with
what the reference solution said in a kernel of its own. Nothing in here knows an expected value.
"""

import base64
import re
import traceback
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from IPython.display import publish_display_data

from helpers.checks.named import Named

MIME = "application/vnd.course.capture+json"
HIDDEN = "<hidden test>"  # the file that a hidden half is compiled as
OURS = str(Path(__file__).parents[1])


def emit(name: str, value: Any) -> None:
    """Publish the values of one part of a hidden test.

    Args:
        name: what the part is about; shown to the student ("one image").
        value: a tensor, array, number or bool, or a tuple or list of them, or a Named of any of these; or a function of
            no arguments that returns one of these. What such a function raises is recorded in place of its value, so
            one crash costs one part.
    """
    try:
        values = value() if callable(value) else value
        labelled = list(flat(values))
        payload = {
            "name": name,
            "values": [encode(item) for _, item in labelled],
            "labels": [label for label, _ in labelled],
            "form": form(values),
        }
    except Exception as error:
        payload = {"name": name, "error": in_words(error)[:500]}
    publish_display_data({MIME: payload, "text/plain": f"[{name}]"})


def flat(value: Any, label: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (label, item) for the items of a possibly nested tuple, list or Named, in order; most have the label ""."""
    if isinstance(value, Named):
        for words, item in value.items():
            yield from flat(item, words)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from flat(item, label)
    else:
        yield label, value


def form(value: Any) -> Any:
    """Return how a value is nested: [name of its type, form of each item], or a leaf's name alone."""
    if isinstance(value, (tuple, list, Named)):
        items = value.values() if isinstance(value, Named) else value
        return [type(value).__name__, *map(form, items)]
    return "number" if isinstance(value, (np.generic, bool, int, float)) else type(value).__name__


def encode(value: Any) -> dict[str, Any]:
    """Return one tensor, array, number or bool as {dtype, shape, data}; TypeError for anything else."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    elif not isinstance(value, (np.ndarray, np.generic, bool, int, float)):
        raise TypeError(wrong_type(type(value).__name__))
    array = np.asarray(value)
    data = base64.b64encode(array.tobytes()).decode("ascii")
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def wrong_type(name: str, wanted: str = "a tensor") -> str:
    """Return the words for a result of a type that no result may have."""
    return f"found a value of type {name}; {wanted} was wanted"


def where_finite(result: Any) -> Any:
    """Return where a tensor, or each of a tuple or list of them, is finite: for parts in which no value counts."""
    if type(result) in (tuple, list):
        return type(result)(map(where_finite, result))
    encode(result)  # says what it found where that is no tensor
    return result.isfinite() if hasattr(result, "isfinite") else np.isfinite(result)


def as_network(result: Any) -> Any:
    """Return what an answer gave, which must be a network; TypeError in the words of `wrong_type` where it is none."""
    if not hasattr(result, "named_parameters"):
        raise TypeError(wrong_type(type(result).__name__, "a network"))
    return result


def in_words(error: Exception) -> str:
    """Return an error as "Type: text"; one that a hidden test met in what an answer returned, as the type it found."""
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    # A module of torch looks for its attributes in a frame of its own.
    file = next((code.co_filename for code in reversed(codes) if code.co_name != "__getattr__"), "")
    met = re.match(r"'(?:\w+\.)*(\w+)' object (?:has no attribute|is not|does not)", str(error))
    if met and (file == HIDDEN or file.startswith(OURS)):
        return f"TypeError: {wrong_type(met[1])}"
    return f"{type(error).__name__}: {error}"


def state_of(model: Any) -> Named:
    """Describe everything about `model` that a well-behaved function leaves as it was.

    Returns:
        Arrays by the words for what they hold, such as "the model's hooks". Emitted beside a result, they make a part
        that needs right values and an untouched model. Whatever stands in the place of a module is described, too.
    """
    # Both need torch, and an assignment may not.
    from torch import nn

    from helpers.checks import state

    modules = list(state.modules_of(model))
    own = [module for _, module in modules if isinstance(module, nn.Module)]
    tensors = [tensor for _, tensor in state.tensors_of(model)]
    gradients = [tensor.grad for tensor in tensors]
    values = (
        [zlib.crc32(f"{path}:{type(module).__name__}".encode()) for path, module in modules],
        [module.training for module in own],
        [len(state.hooks_of(module)) for module in own],
        ["forward" in vars(module) for module in own],
        [tensor.requires_grad for tensor in tensors],
        _joined(tensors),
        np.concatenate([[gradient is not None for gradient in gradients], _joined(gradients)]),
    )
    words = [f"the model's {part}" for part in state.PARTS]
    return Named(zip(words, map(np.asarray, values), strict=True))


def _joined(tensors: list[Any]) -> np.ndarray:
    rows = [tensor.detach().cpu().double().numpy().ravel() for tensor in tensors if tensor is not None]
    return np.concatenate([np.zeros(0), *rows])
