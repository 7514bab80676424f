"""How values leave a student's kernel: raw bytes with dtype and shape, never a score, never a pickle.

Hidden tests call `emit`. The trusted side (`helpers.course.marks.compare`) decodes what was said and compares it with
what the reference solution said in a kernel of its own. Nothing in here knows an expected value.
"""

import base64
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from IPython.display import publish_display_data

MIME = "application/vnd.course.capture+json"


def emit(name: str, value: Any) -> None:
    """Publish the values of one part of a hidden test.

    Args:
        name: what the part is about; shown to the student ("one image").
        value: a tensor, array, number or bool, or a tuple or list of them; or a function of no arguments that returns
            one of these. What such a function raises is recorded in place of its value, so one crash costs one part.
    """
    try:
        values = value() if callable(value) else value
        payload = {"name": name, "values": [encode(item) for item in flat(values)]}
    except Exception as error:
        payload = {"name": name, "error": f"{type(error).__name__}: {error}"[:500]}
    publish_display_data({MIME: payload, "text/plain": f"[{name}]"})


def flat(value: Any) -> Iterator[Any]:
    """Yield the items of a possibly nested tuple or list, in order."""
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from flat(item)
    else:
        yield value


def encode(value: Any) -> dict[str, Any]:
    """Return one tensor, array, number or bool as {dtype, shape, data}; TypeError for anything else."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    elif not isinstance(value, (np.ndarray, np.generic, bool, int, float)):
        raise TypeError(f"found a value of type {type(value).__name__}; a tensor was wanted")
    array = np.asarray(value)
    data = base64.b64encode(array.tobytes()).decode("ascii")
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def state_of(model: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Describe everything about `model` that a well-behaved function leaves as it was.

    Returns:
        Three arrays: the values of parameters and buffers, the values of their gradients, and a row of integers for
        modes, `requires_grad`, hooks and structure. Emitted beside a result, they make a part that needs right values
        and an untouched model.
    """
    tensors = [*model.parameters(), *model.buffers()]
    gradients = [tensor.grad for tensor in tensors]
    facts = [tensor.requires_grad for tensor in tensors] + [gradient is not None for gradient in gradients]
    for path, module in model.named_modules():
        hooks = sum(len(value) for key, value in vars(module).items() if key.endswith("_hooks"))
        own_forward = "forward" in vars(module)
        facts += [module.training, hooks, own_forward, zlib.crc32(f"{path}:{type(module).__name__}".encode())]
    return _joined(tensors), _joined(gradients), np.array(facts, dtype=np.int64)


def _joined(tensors: list[Any]) -> np.ndarray:
    rows = [tensor.detach().cpu().double().numpy().ravel() for tensor in tensors if tensor is not None]
    return np.concatenate([np.zeros(0), *rows])
