"""What the prose beside the figures says, measured again by the pages' own cells, on both networks.

Minutes on a CPU, and photographs with SqueezeNet's weights are needed: skipped where COURSE_ASSETS is not set.
"""

import os
from functools import cache

import pytest
import torch

from helpers.spread import bootstrap
from tests import claims

BOOK, SQUEEZENET = "picturebook", "squeezenet1_1"
both_networks = pytest.mark.parametrize("model", [BOOK, SQUEEZENET])
pytestmark = pytest.mark.skipif(not os.environ.get("COURSE_ASSETS"), reason="COURSE_ASSETS is not set")
FIGURES = {
    "01_saliency": ("labels", "doubt", "robust"),
    "02_gradcam": ("classes", "energy", "completeness"),
    "03_fooling": ("rounding", "attacks"),
}


@cache
def names(page, model=BOOK):
    return claims.after(page, *FIGURES[page], model=model)


@cache
def names_after(page, figure):
    return claims.after(page, figure)


def mean(values):
    return sum(values) / len(values)


# 01


def test_edges_times_blob_beat_saliency_in_energy_and_come_close_in_iou():
    results = names("01_saliency")["results"]
    low, _ = bootstrap(results["edges x blob"]["energy"])
    _, high = bootstrap(results["saliency"]["energy"])
    assert low > high
    assert 0 < mean(results["saliency"]["IoU"]) - mean(results["edges x blob"]["IoU"]) < 0.06
    assert all(0.7 < mean(results[name]["pointing"]) < 0.85 for name in ("blob in the middle", "edges"))


def test_maps_of_the_robust_network_have_a_little_more_energy_on_the_object():
    page = names("01_saliency")
    found = {name: page["measures"](maps, page["trial"].masks) for name, maps in page["maps_of"].items()}
    assert 0 < mean(found["robust"]["energy"]) - mean(found["standard"]["energy"]) < 0.08
    assert 0 < mean(found["robust"]["IoU"]) - mean(found["standard"]["IoU"]) < 0.08
    assert bootstrap(found["standard"]["pointing"])[1] > bootstrap(found["robust"]["pointing"])[0], "no safe rank"


@both_networks
def test_absent_classes_have_maps_too_which_on_squeezenet_darken_with_the_rank(model):
    page = names("01_saliency", model)
    for image in page["pictures"].images[[0, 4]]:
        order = page["labels_in_order"](image)
        asked = order[[0, 1, len(order) // 2, len(order) - 1]]
        maps = page["compute_saliency_maps"](image.expand(4, -1, -1, -1), asked, page["model"])
        best, second, middle, worst = maps.mean(dim=(1, 2)).tolist()
        assert second > 0.6 * best and middle > 0.4 * best
        assert worst < 0.3 * best if model == SQUEEZENET else worst > 0.5 * best


# 02


@both_networks
def test_guided_backprop_errs_nowhere_at_the_last_relu_and_half_the_time_at_the_first(model):
    page = names("02_gradcam", model)
    passed, dropped = page["wrongly_passed"], page["wrongly_dropped"]
    last = 3 if model == SQUEEZENET else 1
    assert max(passed[:last] + dropped[:last]) == 0
    assert 0.05 < passed[last] < 0.15
    assert 0.45 < passed[-1] < 0.55
    if model == BOOK:
        assert [round(share, 3) for share in passed] == [0, 0.088, 0.202, 0.353, 0.443, 0.479, 0.505]


@both_networks
def test_guided_backprop_hardly_changes_with_the_class_and_the_gradient_does(model):
    page = names("02_gradcam", model)
    found = {"guided_backprop": [], "score_gradient": []}
    for image, order in zip(page["pictures"].images[1:4], page["ranking"][1:4], strict=True):
        for method, values in found.items():
            values.append(page["correlation"](*page[method](image.expand(2, -1, -1, -1), order[:2], page["model"])))
    assert min(found["guided_backprop"]) > 0.975
    low, high = (0.7, 0.9) if model == SQUEEZENET else (-0.6, -0.2)
    assert all(low < value < high for value in found["score_gradient"])


def test_shares_of_the_energy_on_the_asked_object():
    shares = names("02_gradcam")["shares"]
    assert bootstrap(shares["gradient"])[1] < 0.57 and mean(shares["gradient"]) > 0.5
    assert 0.64 < mean(shares["guided backprop"]) < 0.71
    assert mean(shares["Grad-CAM"]) > 0.98 and mean(shares["Guided Grad-CAM"]) > 0.99


@both_networks
def test_the_steps_that_completeness_takes(model):
    page = names("02_gradcam", model)
    steps = {BOOK: 16, SQUEEZENET: 64}[model]
    assert all(gaps[page["numbers"].index(steps)] < 0.02 for gaps in page["gaps"].values())


def test_two_of_five_scenes_have_no_evidence_for_car():
    page = names("02_gradcam")
    cars = torch.full((5,), page["book"].classes.index("car"))
    maps = page["grad_cam"](page["scenes"].images, cars, page["book"], page["book"].cam_layer)
    assert [bool(values.any()) for values in maps].count(False) == 2


def test_what_the_contest_shows_before_both_judges():
    groups = names_after("02_gradcam", "contest")["groups"]
    for fill in ("grey", "white"):
        points = groups[f"drop where it points,\n{fill} windows"]
        assert mean(points["true mask"]) < 0.55
        ends = {name: bootstrap(values) for name, values in points.items()}
        best = ("guided backprop", "Guided Grad-CAM", "integrated gradients, grey", "integrated gradients, white")
        assert min(ends[name][1] for name in best) > max(ends[name][0] for name in best), "no safe rank"
        assert all(mean(points[name]) > mean(points["gradient"]) for name in best)
        assert ends["Grad-CAM"][0] < ends["gradient"][1] and ends["gradient"][0] < ends["Grad-CAM"][1]


# 03


@both_networks
def test_rounding_undoes_what_sits_on_the_border(model):
    page = names("03_fooling", model)
    shares = [dict(zip(page["bits"], values, strict=True)) for values in page["curves"].values()]
    lengths = [float(name.rpartition(" ")[2]) for name in page["curves"]]
    if model == BOOK:
        assert 0.3 < shares[0][4] < 0.7 and shares[1][4] >= 0.9 and shares[2][3] >= 0.9
        assert 0.05 < lengths[1] / lengths[0] - 1 < 0.15 and 0.4 < lengths[2] / lengths[0] - 1 < 0.65
    else:
        assert shares[0][8] < 1 and shares[0][6] < 0.5 and shares[1][7] == 1 and shares[2][6] == 1
        assert lengths[2] / lengths[0] - 1 < 0.25


def test_a_fifth_of_a_grey_level_fools_squeezenet_by_either_attack():
    page = names("03_fooling", SQUEEZENET)
    for name, _ in page["pairs"][:2]:
        image = page["picture_of"](name)
        label = page["predict"](image, page["model"])
        one_step = page["fgsm"](image, label, page["model"], 0.2 / 255)
        ten_steps = page["pgd"](image, label, page["model"], 0.2 / 255, 0.05 / 255, 10)
        assert all(page["predict"](attacked, page["model"]) != label for attacked in (one_step, ten_steps))


def test_which_attacks_carry_over():
    page = names_after("03_fooling", "transfer")
    book, scenes = page["book"], page["scenes"]
    right = {
        (attack.removeprefix("PGD on "), name): page["accuracy"](images, scenes.labels, network)
        for attack, images in page["attacked"].items()
        for name, network in book.items()
    }
    starts = ("standard", "seed 1", "seed 2")
    between = [right[a, b] for a in starts for b in starts if a != b]
    assert min(between) > 0.4 and max(between) < 0.95
    assert right["standard", "sibling"] == right["sibling", "standard"] == 0
    assert all(right[name, "ViT"] > 0.9 for name in (*starts, "sibling"))
    assert all(right["ViT", name] >= right["random signs", name] for name in (*starts, "sibling", "robust"))
    assert all(right["robust", name] < 0.8 for name in book)
    assert all(right[name, "robust"] == 1 for name in book if name != "robust")


def test_trained_to_the_end_robustness_costs_no_accuracy_here():
    page = names_after("03_fooling", "training")
    assert min(share for shares in page["learned"].values() for share in shares) > 0.97
    curves = {
        name: dict(zip(page["levels"], map(mean, zip(*runs, strict=True)), strict=True))
        for name, runs in page["curves"].items()
    }
    ordinary, at_8, at_16 = curves["ordinary training"], curves["trained at 8/255"], curves["trained at 16/255"]
    assert max(curve[0] for curve in curves.values()) - min(curve[0] for curve in curves.values()) < 0.03
    assert ordinary[8] < 0.05 and 0.5 < at_8[8] < 0.65 and at_8[16] < 0.1 and at_16[24] < 0.05
    assert at_16[8] > at_8[8] and at_16[12] > at_8[12] + 0.1
