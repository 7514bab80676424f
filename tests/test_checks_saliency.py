"""What the visible checks of assignment 1 say to wrong answers that people write: what is true of them, and no more."""

import pytest
import torch

from helpers.course.pages import registry
from tests.test_checks import told

PAGE = registry.page_of("01_saliency")


def gradient(images, labels, model, make=lambda scores: scores, *, normalised=False):
    """The slope of each image's own number of make(scores), at the pixels or at the normalised images."""
    pixels = (model.normalise(images) if normalised else images).detach().clone().requires_grad_()
    scores = make((model.network if normalised else model)(pixels))
    return torch.autograd.grad(scores.gather(1, labels[:, None]).sum(), pixels)[0]


def stretched(maps):
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low)


OF = {"score": lambda s: s, "probability": lambda s: s.softmax(1), "log_probability": lambda s: s.log_softmax(1)}


def quantity(of):
    if of not in OF:
        raise ValueError(of)
    return OF[of]


def of_all_labels(images, labels, model, of="score"):
    pixels = images.detach().clone().requires_grad_()
    return torch.autograd.grad(quantity(of)(model(pixels))[:, labels].sum(), pixels)[0]


def smooth(reduce, sign=1, make=lambda scores: scores, scale=lambda images: 1, first=()):
    """A SmoothGrad that differs from the right one in one of these."""

    def answer(images, labels, model, noise):
        samples = [torch.zeros_like(images) for _ in first] + [sign * scale(images) * sample for sample in noise]
        return reduce(torch.stack([gradient(images + sample, labels, model, make) for sample in samples]))

    return answer


def mean(slopes):
    return slopes.mean(dim=0)


def sizes_of(images):
    return images.amax(dim=(1, 2, 3), keepdim=True) - images.amin(dim=(1, 2, 3), keepdim=True)


def box(keep):
    """A box around what `keep` tells of a map and a number of pixels."""

    def answer(saliency_map, fraction):
        rows, columns = keep(saliency_map, -int(-fraction * saliency_map.numel() // 1)).nonzero(as_tuple=True)
        return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1

    return answer


def at_least_the_kth(values, k):
    return values >= values.flatten().sort(descending=True).values[k - 1]


def above_the_next(values, k):
    bright = values > values.flatten().sort(descending=True).values[min(k, values.numel() - 1)]
    return bright if bright.any() else at_least_the_kth(values, k)


def floats(saliency_map, fraction):
    return tuple(torch.tensor(float(corner)) for corner in box(at_least_the_kth)(saliency_map, fraction))


LEVELS = "rounded before values are compared"
# exercise, wrong answer, what the message says of it.
ROWS = [
    ("compute_saliency_maps", lambda *g: stretched(gradient(*g).abs().amax(dim=1)), "a normalisation to [0, 1]"),
    ("compute_saliency_maps", lambda *g: gradient(*g).sum(dim=1).abs(), "the size of the sum over the channels"),
    ("compute_saliency_maps", lambda *g: gradient(*g).abs().amax(dim=1) ** 2, "the square of the steepest slope"),
    ("compute_saliency_maps", lambda *g: (gradient(*g) ** 2).sum(dim=1), "the sum of the squared slopes"),
    ("compute_saliency_maps", lambda *g: gradient(*g, normalised=True).abs().amax(dim=1), "at the normalised image"),
    ("compute_saliency_maps", lambda *g: gradient(*g).abs().max(dim=1), "take `.values`, or `amax`"),
    ("compute_saliency_maps", lambda *g: gradient(*g).abs().amax(dim=1).clamp(0, 1), "cut off at 1"),
    ("compute_saliency_maps", lambda *g: gradient(*g).clamp(min=0).amax(dim=1), "negative slopes are set to 0"),
    ("score_gradient", of_all_labels, "`scores[:, labels]`"),
    (
        "score_gradient",
        lambda images, labels, model, of="score": gradient(images, labels, model, quantity(of), normalised=True),
        "at the normalised image",
    ),
    (
        "score_gradient",
        lambda images, labels, model, of="score": gradient(
            images, labels, model, (lambda s: s.softmax(1).clamp(min=1e-4).log()) if "log" in of else quantity(of)
        ),
        "kept above a bound",
    ),
    ("smooth_grad", smooth(lambda slopes: slopes.median(dim=0).values), "the median of the slopes"),
    ("smooth_grad", smooth(mean, sign=-1), "the noise is subtracted"),
    ("smooth_grad", smooth(mean, first=[0]), "the slope at the clean image"),
    ("smooth_grad", smooth(lambda slopes: slopes.var(dim=0, correction=0)), "questions:"),
    ("smooth_grad", smooth(mean, scale=sizes_of), "noise times the image's range"),
    ("smooth_grad", smooth(lambda slopes: slopes.sum(dim=0) / max(1, len(slopes) - 1)), "divided by 4, one less than"),
    ("smooth_grad", smooth(mean, make=lambda scores: scores.softmax(1)), "a softmax before the gradient"),
    ("smooth_grad", smooth(lambda slopes: slopes.mean(dim=0).abs()), "the size of the mean slope"),
    ("saliency_box", box(above_the_next), "pixels that tie with the threshold are dropped"),
    ("saliency_box", box(lambda values, k: at_least_the_kth(values.abs(), k)), "Are absolute values taken"),
    ("saliency_box", floats, "corners that are no whole numbers"),
    ("saliency_box", box(lambda values, k: at_least_the_kth(values.float(), k)), LEVELS),
]
# What was said to some of them, and was not true.
GUESSES = (
    "paired",
    "labels.repeat",
    "`of` is not told apart",
    "something other than the raw score",
    "images, not by the",
)


@pytest.mark.parametrize(("f", "answer", "words"), ROWS, ids=[f"{f}: {words}" for f, _, words in ROWS])
def test_a_wrong_answer_is_told_what_is_true_of_it(f, answer, words):
    message = told(PAGE, f, answer)
    assert words in message
    assert not any(guess in message for guess in GUESSES)


def test_with_one_image_and_one_sample_nothing_is_said_of_pairs():
    def wrong_for_one(images, labels, model, noise):
        right = smooth(mean)(images, labels, model, noise)
        return right + 1 if len(images) == len(noise) == 1 else right

    message = told(PAGE, "smooth_grad", wrong_for_one)
    assert "one sample, one image" in message
    assert "order" not in message and "repeat" not in message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AssertionError, "an `assert`"),
        (KeyError, "KeyError"),
        (None, "None"),
    ],
)
def test_an_unknown_word_that_raises_no_value_error_is_told_what_it_met(error, words):
    def answer(images, labels, model, of="score"):
        if of in OF:
            return gradient(images, labels, model, OF[of])
        if error:
            raise error(of)
        return None

    message = told(PAGE, "score_gradient", answer)
    assert words in message and "every other word passes" not in message
