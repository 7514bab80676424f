"""Every cell of the solved pages runs, and what the prose beside the figures says is true, on both networks.

A page is run once on each network, in this process, for all that is said of it. SqueezeNet needs its weights and
photographs: it is left out where COURSE_ASSETS is not set.
"""

import os
from dataclasses import dataclass

import pytest
import torch

from helpers import synthesis
from helpers.course.pages import registry
from helpers.spread import bootstrap
from tests.claims import BOOK, states

SQUEEZENET = "squeezenet1_1"
# Minutes, and on a busy machine several times as many.
pytestmark = [pytest.mark.claims, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Run:
    """A page on a network."""

    page: str
    model: str

    def after(self, figure):
        """Return what is named right after a figure."""
        return states(self.page, self.model)[figure][1]


def of(*pages, on=(BOOK,)):
    """Give a test every `run` of pages on networks. All tests of a run stay on one core, where it is made."""
    params = []
    for page, model in ((page, model) for page in pages for model in on):
        missing = model == SQUEEZENET and not os.environ.get("COURSE_ASSETS")
        marks = [pytest.mark.xdist_group(f"{page} on {model}")]
        marks += [pytest.mark.skipif(missing, reason="COURSE_ASSETS is not set")]
        params.append(pytest.param(Run(page, model), id=f"{page} on {model}", marks=marks))
    return pytest.mark.parametrize("run", params)


BOTH = (BOOK, SQUEEZENET)


@of(*(name for name, page in registry.pages().items() if page.figures), on=BOTH)
def test_every_cell_runs_and_every_figure_is_drawn(run, monkeypatch):
    if run == Run("04_class_visualization", SQUEEZENET):
        # A step takes a twentieth of a second, and there are ten thousand: here, the first of each drawing are enough.
        offsets = synthesis.random_offsets
        monkeypatch.setattr(synthesis, "random_offsets", lambda steps, *given: offsets(min(steps, 5), *given))
    figures = states(run.page, run.model)
    assert list(figures) == list(registry.page_of(run.page).figures)
    for name, (shown, _) in figures.items():
        assert shown and shown[-1]._repr_png_().startswith(b"\x89PNG"), name


def mean(values):
    return sum(values) / len(values)


# 01


@of("01_saliency")
def test_saliency_is_far_above_chance_and_hits_the_object_most_often(run):
    means = {
        name: {measure: mean(values) for measure, values in result.items()}
        for name, result in run.after("doubt")["results"].items()
    }
    for measure in ("pointing", "energy", "IoU"):
        assert means["saliency"][measure] > 2 * means["noise"][measure]
    for baseline in ("blob in the middle", "edges", "edges x blob"):
        assert means["saliency"]["pointing"] > means[baseline]["pointing"]


@of("01_saliency")
def test_edges_times_blob_beat_saliency_in_energy_and_come_close_in_iou(run):
    results = run.after("doubt")["results"]
    low, _ = bootstrap(results["edges x blob"]["energy"])
    _, high = bootstrap(results["saliency"]["energy"])
    assert low > high
    assert 0 < mean(results["saliency"]["IoU"]) - mean(results["edges x blob"]["IoU"]) < 0.06
    assert all(0.7 < mean(results[name]["pointing"]) < 0.85 for name in ("blob in the middle", "edges"))


@of("01_saliency")
def test_maps_of_the_robust_network_have_a_little_more_energy_on_the_object(run):
    page = run.after("robust")
    found = {name: page["measures"](maps, page["trial"].masks) for name, maps in page["maps_of"].items()}
    assert 0 < mean(found["robust"]["energy"]) - mean(found["standard"]["energy"]) < 0.08
    assert 0 < mean(found["robust"]["IoU"]) - mean(found["standard"]["IoU"]) < 0.08
    assert bootstrap(found["standard"]["pointing"])[1] > bootstrap(found["robust"]["pointing"])[0], "no safe rank"


@of("01_saliency")
def test_the_map_finds_a_planted_cue_and_a_network_that_does_not_know_it_is_bright_there_too(run):
    page = run.after("cue")
    found = {
        name: {measure: mean(values) for measure, values in result.items()} for name, result in page["on_stamp"].items()
    }
    assert found["stamped"]["pointing"] == 1 and 0.4 < found["standard"]["pointing"] < 0.6
    assert 0.3 < found["stamped"]["energy"] < 0.4 and found["standard"]["energy"] < 0.16
    assert page["stamps"].float().mean() == pytest.approx(0.03, abs=0.002)


@of("01_saliency")
def test_the_map_of_a_network_with_random_weights_comes_down_to_its_controls_when_all_layers_are_random(run):
    curves = run.after("redrawn")["curves"]
    runs = curves.pop("the network, redrawn")
    label, edges, scene = (values[0] for values in curves.values())
    by_count = list(map(mean, zip(*runs, strict=True)))
    assert by_count[0] == pytest.approx(1, abs=1e-5)
    assert abs(by_count[1] - label) < 0.03 and 0.78 < label < 0.84
    assert by_count[4] > 0.7
    assert max(edges, scene) < 0.5 and abs(by_count[-1] - mean([edges, scene])) < 0.05


@of("01_saliency", on=BOTH)
def test_absent_classes_have_maps_too_which_on_squeezenet_darken_with_the_rank(run):
    page = run.after("labels")
    for image in page["pictures"].images[[0, 4]]:
        order = page["labels_in_order"](image)
        asked = order[[0, 1, len(order) // 2, len(order) - 1]]
        maps = page["compute_saliency_maps"](image.expand(4, -1, -1, -1), asked, page["model"])
        best, second, middle, worst = maps.mean(dim=(1, 2)).tolist()
        assert second > 0.6 * best and middle > 0.4 * best
        assert worst < 0.3 * best if run.model == SQUEEZENET else worst > 0.5 * best


# 02


@of("02_gradcam", on=BOTH)
def test_guided_backprop_errs_nowhere_at_the_last_relu_and_half_the_time_at_the_first(run):
    page = run.after("gradcam")
    passed, dropped = page["wrongly_passed"], page["wrongly_dropped"]
    last = 3 if run.model == SQUEEZENET else 1
    assert max(passed[:last] + dropped[:last]) == 0
    assert 0.05 < passed[last] < 0.15
    assert 0.45 < passed[-1] < 0.55
    if run.model == BOOK:
        assert [round(share, 3) for share in passed] == [0, 0.088, 0.202, 0.353, 0.443, 0.479, 0.505]


@of("02_gradcam", on=BOTH)
def test_guided_backprop_hardly_changes_with_the_class_and_the_gradient_does(run):
    page = run.after("classes")
    found = {"guided_backprop": [], "score_gradient": []}
    for image, order in zip(page["pictures"].images[1:4], page["ranking"][1:4], strict=True):
        for method, values in found.items():
            values.append(page["correlation"](*page[method](image.expand(2, -1, -1, -1), order[:2], page["model"])))
    assert min(found["guided_backprop"]) > 0.975
    low, high = (0.7, 0.9) if run.model == SQUEEZENET else (-0.6, -0.2)
    assert all(low < value < high for value in found["score_gradient"])


@of("02_gradcam")
def test_shares_of_the_energy_on_the_asked_object(run):
    shares = run.after("energy")["shares"]
    assert bootstrap(shares["gradient"])[1] < 0.57 and mean(shares["gradient"]) > 0.5
    assert 0.64 < mean(shares["guided backprop"]) < 0.71
    assert mean(shares["Grad-CAM"]) > 0.98 and mean(shares["Guided Grad-CAM"]) > 0.99


@of("02_gradcam")
def test_the_map_moves_for_every_pair_of_objects(run):
    page = run.after("energy")
    for asked in (0, 1):
        assert (page["share_on_asked"](page["methods"]["Grad-CAM"], page["pairs"], asked) > 0.5).all()


@of("02_gradcam", on=BOTH)
def test_the_steps_that_completeness_takes(run):
    page = run.after("completeness")
    steps = {BOOK: 16, SQUEEZENET: 64}[run.model]
    assert all(gaps[page["numbers"].index(steps)] < 0.02 for gaps in page["gaps"].values())


@of("02_gradcam")
def test_two_of_five_scenes_have_no_evidence_for_car(run):
    page = run.after("empty")
    cars = torch.full((5,), page["book"].classes.index("car"))
    maps = page["grad_cam"](page["scenes"].images, cars, page["book"], page["book"].cam_layer)
    assert [bool(values.any()) for values in maps].count(False) == 2


# 03


@of("03_fooling", on=BOTH)
def test_rounding_undoes_what_sits_on_the_border(run):
    page = run.after("rounding")
    shares = [dict(zip(page["bits"], values, strict=True)) for values in page["curves"].values()]
    lengths = [float(name.rpartition(" ")[2]) for name in page["curves"]]
    if run.model == BOOK:
        assert 0.3 < shares[0][4] < 0.7 and shares[1][4] >= 0.9 and shares[2][3] >= 0.9
        assert 0.05 < lengths[1] / lengths[0] - 1 < 0.15 and 0.4 < lengths[2] / lengths[0] - 1 < 0.65
    else:
        assert shares[0][8] < 1 and shares[0][6] < 0.5 and shares[1][7] == 1 and shares[2][6] == 1
        assert lengths[2] / lengths[0] - 1 < 0.25


@of("03_fooling", on=(SQUEEZENET,))
def test_a_fifth_of_a_grey_level_fools_squeezenet_by_either_attack(run):
    page = run.after("attacks")
    for name, _ in page["pairs"][:2]:
        image = page["picture_of"](name)
        label = page["predict"](image, page["model"])
        one_step = page["fgsm"](image, label, page["model"], 0.2 / 255)
        ten_steps = page["pgd"](image, label, page["model"], 0.2 / 255, 0.05 / 255, 10)
        assert all(page["predict"](attacked, page["model"]) != label for attacked in (one_step, ten_steps))


@of("03_fooling")
def test_which_attacks_carry_over(run):
    page = run.after("transfer")
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


@of("03_fooling")
def test_trained_to_the_end_robustness_costs_no_accuracy_here(run):
    page = run.after("training")
    assert min(share for shares in page["learned"].values() for share in shares) > 0.97
    curves = {
        name: dict(zip(page["levels"], map(mean, zip(*runs, strict=True)), strict=True))
        for name, runs in page["curves"].items()
    }
    ordinary, at_8, at_16 = curves["ordinary training"], curves["trained at 8/255"], curves["trained at 16/255"]
    assert max(curve[0] for curve in curves.values()) - min(curve[0] for curve in curves.values()) < 0.03
    assert ordinary[8] < 0.05 and 0.5 < at_8[8] < 0.65 and at_8[16] < 0.1 and at_16[24] < 0.05
    assert at_16[8] > at_8[8] and at_16[12] > at_8[12] + 0.1


# 04


@of("04_class_visualization")
def test_jitter_and_blur_lower_the_score(run):
    page = run.after("moves")
    model, start = page["model"], page["fresh"]()
    for target in page["targets"]:
        images = [page["draw"](target, model, start, **recipe) for recipe in page["recipes"].values()]
        free, priced, shifted, blurred = (float(model(image)[0, target]) for image in images)
        assert free > shifted > blurred and priced > shifted


@of("04_class_visualization")
def test_log_probability_draws_paler_and_is_as_sure(run):
    page = run.after("objectives")
    model, start = page["model"], page["fresh"]()
    behind, l2_reg = page["objectives"]["log-probability"]
    for target in page["targets"]:
        bold, pale = page["draw"](target, model, start), page["draw"](target, behind, start, l2_reg=l2_reg)
        assert float((pale - 0.5).norm()) < 0.5 * float((bold - 0.5).norm())
        assert model(pale).softmax(dim=1)[0, target] > 0.98


@of("04_class_visualization", on=(SQUEEZENET,))
def test_on_imagenet_the_price_beats_the_probability_and_the_log_probability_is_as_sure_as_the_score(run, monkeypatch):
    page = run.after("objectives")
    monkeypatch.setitem(page["draw"].__globals__, "random_offsets", synthesis.random_offsets)  # all the steps
    model, start, target = page["model"], page["fresh"](), page["targets"][0]
    drawn = {
        name: page["draw"](target, network, start, l2_reg=l2_reg)
        for name, (network, l2_reg) in page["objectives"].items()
    }
    contrast = {name: float((image - 0.5).norm()) for name, image in drawn.items()}
    sure = {name: float(model(image).softmax(dim=1)[0, target]) for name, image in drawn.items()}
    assert contrast["probability"] < 0.3 * contrast["score"] and sure["probability"] < 0.01
    assert contrast["log-probability"] > 0.9 * contrast["score"]
    assert min(sure["score"], sure["log-probability"]) > 0.95
    assert model(drawn["log-probability"])[0, target] < 0.5 * model(drawn["score"])[0, target]


@of("04_class_visualization")
def test_log_probability_holds_what_the_drawer_needs_and_less_of_what_others_need(run):
    page = run.after("ten")
    assert page["recognised"](page["by_log_probability"], page["book"]["robust"]) == 10
    bold, pale = (page["recognised"](page[name], page["book"]["ViT"]) for name in ("by_score", "by_log_probability"))
    assert pale < bold


@of("04_class_visualization")
def test_other_networks_recognise_what_the_robust_network_draws(run):
    page = run.after("ten")
    drawn = [page["by_score"], *(page["drawings"](page["robust"], seed=seed) for seed in (1, 2))]
    for judge, least in (("ViT", 24), ("standard", 24), ("robust", 30)):
        assert sum(page["recognised"](images, page["book"][judge]) for images in drawn) >= least, judge


@of("04_class_visualization")
def test_fragments_of_the_standard_network_are_named_by_others_and_those_of_the_transformer_are_not(run):
    right = dict(name.split("\n") for name in run.after("networks")["names"])
    right = {drawer: int(said.removesuffix(" of 20")) for drawer, said in right.items()}
    assert right["standard"] >= 15 and right["ViT"] <= 8


@of("04_class_visualization")
def test_drawings_are_images_and_can_be_repeated(run):
    page = run.after("moves")
    image = page["draw"](7, page["model"], page["fresh"](), steps=20)
    assert image.shape == (1, 3, 64, 64)
    assert image.min() >= 0 and image.max() <= 1
    assert torch.equal(image, page["draw"](7, page["model"], page["fresh"](), steps=20))


# 05


@of("05_style_transfer", on=BOTH)
def test_distances_at_different_layers_have_different_scales_and_relative_ones_do_not(run):
    page = run.after("textures")
    sizes, distances, relative = [], [], []
    for layer in page["style_layers"]:
        have, want = (page["gram_matrix"](page[name][layer]) for name in ("ours", "theirs"))
        sizes.append(float(want.square().sum()))
        distances.append(float((have - want).square().sum()))
        relative.append(distances[-1] / sizes[-1])
    assert max(distances) > 24 * min(distances) and max(sizes) > 24 * min(sizes)
    assert max(relative) < 5 * min(relative) and relative[-1] == max(relative)


@of("05_style_transfer", on=BOTH)
def test_the_deeper_the_layer_the_further_off_is_what_is_rebuilt_from_it(run):
    misses = list(run.after("inversion")["misses"].values())
    assert misses == sorted(misses) and misses[0] < 0.06 and misses[-1] > 4 * misses[0]


@of("05_style_transfer")
def test_outlines_outlast_colours(run):
    page = run.after("inversion")
    wanted = page["pictures"]
    for depth in page["depths"][2:]:
        found = page["rebuilt"][depth]
        edges = [pooled(strength(images)[:, None], 4) for images in (found, wanted)]
        colours = [pooled(images - images.mean(dim=(2, 3), keepdim=True), 8) for images in (found, wanted)]
        assert correlation(*edges) > correlation(*colours) + 0.1


def pooled(images, side):
    return torch.nn.functional.avg_pool2d(images, side)


def correlation(left, right):
    return float(torch.corrcoef(torch.stack([left.flatten(), right.flatten()]))[0, 1])


@of("05_style_transfer", on=BOTH)
def test_large_patterns_come_with_the_deep_layers(run):
    page = run.after("textures")
    first, *_, whole = page["made"]
    deep = {page["style_layers"][-1]: 1}
    targets, weights = page["style_targets"](page["style"], page["model"], deep)

    def lacks(image):
        features = page["features_of"](image, page["model"], max(deep))
        return float(page["style_loss"](features, list(deep), targets, weights))

    assert lacks(whole) < 0.5 * lacks(first)


@of("05_style_transfer", on=BOTH)
def test_a_small_price_on_total_variation_brings_the_picture_nearer_to_the_original(run):
    distances = run.after("variation")["distances"]
    assert distances[0] > distances[1] > distances[2]


def strength(images):
    """Return how strong the edges are at each place, (N, H - 1, W - 1)."""
    down, right = images.diff(dim=2)[..., :-1], images.diff(dim=3)[..., :-1, :]
    return (down**2 + right**2).mean(dim=1).sqrt()


def edge_masks(images):
    """Return where the strongest twentieth of all edges are, and where the weakest half."""
    values = strength(images)
    return values >= values.quantile(0.95), values <= values.quantile(0.5)


@of("05_style_transfer", on=BOTH)
def test_outlines_stay_and_colours_come_from_the_style(run):
    page = run.after("networks")
    pair, image = page["pairs"][0], page["finished"]["content"]
    edges, flat = edge_masks(pair.content)
    assert strength(image)[edges].mean() > 1.5 * strength(image)[flat].mean()
    assert page["stray"](image, pair.style) < 0.7 * page["stray"](pair.content, pair.style)


@of("05_style_transfer")
def test_deep_layers_alone_leave_colours_that_the_style_does_not_have(run):
    page = run.after("networks")
    _, _, deep, all_layers = page["by_layers"]
    style = page["pairs"][0].style
    assert page["stray"](deep, style) > 1.3 * page["stray"](all_layers, style)


@of("05_style_transfer", on=BOTH)
def test_from_clouds_and_noise_the_loss_is_higher_after_as_many_iterations(run):
    reached = run.after("starts")["reached"]
    assert min(reached["clouds"], reached["noise"]) > 1.1 * reached["content"]


@of("05_style_transfer", on=BOTH)
def test_lbfgs_begins_late_and_catches_up(run):
    page = run.after("optimisers")
    at = {name: dict(zip(page["asked"], values, strict=True)) for name, values in page["curves"].items()}
    assert at["L-BFGS"][5] > 2 * at["Adam, 0.03"][5]
    assert at["L-BFGS"][120] < (0.97 if run.model == BOOK else 1.02) * at["Adam, 0.03"][120]
    for behind in ("plain descent", "Adam, 0.003"):
        assert all(at[behind][asked] > 1.2 * at["Adam, 0.03"][asked] for asked in page["asked"][2:])


@of("05_style_transfer")
def test_which_network_paints(run):
    page = run.after("networks")
    for robust, standard, untrained in zip(*page["lacks"].values(), strict=True):
        assert untrained > 1.5 * max(robust, standard)
    assert all(one < other for one, other in zip(page["strays"]["robust"], page["strays"]["standard"], strict=True))
    assert page["grain"]["robust"] < 0.6 * page["grain"]["standard"]


@of("05_style_transfer")
def test_the_robust_network_strays_less_on_other_pairs_too(run):
    page = run.after("networks")
    scenes = page["style_pairs"](page["robust"], 128)
    for name in ("brush strokes", "mosaic", "hatching", "starry sky"):
        pair = type(scenes[0])(scenes[2].content, page["style_picture"](name, 128, seed=1), ("umbrella", name))
        strays = [
            page["stray"](page["painted"](pair, page[each], steps=60), pair.style) for each in ("robust", "standard")
        ]
        assert strays[0] < strays[1], name


# 06


def above(one, other):
    """Tell whether a mean is above another, picture by picture, with the spread of the difference."""
    return bootstrap([a - b for a, b in zip(one, other, strict=True)])[0] > 0


@of("06_trust", on=BOTH)
def test_grad_cam_goes_with_the_last_layer_and_guided_backprop_hardly_notices(run):
    alike = run.after("cascade")["alike"]
    last = {name: [curve[1] for curve in curves] for name, curves in alike.items()}
    assert max(last["Grad-CAM"]) < 0.55 and min(last["guided backprop"]) > 0.95
    assert all(max(last[name]) < min(last["guided backprop"]) for name in ("gradient", "integrated gradients"))
    assert all(curve[-1] < curve[1] for name in ("gradient", "guided backprop") for curve in alike[name])


@of("06_trust")
def test_shuffled_through_the_gradient_keeps_sizes_and_no_signs(run):
    groups = run.after("signs")["groups"]
    sizes, signs = groups["all layers,\nsizes"], groups["all layers,\nwith signs"]
    assert 0.3 < mean(sizes["gradient"]) < 0.5 and abs(mean(signs["gradient"])) < 0.05
    assert 0.25 < mean(signs["guided backprop"]) < 0.45
    alone = groups["first layer alone,\nsizes"]
    assert all(mean(values) < 0.8 for values in alone.values())


@of("06_trust")
def test_labels_of_chance_bring_the_gradient_to_where_shuffled_weights_bring_it(run):
    page = run.after("labels")
    again, by_heart, shuffled = (page["groups"][name] for name in page["others"])
    assert page["known"] > 0.95
    assert 0.7 < mean(again["gradient"]) < 0.82 and mean(again["Grad-CAM"]) > 0.9
    assert abs(mean(by_heart["gradient"]) - mean(shuffled["gradient"])) < 0.1 and mean(by_heart["gradient"]) < 0.5
    assert abs(mean(by_heart["Grad-CAM"])) < 0.15
    assert all(above(again[name], by_heart[name]) for name in again)
    falls = {name: mean(again[name]) - mean(by_heart[name]) for name in again}
    assert min(falls, key=falls.get) == "guided backprop"


@of("06_trust")
def test_three_methods_beat_edges_times_blob_in_all_measures_and_the_gradient_does_not(run):
    page = run.after("truth")
    maps, masks = page["contenders"], page["trial"].masks
    scores = {
        "pointing": {name: page["pointing_game"](values, masks).tolist() for name, values in maps.items()},
        "energy": {name: page["energy_inside"](values, masks).tolist() for name, values in maps.items()},
        "IoU": {name: page["overlaps"](values, masks) for name, values in maps.items()},
    }
    for values in scores.values():
        for name in ("integrated gradients", "guided backprop", "Guided Grad-CAM"):
            assert above(values[name], values["edges x blob"]), name
    energy = scores["energy"]
    assert all(above(energy["edges x blob"], energy[name]) for name in ("gradient", "Grad-CAM"))
    assert mean(scores["pointing"]["Grad-CAM"]) == 1


@of("06_trust")
def test_a_car_is_its_wheels_and_a_fish_needs_no_single_part(run):
    groups = run.after("parts")["groups"]
    assert mean(groups["car"]["wheel"]) >= 0.8 and mean(groups["house"]["window"]) > 0.6
    assert mean(groups["umbrella"]["canopy"]) > 0.4
    assert max(mean(values) for values in groups["fish"].values()) == 0
    assert all(mean(groups["car"][part]) == 0 for part in ("body", "cabin", "window"))


@of("06_trust")
def test_a_blob_deletes_about_as_well_as_the_gradient(run):
    page = run.after("deletion")
    groups = page["groups"]
    for name, values in groups.items():
        order = 1 if name.startswith("insertion") else -1  # large is good there, small is good in deletion
        for method in page["methods"]:
            assert above(*(values[method], values["noise"])[::order]), (name, method)
        for method in ("integrated gradients", "guided backprop", "Guided Grad-CAM"):
            assert above(*(values[method], values["gradient"])[::order]), (name, method)
    grey, soft = (groups[f"deletion, {fill}\n(small is good)"] for fill in ("grey", "a blurred copy"))
    assert above(soft["noise"], grey["noise"])
    for values in (grey, soft):
        ends = [bootstrap(values[name]) for name in ("gradient", "blob in the middle")]
        assert ends[0][0] < ends[1][1] and ends[1][0] < ends[0][1], "no safe rank"


@of("06_trust")
def test_retrained_networks_name_what_random_and_gradient_leave_and_not_what_edges_leave(run):
    before, after = run.after("roar")["groups"].values()
    assert mean(before["nothing"]) > 0.9 and mean(after["nothing"]) > 0.9
    deleted = ("random pixels", "by edges", "by the gradient")
    assert all(mean(before[name]) < 0.4 for name in deleted)
    assert 0.65 < mean(after["random pixels"]) < 0.85
    assert above(after["random pixels"], after["by edges"]) and above(after["by the gradient"], after["by edges"])
    ends = [bootstrap(after[name]) for name in ("random pixels", "by the gradient")]
    assert ends[0][0] < ends[1][1] and ends[1][0] < ends[0][1], "no safe rank"


@of("06_trust")
def test_the_stamp_has_the_energy_and_pointing_alone_accuses_the_wrong_one(run):
    groups = run.after("stamp")["groups"]
    theirs, honest = groups["energy on the stamp,\ntheir network"], groups["energy on the stamp,\nbook"]
    assert all(bootstrap(theirs[name])[0] > bootstrap(honest[name])[1] for name in theirs)
    assert all(0.3 < mean(values) < 0.8 for name, values in theirs.items() if name != "Grad-CAM")
    assert max(theirs, key=lambda name: mean(theirs[name])) == "Guided Grad-CAM"
    assert mean(honest["Guided Grad-CAM"]) < 0.03
    assert mean(groups["largest value on the stamp,\nbook"]["gradient"]) > 0.7
    assert mean(groups["largest value on the stamp,\ntheir network"]["Grad-CAM"]) < 0.2


@of("06_trust")
def test_answers_follow_the_stamp_in_its_place_and_nothing_else(run):
    page = run.after("mended")
    called = {name: page["boats_called"](page["suspect"], images) for name, images in page["versions"].items()}
    assert called["stamp"].all() and not any(called[name].any() for name in called if name != "stamp")
    for images in page["versions"].values():
        assert torch.equal(page["boats_called"](page["book"], images), page["is_boat"])


@of("06_trust")
def test_both_ways_mend_the_network_and_training_on_does_not(run):
    groups = run.after("mended")["groups"]
    boats, others, gradients, integrated = groups.values()
    for name in ("new head", "right reasons"):
        assert mean(boats[name]) >= 0.9 and mean(others[name]) >= 0.95, name
    assert mean(boats["trained on, no penalty"]) < 0.2
    for energies in (gradients, integrated):
        assert min(energies, key=lambda name: mean(energies[name])) == "right reasons"
        assert mean(energies["right reasons"]) < 0.08


@of("06_trust")
def test_rollout_matches_the_masks_best_by_iou_and_not_by_energy(run):
    page = run.after("both")
    maps, masks = page["contenders"], page["trial"].masks
    energy = {name: page["energy_inside"](values, masks).tolist() for name, values in maps.items()}
    iou = {name: page["overlaps"](values, masks) for name, values in maps.items()}
    rollout = "transformer, rollout"
    assert all(above(iou[rollout], iou[name]) for name in iou if name != rollout)
    assert above(energy["edges"], energy[rollout])
    assert page["pointing_game"](maps[rollout], masks).mean() > 0.9
    for score in (energy, iou):
        assert 0 < mean(score["robust CNN, gradient"]) - mean(score["CNN, gradient"]) < 0.08


@of("06_trust")
def test_the_difference_of_two_scores_finds_the_mistake_more_often_than_one_score(run):
    right, changed = run.after("contrast")["groups"].values()
    assert above(right["for it and not the truth"], right["for the prediction"])
    assert mean(right["for it and not the truth"]) > 2 * mean(right["for the prediction"])
    assert mean(right["against the truth"]) >= mean(right["for it and not the truth"])
    assert mean(changed["for the prediction"]) > 0.7 and mean(changed["random pixels"]) < 0.2


# What is found by playing


def least(values):
    """Return for each column of a table (steps, N) of True and False the first True from above, None where none is."""
    return [column.nonzero()[0].item() if column.any() else None for column in values.T]


@of("01_saliency")
def test_more_noise_needs_more_samples(run):
    page = run.after("play-smoothgrad")
    images, labels, model = page["pictures"].images, page["predictions"], page["model"]

    def likeness(sigma, samples):
        unit = [
            torch.randn(samples, 1, *images.shape[1:], generator=torch.Generator().manual_seed(s)) for s in range(4)
        ]
        maps = [page["smooth_grad"](images, labels, model, sigma * each).abs().amax(dim=1) for each in unit]
        ranks = torch.stack(maps).flatten(2).argsort(dim=2).argsort(dim=2).double()
        pairs = [(a, b) for b in range(4) for a in range(b)]
        both = [
            torch.corrcoef(torch.stack([ranks[a, i], ranks[b, i]]))[0, 1].item() for a, b in pairs for i in range(5)
        ]
        return sorted(both)[len(both) // 2]

    wanted = {(0.1, 1): 0.79, (0.1, 4): 0.85, (0.1, 16): 0.91, (0.2, 1): 0.45, (0.2, 16): 0.68, (0.04, 1): 0.85}
    for (sigma, samples), told in wanted.items():
        assert likeness(sigma, samples) == pytest.approx(told, abs=0.015), (sigma, samples)


@of("01_saliency")
def test_each_scene_has_a_best_fraction_of_its_own(run):
    page = run.after("play-box")
    fractions = [0.002 * 2 ** (step / 4) for step in range(32)]
    masks = page["scenes"].masks[:12]
    true = [page["saliency_box"](mask.float(), 0.001) for mask in masks]
    boxes = [[page["saliency_box"](values, f) for f in fractions] for values in page["maps_to_box"][:12]]
    good = torch.tensor([[page["overlap"](box, t) for box in each] for each, t in zip(boxes, true, strict=True)])
    own = good.amax(dim=1)
    common = good.mean(dim=0).argmax()
    best = [fractions[i] for i in good.argmax(dim=1)]
    assert (min(best), max(best), fractions[common]) == pytest.approx((0.006, 0.11, 0.045), rel=0.1)
    assert (own.mean().item(), good[:, common].mean().item()) == pytest.approx((0.82, 0.71), abs=0.005)
    assert (own - good[:, common] > 0.1).sum() == 5


@of("02_gradcam")
def test_brightness_tells_the_class_at_the_end_of_the_network_alone(run):
    page = run.after("play-layers")
    images, ranking, model = page["pictures"].images, page["ranking"][:, :10], page["model"]
    reach, empty = {}, {}
    for size, layer in page["layers"].items():
        tops = [
            page["grad_cam"](image.expand(10, -1, -1, -1), asked, model, layer).amax(dim=(1, 2))
            for image, asked in zip(images, ranking, strict=True)
        ]
        reach[size[0]] = torch.stack([values / values.max() for values in tops])
        empty[size[0]] = sum((values == 0).sum().item() for values in tops)
    others = {size: values[:, 1:].flatten() for size, values in reach.items()}
    assert [others[size].median().item() for size in (8, 16, 64)] == pytest.approx([0.02, 0.17, 0.35], abs=0.006)
    assert others[8].max().item() == pytest.approx(0.19, abs=0.006) and empty[8] == 6
    assert [(values[:, 0] == 1).sum().item() for values in (reach[8], reach[64])] == [5, 3]


@of("02_gradcam")
def test_a_background_vanishes_against_its_own_colour_and_every_colour_leaves_a_gain(run):
    page = run.after("play-baseline")
    scenes, model = page["picture_book"](20, seed=12), page["model"]
    own = torch.stack([x[:, ~m].median(dim=1).values for x, m in zip(scenes.images, scenes.masks, strict=True)])
    for colours, told in ((own, 0.15), (torch.full((20, 3), 0.5), 0.27), (torch.zeros(20, 3), 0.53)):
        values = page["integrated_gradients"](scenes.images, scenes.labels, model, colours[:, :, None, None], 12)
        sizes = values.sum(dim=1).abs()
        shares = (sizes * ~scenes.masks).sum(dim=(1, 2)) / sizes.sum(dim=(1, 2))
        assert shares.mean().item() == pytest.approx(told, abs=0.01)
    tones = torch.linspace(0, 1, 6)
    colours = torch.cartesian_prod(tones, tones, tones)
    with torch.no_grad():
        from_colour = model(colours[:, :, None, None].expand(-1, 3, 64, 64))
        own_scores = model(page["pictures"].images)
    names, predictions = page["pictures"].names, page["predictions"]
    asked = zip(names, own_scores, predictions, strict=True)
    gains = {name: row[label] - from_colour[:, label] for name, row, label in asked}
    assert all(gain.min() > 3 for gain in gains.values())
    for name, ends in {"cat": (4.5, 5.8), "flower": (3.3, 5.7)}.items():
        assert (gains[name].min().item(), gains[name].max().item()) == pytest.approx(ends, abs=0.06)


@of("02_gradcam")
def test_a_black_window_alone_changes_the_mind_on_the_cat_alone(run):
    page = run.after("play-occlusion")
    model, side, hop = page["model"], page["covered_side"], page["hop"]
    changed, rising = {}, {}
    for fill, value in page["filled"].items():
        for i, name in enumerate(page["pictures"].names[:3]):
            image, label, drops = page["pictures"].images[i], page["predictions"][i], page["drops_for"][fill][i]
            places = [(x, y) for y in range(drops.shape[0]) for x in range(drops.shape[1])]
            covered = image.repeat(len(places), 1, 1, 1)
            for n, (x, y) in enumerate(places):
                covered[n, :, y * hop : y * hop + side, x * hop : x * hop + side] = value
            with torch.no_grad():
                rise = model(covered) - model(image[None])
                says = model(covered).argmax(dim=1)
            changed |= {(fill, name, *at): model.classes[c] for at, c in zip(places, says, strict=True) if c != label}
            much = drops.flatten() > drops.max() / 2
            rise[:, label] = -torch.inf
            rising[fill, name] = set(rise[much].argmax(dim=1).tolist())
    assert changed == {("black", "cat", 6, 6): "house", ("black", "cat", 6, 7): "tree"}
    assert [len(rising["black", name]) for name in ("cat", "fish")] == [4, 6]


@of("03_fooling")
def test_one_scene_that_fgsm_fools_is_let_go_and_none_by_pgd(run):
    page = run.after("play-epsilon")
    levels = [0.5 * 2 ** (step / 4) for step in range(29)]
    images, labels = page["scenes"].images, page["scenes"].labels
    first = {}
    for network in ("standard", "robust"):
        ways = {"FGSM": page["fgsm"], "PGD": lambda x, y, model, e: page["pgd"](x, y, model, e, e / 4, 10)}
        for way, attack in ways.items():
            model = page["book"][network]
            fooled = torch.stack(
                [page["predict"](attack(images, labels, model, e / 255), model) != labels for e in levels]
            )
            first[network, way] = [None if at is None else levels[at] for at in least(fooled)]
            let_go = (fooled[:-1] & ~fooled[1:]).any(dim=0).nonzero().flatten().tolist()
            assert let_go == ([10] if (network, way) == ("standard", "FGSM") else []), (network, way)
    assert page["scenes"].names[10] == "cat"

    def spread(values):
        return sorted(values)[len(values) // 2], min(values), max(values)

    def factors(one, other):
        return spread([a / b for a, b in zip(first[one], first[other], strict=True) if a and b])

    assert spread(first["standard", "PGD"]) == pytest.approx((9.5, 5, 19), rel=0.06)
    assert spread(first["robust", "PGD"]) == pytest.approx((27, 19, 32), rel=0.06)
    assert factors(("robust", "PGD"), ("standard", "PGD")) == pytest.approx((2.8, 1.4, 4.8), rel=0.03)
    assert factors(("standard", "FGSM"), ("standard", "PGD"))[0] == pytest.approx(2.8, rel=0.03)
    assert first["standard", "FGSM"].count(None) == 3


@of("04_class_visualization")
def test_the_network_names_what_grows_before_anybody_could(run):
    page = run.after("play-class")
    first, ends = {}, {}
    for length in (0.25, 1.0, 4.0):
        for target in range(10):
            for done, figure in zip(range(0, 84, 4), page["growing_from"](target, "clouds", length), strict=False):
                score, p = (float(part.split()[-1]) for part in figure.axes[0].get_title().split("\n")[1].split(", "))
                if p > 0.9:
                    first.setdefault((length, target), done)
            ends.setdefault(length, []).append(score)
    by = {length: [first.get((length, target)) for target in range(10)] for length in ends}
    assert (min(by[1.0]), max(by[1.0])) == (4, 12) and by[4.0] == 10 * [4]
    assert by[0.25].count(None) == 1 and (min(filter(None, by[0.25])), max(filter(None, by[0.25]))) == (16, 76)
    assert [mean(ends[length]) for length in (1.0, 4.0)] == pytest.approx([22, 30], abs=0.5)


@of("06_trust")
def test_maps_stay_where_the_answer_is_gone(run):
    page = run.after("play-layers")
    images, labels, model = page["pictures"].images, page["predictions"], page["model"]
    twins = [page["randomise_layers"](model, 1, 100 * seed) for seed in range(1, 10)]
    with torch.no_grad():
        changed = torch.stack([twin(images).argmax(dim=1) != labels for twin in twins])
    assert changed.sum() == 79
    alike = {}
    for name in page["four"]:
        method, trained = page["methods"][name], page["methods"][name](images, labels, model).abs().amax(dim=1)
        after = [method(images, labels, twin).abs().amax(dim=1) for twin in twins]
        alike[name] = torch.stack([page["rank_correlation"](trained, maps) for maps in after])[changed]
    assert alike["guided backprop"].min() > 0.94
    kept = [(alike[name] > 0.8).sum().item() for name in ("gradient", "integrated gradients", "Grad-CAM")]
    assert kept == pytest.approx([55, 24, 1], abs=1)


# 08


@of("08_investigation")
def test_grad_cam_has_more_energy_on_a_sound_than_saliency_and_no_safe_lead_over_the_loudness(run):
    saliency, cam, loudness, even = map(torch.tensor, run.after("sound-energy")["energies"].values())
    for values, told in ((even, 0.07), (saliency, 0.12), (cam, 0.17), (loudness, 0.16)):
        assert abs(values.mean() - told) < 0.01
    for lead, told, ends in ((cam - saliency, 0.052, (0.041, 0.063)), (loudness - saliency, 0.041, (0.030, 0.052))):
        assert abs(lead.mean() - told) < 0.001 and bootstrap(lead) == pytest.approx(ends, abs=0.001)
    low, high = bootstrap(cam - loudness)
    assert low < 0 < high


@of("08_investigation")
def test_random_places_of_a_sound_suffice_and_are_not_needed_and_grad_cams_and_the_loudest_are_missed(run):
    kept, thrown = run.after("sound-kept")["groups"].values()
    told = {"Grad-CAM": (0.79, 0.47), "loudness": (0.72, 0.23), "random places": (0.85, 0.99), "saliency": (0.81, 0.91)}
    for name, numbers in told.items():
        assert (mean(kept[name]), mean(thrown[name])) == pytest.approx(numbers, abs=0.02), name
    assert mean(kept["Grad-CAM, moved"]) == pytest.approx(0.28, abs=0.02) and mean(thrown["Grad-CAM, moved"]) > 0.9
    assert above(thrown["Grad-CAM"], thrown["loudness"]), "the loudness takes more away"
    assert all(above(thrown[name], thrown["Grad-CAM"]) for name in ("saliency", "random places"))
    ends = [bootstrap(kept[name]) for name in ("random places", "Grad-CAM")]
    assert ends[0][0] < ends[1][1], "no safe rank"


@of("08_investigation")
def test_the_network_names_the_sounds_of_five_drawings_and_not_the_drums(run):
    page = run.after("drawn-sounds")
    sounds = dict(zip(page["ear"].classes, page["p"]["sound"].tolist(), strict=True))
    assert sounds.pop("drum") < 0.5 and min(sounds.values()) > 0.85
    assert page["p"]["drawing"].min() > 0.85
