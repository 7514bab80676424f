"""What the visible checks of assignment 3 say to wrong answers that people write: what is true of them, and no more.

Those of the page's own bank are in `tests/test_checks.py`.
"""

import pytest

from helpers.course.pages import registry
from helpers.course.pages.cells import without_markers
from tests.test_checks import names, told

PAGE = registry.page_of("03_fooling")


def edited(f, *pairs):
    """The answer to exercise `f` with other text in some places."""
    source = without_markers(PAGE.exercises[f].source)
    for old, new in pairs:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    namespace = dict(names(PAGE))
    exec(source, namespace)
    return namespace[f]


START, PROJECTED = "x = images.detach().clone()", "x = torch.clamp(x, images - epsilon, images + epsilon).clamp(0, 1)"
BEST = (
    (START, START + "; best, most = x, F.cross_entropy(model(x), labels, reduction='none').detach()"),
    (
        PROJECTED,
        PROJECTED + "; now = F.cross_entropy(model(x), labels, reduction='none').detach(); "
        "best = torch.where((now > most).view(-1, 1, 1, 1), x, best); most = torch.maximum(now, most)",
    ),
    ("return x", "return best"),
)

# The exercise, what is edited, what must be said, and what must not.
CASES = {
    "the best image so far": ("pgd", BEST, "the largest loss so far", "after the loop"),
    "nothing attacked that is wrong": (
        "fgsm",
        [("gradient.sign()", "gradient.sign() * (model(images).argmax(dim=1) == labels).any()")],
        "images have not moved",
        "where the loss falls",
    ),
    "only darker": ("fgsm", [("gradient.sign()", "gradient.sign().clamp(max=0)")], "for every value", "[0, 1]"),
    "one more step": (
        "make_fooling_image",
        [("range(max_iterations)", "range(1 + max_iterations)")],
        "one time too many",
        "slope",
    ),
    "a threshold": (
        "make_fooling_image",
        [("if scores.argmax() == target:", "if scores.softmax(0)[target] > 0.9:")],
        "when the network is sure",
        "no test at all",
    ),
    "two steps": (
        "adversarial_training_step",
        [("optimiser.step()", "optimiser.step(); optimiser.step()")],
        "2 calls of `optimiser.step()`",
        "clipping",
    ),
    "half a step": (
        "adversarial_training_step",
        [("loss.backward()", "(loss / 2).backward()")],
        "0.5 times as far",
        "usual cause",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_cause_that_is_said_is_the_one_there_is(case):
    f, edits, words, false = CASES[case]
    message = told(PAGE, f, edited(f, *edits))
    assert words in message
    assert false not in message.partition("found:")[2]
