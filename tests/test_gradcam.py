"""Assignment 2: the answers against Captum and identities, their judge, and what the prose promises."""

import copy
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers.checks import core, gradcam
from helpers.checks.networks import tiny_network
from helpers.checks.problems import tiny_batch
from helpers.course.marks import compare, reference
from helpers.course.pages import registry
from helpers.models import Classifier, build_network, cam_path, load_model
from helpers.pictures import picture_book
from tests.answering import cell_with, executed, linear_scorer, parts_of, relative

pytestmark = pytest.mark.slow  # all together; one by one they take no time

PAGE = registry.page_of("02_gradcam")


@pytest.fixture(scope="module")
def answers():
    """The reference functions, and the gradient that the page gives to everyone."""
    namespace = {"copy": copy, "torch": torch, "nn": nn, "F": F}
    return executed(namespace, cell_with(PAGE, "def score_gradient("), *PAGE.exercises.values())


def mutant(f, words):
    (found,) = [cell for cell in PAGE.mutants(f) if words in cell.says]
    return found


@pytest.fixture
def problem():
    model = tiny_network(213)
    return *tiny_batch(model, 3, seed=213), model


@pytest.fixture(scope="module")
def book():
    return load_model("picturebook", device="cpu")


def arguments_of(f, images, labels, model):
    """Positional arguments for any of the five functions."""
    more = {
        "guided_backprop": (),
        "grad_cam": (model.cam_layer,),
        "guided_grad_cam": (model.cam_layer,),
        "integrated_gradients": (torch.full((3, 1, 1), 0.4, dtype=images.dtype, device=images.device), 3),
        "occlusion_map": (3, 2, 0.25),
    }
    return images, labels, model, *more[f]


# Captum, in float64: two implementations of one formula differ by rounding alone, 1e-12. (It rounds steps and fills to
# float32, so they are binary fractions here.)


@pytest.fixture
def attr():
    return pytest.importorskip("captum.attr")


def asked(images, labels):
    return {"inputs": images.clone().requires_grad_(), "target": labels}


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_guided_backprop_agrees_with_captum(answers, attr, problem):
    images, labels, model = problem
    theirs = attr.GuidedBackprop(model).attribute(**asked(images, labels))
    assert relative(answers["guided_backprop"](images, labels, model), theirs) < 1e-12


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_guided_backprop_through_open_relus_is_captums_deconvolution(answers, attr, problem):
    images, labels, model = problem
    with_open_relus = executed(dict(answers), cell_with(PAGE, "class OpenReLU"))["with_open_relus"]
    twin = with_open_relus(model)
    assert relative(twin(images), model(images)) < 1e-12
    theirs = attr.Deconvolution(model).attribute(**asked(images, labels))
    assert relative(answers["guided_backprop"](images, labels, twin), theirs) < 1e-12


@pytest.mark.parametrize("path", ["body.1", "head.1", "body.0.second", "stem.2"])
def test_grad_cam_agrees_with_captum(answers, attr, problem, path):
    images, labels, model = problem
    layer = model.network.get_submodule(path)
    theirs = attr.LayerGradCam(model, layer).attribute(**asked(images, labels), relu_attributions=True)[:, 0]
    assert relative(answers["grad_cam"](images, labels, model, layer), theirs) < 1e-12


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_guided_grad_cam_agrees_with_captum(answers, attr, problem):
    images, labels, model = problem
    layer = model.network.head[1]
    theirs = attr.GuidedGradCam(model, layer).attribute(**asked(images, labels), interpolate_mode="bilinear")
    assert relative(answers["guided_grad_cam"](images, labels, model, layer), theirs) < 1e-12


def test_integrated_gradients_agrees_with_captums_riemann_middle(answers, attr, problem):
    images, labels, model = problem
    baseline = images.flip(0) * 0.5
    theirs = attr.IntegratedGradients(model).attribute(
        **asked(images, labels), baselines=baseline, n_steps=8, method="riemann_middle"
    )
    assert relative(answers["integrated_gradients"](images, labels, model, baseline, 8), theirs) < 1e-12


def test_occlusion_agrees_with_captum_where_windows_do_not_overlap(answers, attr):
    # Captum spreads each drop over the pixels of its window, and lets windows hang over the border: 9 x 12 has none.
    model = tiny_network(1, size=(9, 12))
    images, labels = tiny_batch(model, 3, seed=1, size=(9, 12))
    theirs = attr.Occlusion(model).attribute(
        **asked(images, labels), sliding_window_shapes=(3, 3, 3), strides=(3, 3, 3), baselines=0.25
    )[:, 0, ::3, ::3]
    # Captum computes the differences in float32.
    assert relative(answers["occlusion_map"](images, labels, model, 3, 3, 0.25), theirs) < 1e-6


# Identities


def test_grad_cam_is_the_positive_part_of_cam_on_a_pooled_linear_head(answers, book):
    scenes = picture_book(10, seed=2)
    model, images = copy.deepcopy(book).double(), scenes.images.double()
    maps = answers["grad_cam"](images, scenes.labels, model, model.cam_layer)
    linear, features = model.network.head[-1], model.network.features(model.normalise(images))
    cams = torch.einsum("nk,nkij->nij", linear.weight[scenes.labels], features)
    assert relative(maps, cams.clamp(min=0) / 64) < 1e-12
    scores = model(images).gather(1, scenes.labels[:, None])[:, 0]
    assert relative(linear.bias[scenes.labels] + cams.mean(dim=(1, 2)), scores) < 1e-12


def test_grad_cam_before_a_convolution_relu_and_mean_is_cam_times_the_share_of_active_places(answers):
    """The head of SqueezeNet."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = Classifier(network, "abcd", mean=[0.5] * 3, std=[0.2] * 3, input_size=9).double()
    images, labels = tiny_batch(model, 4, seed=3)
    outputs = network[0](model.normalise(images))
    share = (network[1](outputs) > 0).double().mean(dim=(2, 3)).gather(1, labels[:, None])[:, :, None]
    weights = network[1].weight[labels, :, 0, 0]
    cams = torch.einsum("nk,nkij->nij", weights, outputs)
    maps = answers["grad_cam"](images, labels, model, network[0])
    assert share.min() > 0 and share.max() < 1
    assert relative(maps, share * cams.clamp(min=0) / (7 * 11)) < 1e-12


def test_grad_cam_is_zero_where_nothing_speaks_for_the_label(answers, book):
    scenes = picture_book(5)
    linear = book.network.head[-1]
    cams = torch.einsum("ck,nkij->ncij", linear.weight, book.network.features(book.normalise(scenes.images)))
    image, label = (cams.flatten(2).amax(dim=2) <= 0).nonzero()[0]
    maps = answers["grad_cam"](scenes.images[image][None], label[None], book, book.cam_layer)
    assert torch.equal(maps, torch.zeros(1, 8, 8))


def test_guided_backprop_is_the_gradient_where_no_signal_is_negative(answers, problem):
    images, labels, model = problem
    for path, parameter in model.network.named_parameters():
        if path.endswith("weight"):
            parameter.data.abs_()
    gradient = answers["score_gradient"](images, labels, model)
    assert relative(answers["guided_backprop"](images, labels, model), gradient) < 1e-12


def test_guided_backprop_of_the_last_relu_comes_before_the_others(answers):
    """Score -relu(x): guided backprop stops at once, and the gradient does not."""
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 1))
    network[-1].weight.data.fill_(-1.0)
    network[0].bias.data.fill_(5.0)
    model = Classifier(network, "a", mean=[0] * 3, std=[1] * 3, input_size=4).double()
    images, labels = torch.rand(2, 3, 4, 5).double(), torch.zeros(2, dtype=torch.long)
    assert not answers["guided_backprop"](images, labels, model).any()
    assert answers["score_gradient"](images, labels, model).any()


def test_guided_grad_cam_at_a_layer_of_full_size_is_the_product(answers, problem):
    images, labels, model = problem
    maps = answers["grad_cam"](images, labels, model, model.cam_layer)
    product = answers["guided_backprop"](images, labels, model) * maps[:, None]
    assert maps.shape[1:] == images.shape[2:]
    assert relative(answers["guided_grad_cam"](images, labels, model, model.cam_layer), product) < 1e-12


def test_integrated_gradients_are_complete_and_converge_as_the_midpoint_rule_does(answers):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(308, 8), nn.Tanh(), nn.Linear(8, 5))
    model = Classifier(network, "abcde", mean=[0.5] * 3, std=[0.3] * 3, input_size=9).double()
    images, labels = tiny_batch(model, 3, seed=4)
    baseline = torch.tensor([0.2, 0.5, 0.8]).double().view(3, 1, 1)
    rows = torch.arange(3)
    gain = model(images)[rows, labels] - model(baseline.expand_as(images))[rows, labels]

    def gap(steps):
        sums = answers["integrated_gradients"](images, labels, model, baseline, steps).sum(dim=(1, 2, 3))
        return relative(sums, gain)

    assert gap(80) < 1e-4
    assert gap(40) / gap(80) == pytest.approx(4, rel=0.01)  # the error falls with the square of the steps


def test_integrated_gradients_of_a_linear_score_need_one_step(answers):
    model, weights = linear_scorer()
    images, baseline = torch.rand(5, 3, 4, 5).double(), torch.rand(3, 4, 5).double()
    labels = torch.tensor([0, 3, 1, 1, 2])
    wanted = weights[labels] * (images - baseline)
    for steps in (1, 7):
        assert relative(answers["integrated_gradients"](images, labels, model, baseline, steps), wanted) < 1e-12


def test_integrated_gradients_there_and_back_cancel(answers, problem):
    images, labels, model = problem
    baseline = images.flip(0)
    there = answers["integrated_gradients"](images, labels, model, baseline, 6)
    back = answers["integrated_gradients"](baseline, labels, model, images, 6)
    assert relative(-back, there) < 1e-12


def test_a_pixel_of_the_baselines_colour_gets_nothing(answers, problem):
    images, labels, model = problem
    baseline = images.clone()
    baseline[:, :, 2:5, 3:9] = 0.5
    values = answers["integrated_gradients"](images, labels, model, baseline, 5)
    changed = torch.zeros(9, 13, dtype=torch.bool)
    changed[2:5, 3:9] = True
    assert not values[:, :, ~changed].any()
    assert values[:, :, changed].all()


def test_occlusion_of_the_whole_picture_is_the_gain_over_the_fill(answers):
    model = tiny_network(5, size=(8, 8))
    images, labels = tiny_batch(model, 2, seed=5, size=(8, 8))
    rows = torch.arange(2)
    gain = model(images)[rows, labels] - model(torch.full_like(images, 0.3))[rows, labels]
    assert relative(answers["occlusion_map"](images, labels, model, 8, 3, 0.3)[:, 0, 0], gain) < 1e-12


def test_occlusion_of_a_linear_score_adds_up(answers):
    """Windows side by side: the drops are the gain, split among them."""
    model, _ = linear_scorer(classes=2, size=(6, 9))
    images, labels = torch.rand(3, 3, 6, 9).double(), torch.tensor([0, 1, 1])
    drops = answers["occlusion_map"](images, labels, model, 3, 3, 0.0)
    rows = torch.arange(3)
    gain = model(images)[rows, labels] - model(torch.zeros_like(images))[rows, labels]
    assert drops.shape == (3, 2, 3)
    assert relative(drops.sum(dim=(1, 2)), gain) < 1e-12


# Every function


@pytest.mark.parametrize("f", PAGE.exercises)
def test_an_image_gets_what_it_gets_alone(answers, f, problem):
    images, labels, model = problem
    among = answers[f](*arguments_of(f, images, labels, model))
    for i in range(3):
        alone = answers[f](*arguments_of(f, images[i : i + 1], labels[i : i + 1], model))
        assert relative(alone, among[i : i + 1]) < 1e-12


@pytest.mark.parametrize("f", PAGE.exercises)
def test_results_follow_their_images_to_float32(answers, f):
    model = tiny_network(2, dtype=torch.float32)
    images, labels = tiny_batch(model, 2, seed=2)
    result = answers[f](*arguments_of(f, images, labels, model))
    assert result.dtype == torch.float32 and not result.requires_grad


@pytest.mark.parametrize("f", PAGE.exercises)
def test_arguments_and_model_are_left_as_found(answers, f):
    model = tiny_network(3, trainable=True)
    images, labels = tiny_batch(model, 2, seed=3)
    kept = images.clone()
    with core.left_as_found(model):
        result = answers[f](*arguments_of(f, images, labels, model))
    assert torch.equal(images, kept) and not images.requires_grad and not result.requires_grad


@pytest.mark.parametrize("f", ["guided_backprop", "grad_cam", "guided_grad_cam"])
def test_hooks_are_removed_after_an_error_too(answers, f, problem):
    images, labels, model = problem
    with core.left_as_found(model), pytest.raises(ValueError):
        answers[f](*arguments_of(f, images[0], labels, model))


@pytest.mark.parametrize("path", ["stem.2", "body.0.second", "head.1"])
def test_grad_cam_records_nothing_below_its_layer(answers, problem, path):
    images, labels, model = problem
    layer, recorded = model.network.get_submodule(path), {}

    def note(module, inputs, output):
        recorded.setdefault(module, output.requires_grad)

    for module in (model.normalise, *model.network.modules()):
        if not list(module.children()):
            module.register_forward_hook(note)
    answers["grad_cam"](images.requires_grad_(), labels, model, layer)
    below = list(recorded)[: list(recorded).index(layer)]
    assert len(below) >= 2 and not any(recorded[module] for module in below)
    assert recorded[model.network.head[6]]


@pytest.mark.parametrize("path", ["stem.1", "body.0.norm", "body.1"])
def test_grad_cam_sees_what_its_layer_computed_though_a_relu_then_works_in_place(answers, problem, path):
    images, labels, model = problem
    layer = model.network.get_submodule(path)
    wanted = answers["grad_cam"](images, labels, model, layer)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True
    assert relative(answers["grad_cam"](images, labels, model, layer), wanted) < 1e-12


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("f", PAGE.exercises)
def test_results_stay_on_the_device_of_their_images(answers, f, problem):
    images, labels, model = problem
    on_cpu = answers[f](*arguments_of(f, images, labels, model))
    on_gpu = answers[f](*arguments_of(f, images.cuda(), labels.cuda(), model.cuda()))
    assert on_gpu.is_cuda
    assert relative(on_gpu.cpu(), on_cpu) < 1e-10


# The hidden tests and the judge


@pytest.fixture(scope="module")
def graded(answers):
    """Grade an exercise with the functions of a namespace: graded(f, namespace) -> (Verdict, which parts are right)."""
    references = {f: parts_of(PAGE, f, answers) for f in ("guided_backprop", "guided_grad_cam")}

    def grade(f, namespace):
        judge, points, got = reference.judge_of(PAGE, f), PAGE.checks[f].points, parts_of(PAGE, f, namespace)

        def right(mine, want):
            one = compare.grade(f, points, [mine], [want], [], judge=judge)
            return one.verdict == "right"

        verdict = compare.grade(f, points, got, references[f], [], judge=judge)
        return verdict, list(map(right, got, references[f]))

    return grade


@pytest.mark.parametrize(
    "words", ["your hooks are still in the model", "keeps the modules", "keep the forward", "wrote into .grad"]
)
def test_a_model_left_altered_loses_its_own_part_alone(answers, graded, words):
    namespace = executed(dict(answers), mutant("guided_backprop", words))
    _, right = graded("guided_backprop", namespace)
    assert right == [True, True, True, True, True, False]


PAIR = ("guided_backprop", "grad_cam")
MISTAKES = [cell for f in PAIR for cell in PAGE.mutants(f)]
# What these return is no attribution of its inputs, or no map: nothing can be composed of it.
UNFIT = ("one value for each pixel", "A squeeze without dim", "you get an error", "kept the channel axis", "You keep")


@pytest.fixture(scope="module")
def product_of(answers, graded):
    """Grade the right product of parts of which one has a mistake."""
    product = PAGE.exercises["guided_grad_cam"]
    return cache(lambda cell: graded("guided_grad_cam", executed(dict(answers), cell, product)))


@pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.says[:50]) for cell in MISTAKES])
def test_a_mistake_in_a_part_costs_nothing_in_the_product(product_of, cell):
    _, right = product_of(cell)
    assert right[0] or any(words in cell.says for words in UNFIT)
    if "Your values are right" in cell.says or "Your maps are right" in cell.says:
        assert all(right)


def test_most_mistakes_in_a_part_cost_nothing_at_all_in_the_product(product_of):
    full = [product_of(cell)[0].verdict == "right" for cell in MISTAKES]
    assert sum(full) >= 0.85 * len(full)


def test_a_map_with_a_channel_axis_costs_nothing_where_the_product_deals_with_it(answers, graded):
    composed = """def guided_grad_cam(images, labels, model, layer):
    maps = F.interpolate(grad_cam(images, labels, model, layer), size=images.shape[2:], mode="bilinear")
    return guided_backprop(images, labels, model) * maps"""
    namespace = executed(dict(answers), mutant("grad_cam", "kept the channel axis"), composed)
    assert graded("guided_grad_cam", namespace)[0].verdict == "right"


def test_a_mistake_in_the_product_is_not_excused_by_one_in_a_part(answers, graded):
    wrong = [mutant("guided_backprop", "Your result is the plain"), mutant("grad_cam", "You return negative values")]
    for cell in PAGE.mutants("guided_grad_cam"):
        namespace = executed(dict(answers), *wrong, cell)
        verdict, right = graded("guided_grad_cam", namespace)
        unaware = "Take guided backprop" in cell.says  # with this guided_backprop, it is the product asked for
        assert verdict.verdict == "right" if unaware else not all(right), cell.says


GARBAGE = {
    "blank": "raise NotImplementedError",
    "nothing": "return None",
    "zeros": "return torch.zeros({shape}, dtype=images.dtype)",
    "ones": "return torch.ones({shape}, dtype=images.dtype)",
    "noise": "return torch.rand({shape}, dtype=images.dtype)",
    "NaN": "return torch.full({shape}, float('nan'), dtype=images.dtype)",
    "the images": "return F.adaptive_avg_pool2d(images, {shape}[-2:]).view(len(images), -1, *{shape}[-2:]){channel}",
    "the network alone": "return next(model.parameters()).sum().detach() + torch.zeros({shape}, dtype=images.dtype)",
}


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("which", ["both", "guided_backprop", "grad_cam"])
def test_a_blank_or_senseless_part_excuses_nothing(answers, graded, kind, which):
    small = "(len(images), images.shape[2] // 2, images.shape[3] // 2)"
    bodies = {
        "guided_backprop": GARBAGE[kind].format(shape="images.shape", channel=""),
        "grad_cam": GARBAGE[kind].format(shape=small, channel=".mean(1)"),
    }
    parts = [
        f"def {f}(images, labels, model, layer=None):\n    {body}" for f, body in bodies.items() if which in ("both", f)
    ]
    namespace = executed(dict(answers), *parts, PAGE.exercises["guided_grad_cam"])
    verdict, right = graded("guided_grad_cam", namespace)
    assert not any(right) and verdict.score == 0


def test_the_product_needs_no_parts(answers, graded):
    alone = next(cell for cell in PAGE.variants("guided_grad_cam") if "guided_backprop(" not in cell.source)
    for kind in ("blank", "ones"):
        body = GARBAGE[kind].format(shape="images.shape", channel="")
        parts = [f"def {f}(images, labels, model, layer=None):\n    {body}" for f in PAIR]
        namespace = executed(dict(answers), *parts, alone)
        assert graded("guided_grad_cam", namespace)[0].verdict == "right"


def test_the_judge_enlarges_as_torch_does():
    namespace = executed({}, PAGE.judges["guided_grad_cam"])
    maps, guided = torch.rand(2, 4, 7).double(), torch.randn(2, 3, 9, 13).double()
    large = F.interpolate(maps[:, None], size=(9, 13), mode="bilinear", align_corners=False)
    for form in (maps, maps[:, None]):
        assert np.allclose(namespace["product"](guided.numpy(), form.numpy()), (guided * large).numpy(), rtol=1e-12)


def test_the_judge_looks_at_the_shape_of_a_map_before_it_computes_with_it():
    fits = executed({}, PAGE.judges["guided_grad_cam"])["fits"]
    shape = (2, 3, 9, 13)
    assert fits(np.random.default_rng(0).random((2, 4, 7)), shape)
    for wrong in ((), (2,), (2, 4), (1, 4, 7), (2, 3, 4, 7), (2, 0, 7), (2, 10, 7), (2, 4, 14), (2, 1, 1)):
        assert not fits(np.random.default_rng(0).random(wrong), shape), wrong
    assert not fits(np.ones((2, 4, 7)), shape)


@pytest.mark.parametrize("body", ["return model(images).sum()", "return model(images)[:, :1, None].expand(-1, 1, 1)"])
def test_the_judge_survives_whatever_a_part_gives(answers, graded, body):
    parts = [f"def {f}(images, labels, model, layer=None):\n    {body}" for f in PAIR]
    product = "def guided_grad_cam(images, labels, model, layer):\n    return images * 0"
    assert graded("guided_grad_cam", executed(dict(answers), *parts, product))[0].score == 0


# The check of guided_backprop


def test_numbers_worked_out_by_hand_are_those_of_the_network(answers):
    """The constants of the check, from the rules of section 2.2 in plain matrix arithmetic."""
    x, first, second, head = (torch.tensor(v) for v in (gradcam.PIXEL, gradcam.FIRST, gradcam.SECOND, gradcam.HEAD))
    before = first @ x
    after = second @ before.clamp(min=0)
    masks = {
        gradcam.GUIDED: lambda f, r: r * (f > 0) * (r > 0),
        (12.0, -19.0, -5.0): lambda f, r: r * (f > 0),
        (19.0, -20.0, 14.0): lambda f, r: r * (r > 0),
        (0.0, 11.0, -3.0): lambda f, r: (r * (f > 0)).abs(),
        (2.0, -8.0, 0.0): lambda f, r: (r * (f > 0)).clamp(max=0),
    }
    for wanted, rule in masks.items():
        assert tuple((rule(before, rule(after, head[1]) @ second) @ first).tolist()) == wanted


# What the prose says


def test_guided_backprop_hardly_depends_on_the_class_and_the_gradient_does(answers, book):
    scenes = picture_book(20, seed=6)
    second = book(scenes.images).argsort(dim=1, descending=True)[:, 1]

    def correlation(method):
        rows = torch.stack([answers[method](scenes.images, c, book).flatten(1) for c in (scenes.labels, second)])
        rows = rows - rows.mean(dim=2, keepdim=True)
        return F.cosine_similarity(*rows, dim=1).mean()

    assert correlation("guided_backprop") > 0.9
    assert correlation("score_gradient") < 0.2


def test_many_scenes_have_no_evidence_for_a_car(answers, book):
    scenes = picture_book(100, seed=7)
    cars = torch.full((100,), book.classes.index("car"))
    empty = answers["grad_cam"](scenes.images, cars, book, book.cam_layer).flatten(1).amax(dim=1) == 0
    assert 0.3 < empty.float().mean() < 0.5


def test_sixteen_steps_are_enough_for_one_per_cent_on_the_picture_book(answers, book):
    scenes = picture_book(10)
    grey = torch.full((1, 1, 1, 1), 0.5)
    values = answers["integrated_gradients"](scenes.images, scenes.labels, book, grey, 16)
    rows = torch.arange(10)
    gain = (book(scenes.images) - book(grey.expand_as(scenes.images)))[rows, scenes.labels]
    assert ((values.sum(dim=(1, 2, 3)) - gain) / gain).abs().mean() < 0.01


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "squeezenet1_1", "vgg11"])
def test_the_layers_of_the_figure_end_with_the_last_feature_map(name):
    model = Classifier(
        build_network(name), range(1000), mean=[0.5] * 3, std=[0.2] * 3, input_size=64, cam_layer=cam_path(name)
    )
    last_layers = executed({"torch": torch}, cell_with(PAGE, "def last_layers(").source.split("\n\n\nlayers =")[0])[
        "last_layers"
    ]
    layers = last_layers(model, torch.rand(3, 64, 64))
    assert list(layers.values())[-1] is model.cam_layer
    assert len(layers) >= 4 and list(layers) == sorted(layers, reverse=True)


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_a_residual_network_of_torchvision_agrees_with_captum(answers, attr):
    """Each of its ReLU modules is used twice, and it adds its shortcuts in place."""
    torch.manual_seed(0)
    model = Classifier(
        build_network("resnet18"), range(1000), mean=[0.5] * 3, std=[0.2] * 3, input_size=64, cam_layer="layer4"
    ).double()
    images, labels = torch.rand(2, 3, 64, 48).double(), torch.tensor([3, 800])
    for ours, theirs in (
        (answers["guided_backprop"](images, labels, model), attr.GuidedBackprop(model)),
        (
            answers["guided_grad_cam"](images, labels, model, model.cam_layer),
            attr.GuidedGradCam(model, model.cam_layer),
        ),
    ):
        options = {"interpolate_mode": "bilinear"} if isinstance(theirs, attr.GuidedGradCam) else {}
        assert relative(ours, theirs.attribute(**asked(images, labels), **options)) < 1e-10
