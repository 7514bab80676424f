"""The checks students run: they accept every right answer, and name the mistake of every wrong one."""

import ast
import re
from functools import cache

import pytest
import torch

from helpers.checks import core
from helpers.course.pages import registry
from helpers.course.pages.cells import cut
from tests.answering import is_quiz

PAGES = [page for page in registry.pages().values() if page.exercises]
EXERCISES = [
    pytest.param(page, f, id=f"{page.name} {f}") for page in PAGES for f in page.exercises if not is_quiz(page, f)
]
MUTANTS = [
    pytest.param(page, mutant, id=f"{page.name} {f}: {mutant.says[:40]}")
    for page in PAGES
    for f in page.exercises
    if not is_quiz(page, f)
    for mutant in page.mutants(f)
]
each_exercise = pytest.mark.parametrize(("page", "f"), EXERCISES)
each_mutant = pytest.mark.parametrize(("page", "mutant"), MUTANTS)
# Some answers, right and wrong ones, turn a tensor with a graph into a number.
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True")


@cache
def names(page):
    """What stands around an answer: the page's imports, the functions of the page that answers call, the reference."""
    answers = [cell for cell in page.cells if cell.kind in ("exercise", "mutant", "variant")]
    called = {node.id for cell in answers for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}

    def needed(node):
        return isinstance(node, ast.Import | ast.ImportFrom) or getattr(node, "name", None) in called

    namespace = {}
    for cell in page.cells:
        if cell.kind in ("setup", "code", "example"):
            tree = ast.parse(cell.source)
            tree.body = list(filter(needed, tree.body))
            exec(compile(tree, str(page.path), "exec"), namespace)
        elif cell.kind == "exercise":
            exec(cell.source, namespace)
    return namespace


def answer(page, cell):
    """The function that a cell defines."""
    namespace = dict(names(page))
    exec(cell.source, namespace)
    return namespace[cell.name]


def check(page, f, function):
    """Run the check's cell of the students' notebook on this function as the answer to exercise `f`."""
    exec(cut(page.checks[f].source, "HIDDEN TESTS"), names(page) | {f: function})


def told(page, f, function):
    """What the check says to a wrong answer."""
    with pytest.raises(core.CheckFailed) as failure:
        check(page, f, function)
    return str(failure.value)


@cache
def told_for_mutant(page, mutant):
    return told(page, mutant.name, answer(page, mutant))


@cache
def told_for_slip(page, f, slip):
    return told(page, f, slip(names(page)[f]))


def part(message):
    """Which numbered part of a check failed, and of how many: (k, n)."""
    return tuple(map(int, re.search(r", check (\d+) of (\d+): ", message).groups()))


# Slips that any exercise knows: each makes a wrong answer of the right one.


def drops_the_batch_axis(right):
    return lambda *given: right(*given).squeeze(0)


def answers_in_float64(right):
    return lambda *given: right(*given).double()


def wipes_the_gradients(right):
    def wrong(images, labels, model, *rest):
        model.zero_grad()
        return right(images, labels, model, *rest)

    return wrong


def keeps_a_result_for_each_picture(right):
    kept = {}

    def wrong(images, *rest):
        place = tuple(images.flatten().tolist())
        if place not in kept:
            kept[place] = right(images, *rest)
        return kept[place]

    return wrong


def asks_about_the_prediction(right):
    return lambda images, labels, model, layer: right(images, model(images).argmax(dim=1), model, layer)


def takes_absolute_values(right):
    return lambda saliency_map, fraction: right(saliency_map.abs(), fraction)


# Where no mutant goes: the exercise, the part of its check that the slip must fail, and words of the message.
SLIPS = [
    ("smooth_grad", drops_the_batch_axis, 3, "drops the batch axis of a single image"),
    ("smooth_grad", keeps_a_result_for_each_picture, 4, "something of an earlier call is kept"),
    ("smooth_grad", wipes_the_gradients, 5, "`zero_grad()` wipes them"),
    ("saliency_box", takes_absolute_values, 5, "absolute values"),
    ("guided_grad_cam", asks_about_the_prediction, 4, "`argmax`: the labels are not used"),
    ("guided_grad_cam", drops_the_batch_axis, 5, "drops the batch axis of a single image"),
    ("integrated_gradients", drops_the_batch_axis, 6, "drops the batch axis of a single image"),
    ("occlusion_map", drops_the_batch_axis, 4, "drops the batch axis of a single image"),
    ("pgd", drops_the_batch_axis, 7, "drops the batch axis of a single image"),
    ("deletion_curve", drops_the_batch_axis, 5, "drops the batch axis of a single image"),
    ("class_visualization_step", answers_in_float64, 4, "found:        a torch.float64 tensor"),
    ("channel_visualization_step", answers_in_float64, 4, "found:        a torch.float64 tensor"),
]
PAGE_OF = {f: page for page in PAGES for f in page.exercises}


# Every check of every page


@each_mutant
def test_every_mutant_says_a_sentence_and_has_words_for_the_visible_check(page, mutant):
    assert mutant.says.endswith(".") and mutant.visible.strip()


@each_exercise
def test_check_passes_the_answer_and_says_how_many_checks(page, f, capsys):
    check(page, f, names(page)[f])
    assert re.fullmatch(rf"{f}: \d+ checks passed\n", capsys.readouterr().out)


@pytest.mark.slow
@each_exercise
def test_check_passes_every_variant(page, f):
    for variant in page.variants(f):
        check(page, f, answer(page, variant))


@pytest.mark.slow
@each_mutant
def test_check_fails_every_mutant_and_names_its_cause_or_asks_in_four_short_lines(page, mutant):
    message = told_for_mutant(page, mutant)
    last = r"(usual cause:  |questions:    ).+"
    wanted = rf"{mutant.name}, check \d+ of \d+: .+\.\n  found:        .+\n  wanted:       .+\n  {last}"
    assert re.fullmatch(wanted, message) and len(message) < 500
    assert mutant.visible in message


@pytest.mark.parametrize(("f", "slip", "number", "words"), SLIPS, ids=lambda value: getattr(value, "__name__", None))
def test_check_fails_a_slip_in_its_own_part(f, slip, number, words):
    message = told_for_slip(PAGE_OF[f], f, slip)
    assert part(message)[0] == number and words in message


@each_exercise
def test_every_part_of_every_check_is_seen_to_fail(page, f):
    parts = {part(told_for_mutant(page, mutant)) for mutant in page.mutants(f)}
    parts |= {part(told_for_slip(page, f, slip)) for name, slip, *_ in SLIPS if name == f}
    _, count = max(parts)
    assert parts == {(number, count) for number in range(1, count + 1)}


@each_exercise
def test_an_exercise_not_yet_answered_raises_not_implemented(page, f):
    def stub(*_):
        raise NotImplementedError(f"{f}: replace this line")

    with pytest.raises(NotImplementedError, match="replace this line"):
        check(page, f, stub)


@each_exercise
def test_an_answer_without_return_is_told_so(page, f):
    def silent(*arguments, **options):
        names(page)[f](*arguments, **options)

    with pytest.raises(core.CheckFailed, match="no `return`"):
        check(page, f, silent)


@each_exercise
def test_an_empty_answer_is_told_what_it_lacks(page, f):
    lacks = {"adversarial_training_step": "the attack is forgotten"}.get(f, "no `return`")
    with pytest.raises(core.CheckFailed, match=lacks):
        check(page, f, lambda *_: None)


@each_exercise
def test_a_check_leaves_the_state_of_torch_alone(page, f):
    random = torch.get_rng_state()
    check(page, f, names(page)[f])
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
