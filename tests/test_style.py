"""Assignment 5: the answers against identities, closed forms and other libraries."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional as F

from helpers.checks.networks import tiny_network
from helpers.course.pages import registry
from tests.answering import cell_with, executed, judged, parts_of, relative

PAGE = registry.page_of("05_style_transfer")


@pytest.fixture(scope="module")
def answers():
    """The reference functions."""
    return executed({"torch": torch}, *PAGE.exercises.values())


def noise(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slope(function, values):
    pixels = values.clone().requires_grad_()
    return torch.autograd.grad(function(pixels), pixels)[0]


# Content


def test_content_loss_is_pytorchs_sum_of_squared_errors(answers):
    features, target = noise(1, 3, 4, 5, 6), noise(2, 3, 4, 5, 6)
    wanted = 0.7 * F.mse_loss(features, target, reduction="sum")
    assert torch.isclose(answers["content_loss"](features, target, 0.7), wanted, rtol=1e-12)


def test_slope_of_the_content_loss_is_the_papers_equation_2_without_its_relu(answers):
    features, target = noise(1, 2, 3, 4, 5), noise(2, 2, 3, 4, 5)
    found = slope(lambda values: answers["content_loss"](values, target, 0.5), features)
    assert relative(found, features - target) < 1e-14


# Gram matrices


@pytest.mark.parametrize("shape", [(1, 5, 4, 7), (3, 2, 6, 1), (2, 8, 3, 3)])
def test_gram_matrix_is_numpys_product(answers, shape):
    features = noise(3, *shape)
    grams = answers["gram_matrix"](features, False)
    for gram, maps in zip(grams, features.numpy(), strict=True):
        flat = maps.reshape(shape[1], -1)
        assert np.allclose(gram, np.dot(flat, flat.T), rtol=1e-12)
    assert relative(answers["gram_matrix"](features), grams / np.prod(shape[1:])) < 1e-14


def test_gram_matrix_is_the_covariance_with_the_means_put_back(answers):
    features = noise(4, 1, 4, 5, 3) + 1
    flat = features[0].flatten(1)
    mean = flat.mean(dim=1)
    wanted = 15 * (torch.cov(flat, correction=0) + mean[:, None] * mean)
    assert relative(answers["gram_matrix"](features, False)[0], wanted) < 1e-12


def test_gram_matrix_forgets_the_places_and_nothing_else(answers):
    features = noise(5, 2, 3, 4, 6)
    gram = answers["gram_matrix"]
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    shuffled = features.flatten(2)[..., order].view_as(features)
    assert relative(gram(shuffled), gram(features)) < 1e-14
    turned = torch.linalg.qr(noise(6, 24, 24)).Q  # any rotation among the places will do
    assert relative(gram((features.flatten(2) @ turned).view_as(features)), gram(features)) < 1e-12
    one = features.clone()
    one[:, 0] = shuffled[:, 0]
    assert relative(gram(one), gram(features)) > 0.1


def test_gram_matrix_is_symmetric_and_has_no_negative_direction(answers):
    grams = answers["gram_matrix"](noise(7, 3, 6, 2, 2))
    assert torch.equal(grams, grams.transpose(1, 2))
    assert torch.linalg.eigvalsh(grams).min() > -1e-15


# Style

DTYPE = True  # the part on the dtype asks for nothing else


def style_problem(shapes=((4, 6, 5), (3, 3, 4), (5, 2, 3)), count=2):
    features = [noise(10 + n, count, *shape) for n, shape in enumerate(shapes)]
    targets = [noise(20 + n, count, shape[0], shape[0]) for n, shape in enumerate(shapes)]
    return features, targets


def test_style_loss_is_a_sum_over_layers_in_any_order(answers):
    features, targets = style_problem()
    loss = answers["style_loss"]
    alone = [loss(features, [n], [targets[n]], [1.0]) for n in range(3)]
    both = loss(features, [2, 0], [targets[2], targets[0]], [3.0, 0.5])
    assert torch.isclose(both, 3 * alone[2] + 0.5 * alone[0], rtol=1e-12)


def test_style_loss_is_zero_for_the_style_picture_and_its_shuffled_places(answers):
    features, _ = style_problem()
    targets = [answers["gram_matrix"](maps) for maps in features]
    mirrored = [maps.flip(-1) for maps in features]
    assert answers["style_loss"](mirrored, [0, 1, 2], targets, [1.0, 2.0, 3.0]) < 1e-25


def test_slope_of_the_style_loss_is_the_papers_equation_6_without_its_relu(answers):
    features, targets = style_problem(count=1)
    symmetric = targets[0] + targets[0].transpose(1, 2)
    found = slope(lambda maps: answers["style_loss"]([maps], [0], [symmetric], [0.7]), features[0])
    flat, size = features[0].flatten(2), features[0].numel()
    wanted = 4 * 0.7 / size * (answers["gram_matrix"](features[0]) - symmetric) @ flat
    assert relative(found.flatten(2), wanted) < 1e-12


def test_style_loss_is_the_distance_of_two_sets_of_places_under_a_squared_kernel(answers):
    """Li and others 2017, section 3.2: matching Gram matrices is matching distributions (maximum mean discrepancy)."""
    ours, theirs = noise(30, 1, 3, 4, 5), noise(31, 1, 3, 4, 5)
    loss = answers["style_loss"]([ours], [0], [answers["gram_matrix"](theirs)], [1.0])
    x, y = ours[0].flatten(1), theirs[0].flatten(1)
    wanted = ((x.T @ x) ** 2).sum() + ((y.T @ y) ** 2).sum() - 2 * ((x.T @ y) ** 2).sum()
    assert torch.isclose(loss * 60**2, wanted, rtol=1e-10)


def test_a_wrong_gram_matrix_costs_no_marks_in_the_style_loss_again(answers):
    def centred(features, normalize=True):
        features = features - features.mean(dim=(2, 3), keepdim=True)
        return answers["gram_matrix"](features, normalize)

    def constant(features, normalize=True):
        return torch.eye(features.shape[1]).to(features).expand(len(features), -1, -1)

    wanted = parts_of(PAGE, "style_loss", answers)
    assert all(judged(PAGE, "style_loss", wanted, wanted))
    for wrong, accepted in ((centred, True), (constant, False)):
        names = executed({"torch": torch, "gram_matrix": wrong}, PAGE.exercises["style_loss"])
        found = judged(PAGE, "style_loss", parts_of(PAGE, "style_loss", names), wanted)
        assert found == [*[accepted] * 4, DTYPE, accepted], wrong


def test_a_right_gram_matrix_does_not_save_a_wrong_style_loss(answers):
    def halved(*given):
        return answers["style_loss"](*given) / 2

    wanted = parts_of(PAGE, "style_loss", answers)
    got = parts_of(PAGE, "style_loss", answers | {"style_loss": halved})
    assert judged(PAGE, "style_loss", got, wanted) == [*[False] * 4, DTYPE, False]


# Total variation


def test_total_variation_is_numpys_sum_of_squared_differences(answers):
    images = noise(40, 3, 3, 4, 7)
    wanted = sum((np.diff(images.numpy(), axis=axis) ** 2).sum() for axis in (2, 3))
    assert np.isclose(answers["total_variation_loss"](images, 0.5), 0.5 * wanted, rtol=1e-12)


def test_slope_of_the_total_variation_is_scipys_laplacian(answers):
    image = noise(41, 1, 3, 6, 9)
    found = slope(lambda values: answers["total_variation_loss"](values, 0.5), image)
    for mine, channel in zip(found[0], image[0].numpy(), strict=True):
        assert np.allclose(mine, -ndimage.laplace(channel, mode="nearest"), rtol=1e-12)


def test_total_variation_does_not_mind_turning_mirroring_and_brightening(answers):
    image, loss = noise(42, 1, 3, 5, 8), answers["total_variation_loss"]
    for other in (image.flip(-1), image.flip(-2), image.transpose(2, 3), image + 0.3, -image):
        assert torch.isclose(loss(other, 1.0), loss(image, 1.0), rtol=1e-12)


# One iteration


def test_plain_descent_is_the_formula(answers):
    image, goal = noise(50, 1, 3, 4, 5).sigmoid().requires_grad_(), noise(51, 1, 3, 4, 5).sigmoid()
    start = image.detach().clone()
    optimiser = torch.optim.SGD([image], lr=0.1)
    for k in range(1, 4):
        answers["style_transfer_step"](image, lambda x: ((x - goal) ** 2).sum(), optimiser)
        assert relative(image.detach(), goal + 0.8**k * (start - goal)) < 1e-12


def test_first_step_of_adam_moves_every_pixel_by_the_learning_rate(answers):
    image = torch.full((1, 3, 2, 2), 0.5, dtype=torch.float64, requires_grad=True)
    weights = noise(52, 1, 3, 2, 2)
    answers["style_transfer_step"](image, lambda x: (weights * x).sum(), torch.optim.Adam([image], lr=0.01))
    assert relative(image.detach(), 0.5 - 0.01 * weights.sign()) < 1e-6


def test_lbfgs_finds_the_bottom_of_a_bowl(answers):
    goal, steepness = noise(53, 1, 3, 4, 4).sigmoid(), noise(54, 1, 3, 4, 4).exp()
    image = torch.full_like(goal, 0.5).requires_grad_()
    optimiser = torch.optim.LBFGS([image], max_iter=20, line_search_fn="strong_wolfe")
    for _ in range(4):
        answers["style_transfer_step"](image, lambda x: (steepness * (x - goal) ** 2).sum(), optimiser)
    assert relative(image.detach(), goal) < 1e-5


def test_step_returns_the_loss_before_and_leaves_the_network_alone(answers):
    model = tiny_network(1, trainable=True)
    before = [parameter.grad.clone() for parameter in model.parameters()]
    image = noise(55, 2, 3, 9, 13).sigmoid().requires_grad_()
    wanted = model(image).square().sum().item()
    found = answers["style_transfer_step"](image, lambda x: model(x).square().sum(), torch.optim.Adam([image], lr=0.1))
    assert float(found) == pytest.approx(wanted) and image.min() >= 0 and image.max() <= 1
    assert all(torch.equal(p.grad, grad) for p, grad in zip(model.parameters(), before, strict=True))


# The page's own code


def test_features_are_what_hooks_see_of_a_network():
    names = executed({"torch": torch}, PAGE.exercises["content_loss"])
    source = cell_with(PAGE, "def features_of").source.partition("def features_of")
    executed(names, "def features_of" + source[2].partition("\n\n\n")[0])
    network = nn.Module()
    network.normalise, network.network = nn.Identity(), nn.Module()
    network.network.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    seen = []
    for layer in network.network.features:
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    images = torch.rand(2, 3, 8, 9)
    found = names["features_of"](images, network, 2)
    assert len(found) == 3 and all(map(torch.equal, found, seen))
    assert len(names["features_of"](images, network, 0)) == 1
