"""Assignment 3: the answers against Captum, closed forms and identities; their judge; what the prose promises."""

import copy
import itertools
import os

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import plots
from helpers.checks import core, fooling, measure
from helpers.checks.core import left_as_found
from helpers.checks.networks import tiny_network
from helpers.checks.problems import tiny_batch
from helpers.course.marks import compare
from helpers.course.pages import registry
from helpers.models import load_model
from helpers.pictures import photographs, picture_book
from tests.answering import cell_with, executed, judged, linear_scorer, parts_of

pytestmark = pytest.mark.slow  # all together; one by one they take no time

PAGE = registry.page_of("03_fooling")


@pytest.fixture(scope="module")
def answers():
    """The names of the setup's imports and the four reference functions."""
    namespace = {"torch": torch, "nn": nn, "F": F}
    return executed(namespace, *PAGE.exercises.values())


@pytest.fixture
def problem():
    """Four images of which the first label alone is predicted, and a tiny network."""
    model = tiny_network(1)
    images, _ = tiny_batch(model, 4, seed=1)
    return images, (model(images).argmax(dim=1) + torch.arange(4)) % 5, model


@pytest.fixture(scope="module")
def book():
    endings = {"standard": "", "robust": "-robust", "sibling": "-stamped", "ViT": "-vit"}
    return {name: load_model(f"picturebook{ending}", device="cpu") for name, ending in endings.items()}


def accuracy(images, labels, network):
    with torch.no_grad():
        return (network(images).argmax(dim=1) == labels).float().mean().item()


# Captum, whose attacks know no bounds and no softmax, and skip slopes below a threshold, unless told otherwise


@pytest.fixture
def captum_robust():
    return pytest.importorskip("captum.robust")


def losses(scores, labels):
    return F.cross_entropy(scores, labels, reduction="none")


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.7])
def test_fgsm_agrees_with_captum_exactly(answers, problem, captum_robust, epsilon):
    images, labels, model = problem
    attack = captum_robust.FGSM(model, losses, lower_bound=0, upper_bound=1)
    attack.zero_thresh = 0
    theirs = attack.perturb(images.clone().requires_grad_(), epsilon, labels)
    assert torch.equal(answers["fgsm"](images, labels, model, epsilon), theirs)


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
@pytest.mark.parametrize(("epsilon", "step", "iterations"), [(0.05, 0.02, 5), (0.1, 0.3, 4), (0.4, 0.07, 9)])
def test_pgd_agrees_with_captum_up_to_rounding(answers, problem, captum_robust, epsilon, step, iterations):
    images, labels, model = problem
    attack = captum_robust.PGD(model, losses, lower_bound=0, upper_bound=1)
    attack.fgsm.zero_thresh = 0
    theirs = attack.perturb(images.clone(), epsilon, step, iterations, labels)
    ours = answers["pgd"](images, labels, model, epsilon, step, iterations)
    assert (ours - theirs).abs().max() < 1e-12


# Closed forms on a linear scorer


def test_fooling_a_linear_scorer_walks_straight_along_the_weights(answers):
    model, weights = linear_scorer()
    image = torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64)
    scores = model(image)[0]
    target = int(scores.argmin())
    # A step raises the target's lead over class c by lr * w_t . (w_t - w_c) / ||w_t||.
    gains = 0.01 * ((weights[target] - weights) * weights[target]).sum(dim=(1, 2, 3)) / weights[target].norm()
    needed = max(int((scores[c] - scores[target]) / gains[c]) + 1 for c in range(4) if c != target)
    fooled = answers["make_fooling_image"](image, target, model, 0.01, 1000)
    wanted = needed * 0.01 * weights[target] / weights[target].norm()
    assert needed > 5
    assert torch.allclose((fooled - image)[0], wanted, rtol=0, atol=1e-12)


def test_difference_has_no_part_across_the_weights(answers):
    model, weights = linear_scorer()
    image = torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64)
    change = (answers["make_fooling_image"](image, 2, model, 0.02, 3) - image)[0]
    along = weights[2] / weights[2].norm()
    assert (change - (change * along).sum() * along).norm() < 1e-12


def test_fgsm_of_two_classes_goes_by_the_signs_of_the_weights(answers):
    model, weights = linear_scorer(classes=2)
    images = 0.3 + 0.4 * torch.rand(5, 3, 4, 5, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.tensor([0, 1, 1, 0, 1])
    wanted = 0.03 * (weights[1 - labels] - weights[labels]).sign()
    moved = answers["fgsm"](images, labels, model, 0.03) - images
    assert torch.allclose(moved, wanted, rtol=0, atol=1e-15)


def test_pgd_of_two_classes_ends_in_the_corner_that_fgsm_jumps_to(answers):
    model, _ = linear_scorer(classes=2)
    images = torch.rand(5, 3, 4, 5, generator=torch.Generator().manual_seed(1)).double()
    labels = torch.tensor([0, 1, 1, 0, 1])
    jump = answers["fgsm"](images, labels, model, 0.1)
    assert torch.allclose(answers["pgd"](images, labels, model, 0.1, 0.03, 4), jump, rtol=0, atol=1e-15)


# Identities


def test_every_step_has_the_length_of_the_learning_rate_inside_the_cube(answers):
    model = tiny_network(301)
    image = 0.3 + 0.4 * tiny_batch(model, 1, seed=301)[0]
    target = int(model(image).argmin())
    walk = [image, *(answers["make_fooling_image"](image, target, model, 0.07, k) for k in range(1, 5))]
    assert all(int(model(x).argmax()) != target for x in walk)
    for before, after in itertools.pairwise(walk):
        assert float((after - before).norm()) == pytest.approx(0.07, rel=1e-12)


def test_fooling_goes_on_where_it_stopped(answers):
    model = tiny_network(301)
    image, target = tiny_batch(model, 1, seed=301)[0], 3
    fool = answers["make_fooling_image"]
    assert torch.equal(
        fool(fool(image, target, model, 0.1, 2), target, model, 0.1, 3), fool(image, target, model, 0.1, 5)
    )


def test_a_fooled_image_is_left_alone_and_the_image_before_it_is_not_fooled(answers):
    model = tiny_network(342)
    image = 0.5 + 0.4 * (tiny_batch(model, 1, seed=342)[0] - 0.5)
    target, fool = (int(model(image).argmax()) + 2) % 5, answers["make_fooling_image"]
    fooled = fool(image, target, model, 0.3, 50)
    assert int(model(fooled).argmax()) == target
    assert torch.equal(fool(fooled, target, model, 0.3, 50), fooled)
    reached = [int(model(fool(image, target, model, 0.3, k)).argmax()) == target for k in range(1, 8)]
    assert reached == [False] * 4 + [True] * 3


@pytest.mark.parametrize("epsilon", [0.0, 0.03, 0.4])
def test_fgsm_is_pgd_with_one_step_of_epsilon(answers, problem, epsilon):
    images, labels, model = problem
    one_step = answers["pgd"](images, labels, model, epsilon, epsilon, 1)
    assert torch.allclose(answers["fgsm"](images, labels, model, epsilon), one_step, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("epsilon", "step"), [(0.05, 0.02), (0.05, 0.5), (0.6, 0.25)])
def test_pgd_stays_in_the_ball_and_in_the_cube(answers, problem, epsilon, step):
    images, labels, model = problem
    images = (3 * images - 1).clamp(0, 1)
    for iterations in (1, 2, 7):
        attacked = answers["pgd"](images, labels, model, epsilon, step, iterations)
        assert (attacked - images).abs().max() <= epsilon + 1e-15
        assert attacked.min() >= 0
        assert attacked.max() <= 1


def test_pgd_without_walls_is_fgsm_repeated(answers, problem):
    images, labels, model = problem
    images = 0.4 + 0.2 * images
    repeated = images
    for _ in range(4):
        repeated = answers["fgsm"](repeated, labels, model, 0.05)
    assert torch.allclose(answers["pgd"](images, labels, model, 1.0, 0.05, 4), repeated, rtol=0, atol=1e-15)


def test_a_small_fgsm_step_raises_the_loss_by_epsilon_times_the_sum_of_the_slopes(answers, problem):
    images, labels, model = problem
    images = 0.2 + 0.6 * images
    slopes = measure.finite_difference(measure.losses_of(model), images, labels).abs().sum(dim=(1, 2, 3))
    loss, attacked = measure.losses_of(model), answers["fgsm"](images, labels, model, 1e-7)
    with torch.no_grad():
        gained = loss(attacked, labels) - loss(images, labels)
    assert torch.allclose(gained / 1e-7, slopes, rtol=1e-4)


def test_no_other_change_of_that_size_raises_a_linear_loss_more(answers):
    model, _ = linear_scorer(classes=2)
    images, labels = torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64), torch.tensor([0])
    best = F.cross_entropy(model(answers["fgsm"](images, labels, model, 0.1)), labels)
    signs = torch.randn(500, 3, 4, 5, generator=torch.Generator().manual_seed(0)).sign()
    others = F.cross_entropy(model(images + 0.1 * signs), labels.expand(500), reduction="none")
    assert others.max() < best


# Batches, arguments, dtypes, devices


def attacks_of(answers):
    return {
        "fgsm": lambda x, y, m: answers["fgsm"](x, y, m, 0.04),
        "pgd": lambda x, y, m: answers["pgd"](x, y, m, 0.05, 0.02, 4),
        "make_fooling_image": lambda x, y, m: torch.cat(
            [answers["make_fooling_image"](a[None], int(t), m, 0.1, 3) for a, t in zip(x, y, strict=True)]
        ),
    }


@pytest.mark.parametrize("f", ["fgsm", "pgd"])
def test_results_do_not_depend_on_the_rest_of_the_batch(answers, problem, f):
    images, labels, model = problem
    attack = attacks_of(answers)[f]
    whole = attack(images, labels, model)
    parts = [attack(images[i : i + 1], labels[i : i + 1], model) for i in range(4)]
    assert torch.allclose(torch.cat(parts), whole, rtol=0, atol=1e-15)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(attack(images[order], labels[order], model), whole[order], rtol=0, atol=1e-15)


@pytest.mark.parametrize("f", ["fgsm", "pgd", "make_fooling_image"])
def test_arguments_and_model_are_left_as_found(answers, f):
    model = tiny_network(5, trainable=True)
    images, labels = tiny_batch(model, 2, seed=5)
    kept_images, kept_labels = images.clone(), labels.clone()
    with left_as_found(model):
        result = attacks_of(answers)[f](images, labels, model)
    assert not result.requires_grad
    assert torch.equal(images, kept_images)
    assert torch.equal(labels, kept_labels)
    assert result.untyped_storage().data_ptr() != images.untyped_storage().data_ptr()


@pytest.mark.parametrize("f", ["fgsm", "pgd", "make_fooling_image"])
def test_float32_in_float32_out(answers, f):
    model = tiny_network(2, dtype=torch.float32)
    images, labels = tiny_batch(model, 2, seed=2)
    assert attacks_of(answers)[f](images, labels, model).dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("f", ["fgsm", "pgd", "make_fooling_image"])
def test_results_stay_on_the_device_of_their_images(answers, problem, f):
    images, labels, model = problem
    on_cpu = attacks_of(answers)[f](images, labels, model)
    on_gpu = attacks_of(answers)[f](images.cuda(), labels.cuda(), model.cuda())
    assert on_gpu.is_cuda
    assert torch.allclose(on_gpu.cpu(), on_cpu, rtol=0, atol=1e-10)


# One step of adversarial training


def training_problem(count=6):
    model = fooling.plain_network(81)
    generator = torch.Generator().manual_seed(81)
    images = torch.rand(count, 3, 5, 7, generator=generator, dtype=torch.float64)
    return model, images, torch.randint(3, (count,), generator=generator)


def test_an_attack_that_does_nothing_leaves_an_ordinary_training_step(answers):
    model, images, labels = training_problem()
    other = copy.deepcopy(model).train()
    step = answers["adversarial_training_step"]
    loss = step(model, torch.optim.SGD(model.parameters(), lr=0.1), images, labels, lambda x, y, m: x)
    wanted = F.cross_entropy(other(images), labels)
    gradients = torch.autograd.grad(wanted, list(other.parameters()))
    assert loss == pytest.approx(wanted.item(), rel=1e-12)
    for after, before, gradient in zip(model.parameters(), other.parameters(), gradients, strict=True):
        assert torch.allclose(after, before - 0.1 * gradient, rtol=0, atol=1e-14)
    assert torch.equal(model[1].running_mean, other[1].running_mean)


def test_the_gradient_at_the_worst_point_is_the_gradient_of_the_maximum():
    """Danskin's theorem, on which the step rests, for a linear scorer whose worst point in the ball is a corner."""
    weights = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([0.3, 0.6, 0.2], dtype=torch.float64)

    def loss(w, at):
        return F.softplus(-(w @ at)).sum()

    worst = x - 0.1 * weights.detach()[0].sign()
    (at_worst,) = torch.autograd.grad(loss(weights, worst), weights)
    (of_maximum,) = torch.autograd.grad(loss(weights, x - 0.1 * weights.sign()[0]), weights)
    closed = F.softplus(-(weights @ x) + 0.1 * weights.abs().sum()).sum()
    (of_closed_form,) = torch.autograd.grad(closed, weights)
    assert torch.allclose(at_worst, of_closed_form, rtol=1e-12)
    assert torch.allclose(at_worst, of_maximum, rtol=1e-12)


def test_steps_of_adversarial_training_lower_the_loss_under_attack(answers):
    model, images, labels = training_problem(count=12)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)

    def attack(x, y, m):
        return answers["fgsm"](x, y, m, 0.05)

    losses = [answers["adversarial_training_step"](model, optimiser, images, labels, attack) for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


# The hidden tests: what they say for a set of answers


@pytest.mark.parametrize("f", ["make_fooling_image", "fgsm", "pgd"])
def test_rounding_in_a_gradient_changes_no_hidden_value(answers, f):
    """No slope in the hidden data is so near 0, and no prediction so near a tie, that rounding could turn it round."""
    shaken = PAGE.exercises[f].source
    (line,) = [line for line in shaken.splitlines() if "torch.autograd.grad(" in line]
    indent = line[: len(line) - len(line.lstrip())]
    noise = "gradient = gradient + level * gradient.abs().max() * torch.randn_like(gradient)"
    level = "level = 1e-9 if gradient.dtype == torch.float64 else 1e-6"
    shaken = shaken.replace(line, f"{line}\n{indent}{level}\n{indent}{noise}")
    still, moved = parts_of(PAGE, f, answers), parts_of(PAGE, f, executed(dict(answers), shaken))
    assert not any(part.error for part in still)
    assert [part.name for part, other in zip(still, moved, strict=True) if not compare.equal(part, other)] == []


def test_no_hidden_image_of_make_fooling_image_is_predicted_by_a_hair(answers):
    """Of the two images on either side of every stop, neither lies on a border between two classes."""
    for seed, rate, further, options in ((342, 0.3, 2, {}), (361, 0.2, 3, {"size": (8, 6), "classes": 7})):
        model = tiny_network(seed, **options)
        image = 0.5 + 0.4 * (tiny_batch(model, 1, seed, options.get("size", (9, 13)))[0] - 0.5)
        target = int(model(image).argmax() + further) % model(image).shape[1]
        walk = [answers["make_fooling_image"](image, target, model, rate, k) for k in range(1, 12)]
        best = torch.stack([model(x)[0].topk(2).values for x in [image, *walk]])
        assert (best[:, 0] - best[:, 1]).min() > 1e-3
        assert int(model(walk[-1]).argmax()) == target


def test_endless_loops_are_stopped_and_named(answers):
    def endless(image, target, model, learning_rate, max_iterations):
        while True:
            model(image)

    with pytest.raises(core.CheckFailed, match=r"more than \d+ calls of the model, and no end"):
        fooling.make_fooling_image(endless)
    with pytest.raises(core.CheckFailed, match="and no end"):
        fooling.pgd(lambda images, labels, model, *_: endless(images, labels, model, 0, 0))
    for part in parts_of(PAGE, "make_fooling_image", answers | {"make_fooling_image": endless}):
        assert part.error.startswith("CheckFailed") or "picture book" in part.name, part.name


def test_limited_counts_calls_and_leaves_no_hook():
    model = tiny_network(3)
    images, _ = tiny_batch(model, 1, seed=3)
    with left_as_found(model), fooling.limited(model, 2):
        model(images)
        model(images)
        with pytest.raises(core.CheckFailed, match="more than 2 calls"):
            model(images)
    model(images)


# The judge of pgd: a mistake in exercise 3.2 does not cost marks in exercise 3.3 again


@pytest.fixture(scope="module")
def judge_pgd(answers):
    """For the functions of a namespace: which parts of pgd are taken for right."""
    want = parts_of(PAGE, "pgd", answers)
    return lambda namespace: judged(PAGE, "pgd", parts_of(PAGE, "pgd", namespace), want)


CALLS_FGSM = next(cell for cell in PAGE.variants("pgd") if "fgsm(" in cell.source)
# Mistakes that leave an attack which goes both ways and does nothing to its arguments: these cost once.
EXCUSED = (
    "You add the gradient itself",
    "You divide the gradient by its length",
    "You go down the loss",
    "You climb the score",
    "You go down the score",
    "You lead the images away from the predicted",
    "You divide epsilon by 255",
    "You average the gradients",
    "You pass probabilities",
)


def test_a_mistake_in_fgsm_costs_nothing_in_a_pgd_that_calls_it(answers, judge_pgd):
    excused = 0
    for mutant in PAGE.mutants("fgsm"):
        if mutant.says.startswith(EXCUSED):
            assert all(judge_pgd(executed(dict(answers), mutant, CALLS_FGSM))), mutant.says
            excused += 1
    assert excused == len(EXCUSED)


def test_a_mistake_in_pgd_is_not_excused_by_one_in_fgsm(answers, judge_pgd):
    down = next(cell for cell in PAGE.mutants("fgsm") if cell.says.startswith("You go down the loss"))
    for mutant in PAGE.mutants("pgd"):
        if not mutant.says.startswith("You go down the loss"):  # the same mistake in both: one attack, repeated
            assert not all(judge_pgd(executed(dict(answers), down, mutant))), mutant.says


def test_attacks_that_do_nothing_or_go_one_way_excuse_nothing(answers, judge_pgd):
    for body in ("images.clone()", "(images + epsilon).clamp(0, 1)"):
        lazy = f"def fgsm(images, labels, model, epsilon):\n    return {body}\n"
        assert not any(judge_pgd(executed(dict(answers), lazy, CALLS_FGSM)))


def test_pgd_needs_no_fgsm(answers, judge_pgd):
    missing = "def fgsm(*_):\n    raise NotImplementedError"
    assert all(judge_pgd(executed(dict(answers), missing)))


# Figures


IMAGE = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))


def drawn(panel):
    """The pixels (H, W, 3) that a panel draws."""
    (image,) = plots.panels([[panel]]).axes[0].images
    return image.get_array()


def test_no_difference_is_mid_grey_and_nothing_wraps_around():
    assert np.allclose(drawn(plots.difference(torch.zeros(3, 6, 8), times=10)), 0.5)
    change = torch.tensor([-0.4, -0.01, 0.0, 0.01, 0.4])[None, None].expand(3, 1, 5)
    assert np.allclose(drawn(plots.difference(change))[0, :, 0], [0.1, 0.49, 0.5, 0.51, 0.9])
    assert np.allclose(drawn(plots.difference(change, times=10))[0, :, 0], [0.0, 0.4, 0.5, 0.6, 1.0])


def test_difference_of_original_and_fooled_gives_the_fooled_back():
    fooled = (IMAGE + 0.02).clamp(0, 1)
    shown = torch.from_numpy(np.array(drawn(plots.difference(fooled - IMAGE)))).permute(2, 0, 1)
    assert torch.allclose(IMAGE + (shown - 0.5), fooled, atol=1e-6)


def test_matrix_prints_every_number_in_its_row_and_column():
    figure = plots.matrix([[0.0, 0.25, 1.0], [0.5, 0.75, 0.125]], rows=["a", "b"], columns=["x", "y", "z"], title="t")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["0.00", "0.25", "1.00", "0.50", "0.75", "0.12"]
    assert [text.get_position() for text in axes.texts][4] == (1, 1)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y", "z"]


# What the prose says


PAIRS = (("house", "mushroom"), ("flower", "tree"), ("cat", "flower"), ("mushroom", "fish"))


@pytest.mark.parametrize(("name", "wanted"), PAIRS)
def test_the_reference_reaches_every_pair_of_the_picture_book(answers, book, name, wanted):
    scenes, standard = picture_book(10), book["standard"]
    image, target = scenes.images[scenes.names.index(name)][None], standard.classes.index(wanted)
    assert int(standard(image).argmax()) == scenes.names.index(name)
    fooled = answers["make_fooling_image"](image, target, standard, 0.25, 20)
    change = fooled - image
    assert int(standard(fooled).argmax()) == target
    assert 0.5 < change.norm() < 3
    noise = torch.randn(change.shape, generator=torch.Generator().manual_seed(0))
    noisy = (image + noise * change.norm() / noise.norm()).clamp(0, 1)
    assert int(standard(noisy).argmax()) == scenes.names.index(name)


@pytest.mark.parametrize(("name", "wanted"), PAIRS)
def test_the_robust_network_needs_a_change_twice_as_long_at_least(answers, book, name, wanted):
    scenes, fool = picture_book(10), answers["make_fooling_image"]
    image, target = scenes.images[scenes.names.index(name)][None], book["robust"].classes.index(wanted)
    lengths = {}
    for network in ("standard", "robust"):
        fooled = fool(image, target, book[network], 0.25, 100)
        assert int(book[network](fooled).argmax()) == target
        lengths[network] = float((fooled - image).norm())
    assert lengths["robust"] > 2 * lengths["standard"]


@pytest.mark.skipif("COURSE_ASSETS" not in os.environ, reason="COURSE_ASSETS is not set")
@pytest.mark.parametrize("name", ["hay", "Tibetan mastiff"])
def test_the_reference_reaches_stingray_on_imagenet(answers, name):
    network = load_model("squeezenet1_1", device="cpu")
    image, target = photographs([name]).images, network.classes.index("stingray")
    fooled = answers["make_fooling_image"](image, target, network, 0.25, 20)
    assert int(network(fooled).argmax()) == target
    assert (fooled - image).norm() < 3


def test_a_margin_makes_fooling_images_survive_rounding(answers, book):
    names = executed(dict(answers), cell_with(PAGE, "class Handicap"))
    scenes, standard, still = picture_book(6), book["standard"], {}
    for margin in (0, 4):
        still[margin] = 0
        for image, label in zip(scenes.images, scenes.labels, strict=True):
            target = (int(label) + 3) % 10
            handicapped = names["Handicap"](standard, target, margin)
            fooled = answers["make_fooling_image"](image[None], target, handicapped, 0.25, 100)
            lead = standard(fooled)[0, target] - standard(fooled)[0, torch.arange(10) != target].max()
            assert lead > margin
            still[margin] += int(standard(names["rounded"](fooled, 4)).argmax()) == target
    assert still[4] == 6
    assert still[0] < 6


def test_rounding_to_eight_bits_is_what_a_saved_file_gives_back(tmp_path):
    from PIL import Image

    rounded = executed({"torch": torch, "nn": nn}, cell_with(PAGE, "def rounded"))["rounded"]
    levels = (IMAGE * 255).round().to(torch.uint8)
    Image.fromarray(levels.permute(1, 2, 0).numpy()).save(tmp_path / "image.png")
    back = np.array(Image.open(tmp_path / "image.png")).astype(np.float32) / 255
    assert np.allclose(rounded(IMAGE, 8).permute(1, 2, 0).numpy(), back, atol=1e-7)


@pytest.fixture(scope="module")
def scenes():
    return picture_book(16, seed=11)


def test_fgsm_flatters_and_training_against_attacks_helps(answers, book, scenes):
    reached = {}
    for name in ("standard", "robust"):
        one = answers["fgsm"](scenes.images, scenes.labels, book[name], 16 / 255)
        ten = answers["pgd"](scenes.images, scenes.labels, book[name], 16 / 255, 4 / 255, 10)
        reached[name] = [accuracy(x, scenes.labels, book[name]) for x in (scenes.images, one, ten)]
    assert reached["standard"][0] == reached["robust"][0] == 1
    assert reached["standard"][1] > 0.6
    assert reached["standard"][2] < 0.25
    assert reached["robust"][2] > 0.75
