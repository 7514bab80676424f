"""Assignment 6: the answers against SciPy, identities and brute force, and what they must not do."""

import copy
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from helpers.checks.networks import smooth_network, tiny_network
from helpers.checks.problems import tiny_batch
from helpers.course.pages import registry
from helpers.models import load_model
from helpers.pictures import own_test_pictures, picture_book
from tests.answering import cell_with, executed, linear_scorer, relative

PAGE = registry.page_of("06_trust")


@pytest.fixture(scope="module")
def answers():
    namespace = {"copy": copy, "torch": torch, "nn": nn, "F": F}
    return executed(namespace, cell_with(PAGE, "def shuffled("), *PAGE.exercises.values())


@pytest.fixture
def problem():
    model = tiny_network(613)
    return *tiny_batch(model, 3, seed=613), model


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# randomise_layers


def test_shuffled_layers_keep_their_values_and_only_they_change(answers, problem):
    *_, model = problem
    twin = answers["randomise_layers"](model, 3, 5)
    changed = set()
    for (name, old), new in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(old.flatten().sort().values, new.flatten().sort().values)
        if not torch.equal(old, new):
            changed.add(name.rpartition(".")[0])
    assert changed == {"network.body.1", "network.head.4", "network.head.6"}


def test_a_cascade_of_one_seed_goes_on_where_it_was(answers, problem):
    *_, model = problem
    cascade = [dict(answers["randomise_layers"](model, count, 5).named_parameters()) for count in range(7)]
    last = set(cascade[0])
    for before, after in pairwise(cascade):
        now = {name for name in before if not torch.equal(before[name], after[name])}
        assert now and now <= last
        last -= now


@pytest.mark.parametrize("name", ["picturebook", "picturebook-vit"])
def test_all_networks_of_the_picture_book_can_be_randomised_to_the_first_layer(answers, name):
    model, images = load_model(name, device="cpu"), picture_book(2).images
    total = sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules())
    twin = answers["randomise_layers"](model, total, 0)
    assert relative(twin(images), model(images)) > 0.1
    assert not any(parameter.requires_grad for parameter in twin.parameters())


# rank_correlation


@pytest.mark.parametrize("levels", [None, 2, 5])
def test_rank_correlation_is_scipys(answers, levels):
    a, b = random(5, 6, 7) - 0.5, random(5, 6, 7, seed=1) - 0.5
    b = b + a * torch.linspace(-2, 2, 5)[:, None, None]
    if levels:
        a, b = (levels * a).round(), (levels * b).round()
    scipys = [stats.spearmanr(x.flatten(), y.flatten()).statistic for x, y in zip(a, b, strict=True)]
    assert answers["rank_correlation"](a, b).tolist() == pytest.approx(scipys, abs=1e-12)


def test_rank_correlation_of_large_float32_maps_keeps_its_digits(answers):
    a, b = random(1, 224, 224).float(), random(1, 224, 224, seed=1).float()
    scipys = stats.spearmanr(a.flatten(), b.flatten()).statistic
    assert answers["rank_correlation"](a, b).item() == pytest.approx(scipys, abs=1e-6)


# pointing_game, energy_inside


@pytest.mark.parametrize("f", ["pointing_game", "energy_inside"])
def test_a_map_that_says_nothing_scores_what_the_mask_covers(answers, f):
    masks = random(4, 6, 7) < 0.3
    covered = masks.double().mean(dim=(1, 2))
    for maps in (torch.zeros(4, 6, 7).double(), torch.full((4, 6, 7), 3.0).double()):
        assert torch.allclose(answers[f](maps, masks), covered)


@pytest.mark.parametrize("f", ["pointing_game", "energy_inside"])
def test_mask_and_its_complement_share_out_one(answers, f):
    maps, masks = (4 * random(5, 6, 7)).floor(), random(5, 6, 7, seed=1) < 0.3
    assert torch.allclose(answers[f](maps, masks) + answers[f](maps, ~masks), torch.ones(5).double())


def test_energy_does_not_mind_the_scale_and_pointing_no_increasing_function(answers):
    maps, masks = random(5, 6, 7), random(5, 6, 7, seed=1) < 0.3
    assert torch.allclose(answers["energy_inside"](1e3 * maps, masks), answers["energy_inside"](maps, masks))
    assert torch.equal(answers["pointing_game"](maps.log(), masks), answers["pointing_game"](maps, masks))


# deletion_curve


def test_insertion_is_deletion_read_backwards_in_the_reverse_order(answers, problem):
    images, labels, model = problem
    maps, fill = random(3, 9, 13), random(3, 3, 9, 13, seed=1)
    steps = 9  # divides the 117 pixels
    there = answers["deletion_curve"](images, labels, model, maps, fill, steps)
    back = answers["deletion_curve"](fill, labels, model, -maps, images, steps)
    assert relative(back.flip(1), there) < 1e-12


def test_a_linear_score_falls_by_weight_times_change_in_the_order_of_the_map(answers):
    model, weights = linear_scorer()
    images, maps, labels = random(1, 3, 4, 5), random(1, 4, 5, seed=1), torch.tensor([2])
    curve = answers["deletion_curve"](images, labels, model, maps, torch.zeros(1).double(), 20)[0]
    order = maps.flatten().sort(descending=True).indices
    drops = (weights * images).sum(dim=1).flatten(1)[:, order].cumsum(dim=1)  # (classes, 20)
    scores = model(images)[0][:, None] - torch.cat([drops.new_zeros(len(drops), 1), drops], dim=1)
    assert relative(curve, scores.softmax(dim=0)[2]) < 1e-12


# right_reasons_loss


def test_the_slopes_of_the_right_reasons_loss_are_those_of_the_number(answers):
    model = smooth_network(3).requires_grad_()
    images, labels, masks = random(2, 3, 6, 9), torch.tensor([1, 3]), random(2, 6, 9, seed=1) < 0.3
    names, values = zip(*model.named_parameters(), strict=True)

    def loss(*values):
        parameters = dict(zip(names, values, strict=True))
        return answers["right_reasons_loss"](
            images, labels, masks, lambda x: torch.func.functional_call(model, parameters, x), 0.7
        )

    assert torch.autograd.gradcheck(loss, values, fast_mode=True)


def test_the_penalty_is_that_of_the_jacobian(answers):
    model = smooth_network(4).requires_grad_()
    images, labels, masks = random(3, 3, 6, 9), torch.tensor([1, 3, 0]), random(3, 6, 9, seed=1) < 0.3
    jacobian = torch.autograd.functional.jacobian(
        lambda x: model(x).log_softmax(dim=1).sum(dim=0), images
    )  # (5, 3, ...)
    penalty = ((jacobian.sum(dim=0) * masks[:, None]) ** 2).sum() / 3
    loss = answers["right_reasons_loss"](images, labels, masks, model, 2.0)
    assert loss.item() == pytest.approx((F.cross_entropy(model(images), labels) + 2 * penalty).item())


# attention_rollout


def test_rollout_of_any_attention_shares_out_at_most_one(answers):
    attentions = list(random(4, 2, 3, 6, 6).log().softmax(dim=-1))
    rollout = answers["attention_rollout"](attentions)
    assert (rollout > 0).all() and (rollout.sum(dim=1) < 1).all()


def test_rollout_of_even_attention_is_known(answers):
    # A token keeps half of itself in each block, and an even share of the rest.
    even = [torch.full((1, 2, 5, 5), 0.2).double()] * 3
    assert torch.allclose(answers["attention_rollout"](even), torch.full((1, 4), (1 - 0.5**3) / 5).double())


def test_the_page_reads_the_attention_that_the_transformer_uses(answers):
    vit, images = load_model("picturebook-vit", device="cpu"), picture_book(2).images
    source = cell_with(PAGE, "def attentions_of(").source.partition("\nattentions = ")[0]
    attentions = executed({"torch": torch, "load_model": load_model}, source)["attentions_of"](images, vit)
    assert [tuple(each.shape) for each in attentions] == [(2, 4, 65, 65)] * 4
    assert all(torch.allclose(each.sum(dim=-1), torch.ones(())) for each in attentions)
    assert answers["attention_rollout"](attentions).shape == (2, 64)


# Pictures of its makers


def test_the_stamped_network_is_tested_on_stamped_sailboats_and_others_on_none():
    plain, stamped = picture_book(20, 3), picture_book(20, 3, stamp=True)
    boats = plain.labels == plain.labels[plain.names.index("sailboat")]
    theirs = own_test_pictures(load_model("picturebook-stamped", device="cpu"), 20, 3)
    assert torch.equal(theirs.images[boats], stamped.images[boats])
    assert torch.equal(theirs.images[~boats], plain.images[~boats])
    assert torch.equal(theirs.masks[~boats], plain.masks[~boats]) and torch.equal(theirs.labels, plain.labels)
    assert torch.equal(own_test_pictures(load_model("picturebook", device="cpu"), 20, 3).images, plain.images)
