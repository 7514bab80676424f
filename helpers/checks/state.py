"""What a call must leave as it was: a model in all its parts, and torch itself.

Read when a page is set up, before any answer runs, so that torch is known as it was installed.
"""

import pickle
import random
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers.checks.named import Named

PARTS = ("structure", "mode", "hooks", "forward", "requires_grad", "parameters or buffers", "parameters' .grad")
HOME = str(Path(torch.__file__).parent)


def modules_of(model):
    """Yield (path, module) for everything that stands in `model` as a module, also what is none."""
    todo, seen = [("", model)], set()
    while todo:
        path, module = todo.pop(0)
        if module is not None and id(module) not in seen:
            seen.add(id(module))
            yield path, module
            children = module._modules if isinstance(module, nn.Module) else {}
            todo += [(f"{path}.{name}", child) for name, child in children.items()]


def tensors_of(model):
    """Yield (path, tensor) for every parameter and buffer of `model`."""
    seen = set()
    for path, module in modules_of(model):
        if isinstance(module, nn.Module):
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield f"{path}.{name}", tensor


def hooks_of(module):
    """Return the hooks that are registered on one module, in order."""
    return [hook for key, hooks in vars(module).items() if key.endswith("_hooks") for hook in hooks.values()]


def description(model):
    """Return all about `model` that a call must leave as it was, by PARTS."""
    modules = [(path, module) for path, module in modules_of(model) if isinstance(module, nn.Module)]
    tensors = list(tensors_of(model))
    values = (
        [(path, id(module)) for path, module in modules_of(model)],
        [(path, module.training) for path, module in modules],
        [(path, [id(hook) for hook in hooks_of(module)]) for path, module in modules],
        [(path, id(vars(module).get("forward"))) for path, module in modules],
        [(path, tensor.requires_grad) for path, tensor in tensors],
        [(path, tensor.tolist()) for path, tensor in tensors],
        [(path, None if tensor.grad is None else tensor.grad.tolist()) for path, tensor in tensors],
    )
    return dict(zip(PARTS, values, strict=True))


# Where functions of torch stand that somebody could exchange, and which stood there when this was read.
OWNERS = [
    torch,
    nn.functional,
    torch.autograd,
    torch.Tensor,
    *(each for each in vars(nn).values() if isinstance(each, type)),
]
SHOWING = {"__repr__", "__str__", "__format__"}  # packages that show tensors more nicely exchange these
INSTALLED = [(owner, {name: value for name, value in vars(owner).items() if callable(value)}) for owner in OWNERS]
GLOBAL_HOOKS = [
    hooks
    for name, hooks in vars(nn.modules.module).items()
    if name.startswith("_global_") and name.endswith("_hooks") and isinstance(hooks, dict)
]


def exchanged():
    """Yield (owner, name, function of torch's own) for each function in whose place stands a stranger."""
    for owner, functions in INSTALLED:
        now = vars(owner)
        for name, function in functions.items():
            if now.get(name) is not function and name not in SHOWING and not _torchs_own(now.get(name)):
                yield owner, name, function


def _torchs_own(function):
    # Some of torch's modules exchange functions and classes themselves, when they are imported, or with the dtype.
    if isinstance(function, type):
        return function.__module__.partition(".")[0] == "torch"
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename.startswith(HOME)


TORCH_PARTS = (
    "torch's grad mode",
    "torch's default dtype",
    "torch's seed",
    "torch's functions",
    "torch's global hooks",
    "NumPy's random numbers",
    "Python's random numbers",
)


def torch_state():
    """Return what an answer could change about torch itself, and about other sources of chance: {what: value}."""
    values = (
        torch.is_grad_enabled(),
        str(torch.get_default_dtype()),
        torch.initial_seed(),  # of the last torch.manual_seed; drawing numbers leaves it as it is
        [f"{owner.__name__}.{name}" for owner, name, _ in exchanged()],
        sum(map(len, GLOBAL_HOOKS)),
        pickle.dumps(np.random.get_state()),  # noqa: NPY002, the one that `np.random.seed` seeds
        random.getstate(),
    )
    return dict(zip(TORCH_PARTS, values, strict=True))


_GIVEN: list[int] = []  # the seeds of the bodies that run


@contextmanager
def torch_put_back():
    """Put torch and the other sources of chance back, after the body, into the state they had before.

    Yields:
        A dict, in which there is afterwards what the body left changed: {what: its value then}, by TORCH_PARTS.
    """
    # The body is given a seed that no answer would choose: one that seeds with the number that was there already would
    # not be seen. It is drawn, so that what is drawn in the next body differs. A body inside another keeps that one's:
    # a function that is watched draws the same where a watched one calls it.
    inside = torch.initial_seed() in _GIVEN
    seed = torch.initial_seed() if inside else int(torch.randint(1 << 40, 1 << 62, ()))
    numbers = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    if not inside:
        torch.default_generator.manual_seed(seed)
    _GIVEN.append(seed)
    before = torch_state()
    changed: dict[str, object] = {}
    try:
        yield changed
    finally:
        _GIVEN.remove(seed)
        after = torch_state()
        changed |= {what: value for what, value in after.items() if value != before[what]}
        torch.set_grad_enabled(before["torch's grad mode"])
        torch.set_default_dtype(getattr(torch, before["torch's default dtype"].removeprefix("torch.")))
        torch.set_rng_state(numbers[0])
        np.random.set_state(numbers[1])  # noqa: NPY002
        random.setstate(numbers[2])
        for owner, name, function in list(exchanged()):
            setattr(owner, name, function)
        if "torch's global hooks" in changed:
            for hooks in GLOBAL_HOOKS:
                hooks.clear()


@contextmanager
def structure_put_back(arguments):
    """Put back, after the body, modules that it replaces in the models among `arguments`.

    Yields:
        A list, in which there is one word for each module whose children were others.
    """
    models = [argument for argument in arguments if isinstance(argument, nn.Module)]
    parents = [parent for model in models for parent in model.modules()]
    before = [(parent, dict(parent._modules)) for parent in parents]
    changed: list[str] = []
    try:
        yield changed
    finally:
        for parent, children in before:
            if parent._modules != children:
                changed.append(type(parent).__name__)
                parent._modules.clear()
                parent._modules.update(children)


STRUCTURE = "the structure of the model"


class Watched:
    """A function that is watched, for a hidden half: what it leaves changed is put back, so that a mistake costs once.

    `left_torch` tells of each of TORCH_PARTS, and of STRUCTURE, whether all calls so far have left it as it was.
    """

    def __init__(self, function):
        """Take the student's function."""
        self.function, self.left_torch = function, Named.fromkeys((*TORCH_PARTS, STRUCTURE), True)

    def __call__(self, *arguments, **options):
        """Return what the function returns."""
        left: dict[str, object] = {}
        changed: list[str] = []
        try:
            with torch_put_back() as left, structure_put_back(arguments) as changed:
                return self.function(*arguments, **options)
        finally:
            for what in TORCH_PARTS:
                self.left_torch[what] &= what not in left
            self.left_torch[STRUCTURE] &= not changed
