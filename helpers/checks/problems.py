"""The small seeded problems that checks put to an answer, in their visible and in their hidden half.

In the hidden half, each seeds torch, so that whatever an answer does by chance (dropout in training mode, say) is the
same for everyone. The visible half takes the same problems smaller, and leaves torch's random state as it was.
"""

from functools import wraps

import torch

from helpers.checks.named import Named
from helpers.checks.networks import SMALL, tiny_network


def tiny_batch(model, count, seed, size=(9, 13)):
    """Return images (count, 3, *size) for a tiny network, and labels (count,) none of which is its prediction."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, *size, generator=generator, dtype=torch.float64)
    images = images.to(next(model.parameters()).dtype)
    with torch.no_grad():
        scores = model(images)
    shift = 1 + torch.arange(count) % (scores.shape[1] - 1)
    return images, (scores.argmax(dim=1) + shift) % scores.shape[1]


def problem(seed, count, size=(9, 13), **options):
    """Return images (count, 3, *size), labels (count,) that the network does not predict, and a tiny network.

    Args:
        seed: an integer, for network and images.
        count: how many images.
        size: (H, W) of an image.
        options: of the network (`tiny_network`).
    """
    torch.manual_seed(seed)
    model = tiny_network(seed, size, **options)
    images, labels = tiny_batch(model, count, seed, size)
    return images, labels, model


def attack_problem(seed, count, size=(9, 13), spread=0.4, **options):
    """Return images of values 0.5 +- spread / 2, cut off at 0 and 1, labels and a tiny network.

    The last label is the network's prediction, the others are not. Arguments as for `problem`.
    """
    images, _, model = problem(seed, count, size, **options)
    images = (0.5 + spread * (images - 0.5)).clamp(0, 1)
    scores = model(images).detach()
    return images, (scores.argmax(dim=1) + (1 + torch.arange(count)) % count) % scores.shape[1], model


def drawing_problem(seed, size=(9, 13), **options):
    """Return an image (1, 3, *size) far from mid grey, a class that is not its prediction, and a tiny network."""
    torch.manual_seed(seed)
    model = tiny_network(seed, size, **options)
    image = 3 * torch.rand(1, 3, *size, dtype=next(model.parameters()).dtype) - 1.2
    with torch.no_grad():
        scores = model(image)
    return image, (int(scores.argmax()) + 1 + seed % 2) % scores.shape[1], model


def alike(problem, seed, *options, **more):
    """Return three problems of one size, which a result that is kept from call to call takes for one another.

    The second has another network, the third the images mirrored. No network stands in two of them.
    """
    images, labels, model = problem(seed, *options, **more)
    (_, _, again), (_, _, other) = (problem(number, *options, **more) for number in (seed, seed + 50))
    return [(images, labels, model), (images, labels, other), (images.flip(-1), labels, again)]


def other_problems(seed, count, **options):
    """Return problems for one answer in a row: three that are alike, and one with a network that is sure.

    Its slopes exceed 1, and its probabilities are far from equal.
    """
    return [*alike(problem, seed, count, **options), problem(seed + 100, count, (8, 6), classes=7, gain=30)]


def left_of(result=None, **arguments):
    """Return what a call leaves that it should not: a graph behind its result, another state of its arguments.

    Args:
        result: what came back, where it is a tensor.
        arguments: the tensors that were passed in, by name.
    """
    left = {} if result is None else {"the result's requires_grad": result.requires_grad}
    for name, tensor in arguments.items():
        left |= {
            f"the caller's {name}": tensor,
            f"requires_grad of the caller's {name}": tensor.requires_grad,
            f".grad of the caller's {name}": tensor.grad is not None,
        }
    return Named(left)


def in_both_dtypes(answer, problem):
    """Return what an answer gives in float64 and in float32, each with whether it has that dtype, with words for it.

    Args:
        answer: the student's function.
        problem: dtype -> its arguments.
    """
    results = [(answer(*problem(dtype)), dtype) for dtype in (torch.float64, torch.float32)]
    return [
        (result, Named({"the result's dtype": str(result.dtype).removeprefix("torch.") == str(dtype)[6:]}))
        for result, dtype in results
    ]


def _small(problem):
    """Return `problem` as visible checks put it: SMALL unless they say otherwise, and torch is not left seeded."""

    @wraps(problem)
    def small(seed, *arguments, size=SMALL, **options):
        with torch.random.fork_rng(devices=[]):
            return problem(seed, *arguments, size=size, **options)

    return small


small_problem, small_attack_problem, small_drawing_problem = map(_small, (problem, attack_problem, drawing_problem))
