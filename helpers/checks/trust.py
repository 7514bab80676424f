"""Checks of assignment 6: each takes the student's function of the same name.

They go by small maps whose numbers are worked out by hand, by counting pixels one by one, and by finite differences.
Nothing in here is an answer.
"""

import torch
from torch import nn
from torch.nn import functional as F

from helpers.checks import core, networks, state
from helpers.checks.measure import finite_difference, same
from helpers.checks.problems import SMALL, small_problem

LAYERS = ("stem.0", "body.0.first", "body.0.second", "body.1", "head.4", "head.6")  # of a tiny network, first to last

# ------------------------------------------------------------------------------------------------ randomise_layers

randomise_layers = core.Checks("randomise_layers", "(model, count, seed) -> another model")


@randomise_layers.part
def _(function):
    """the result is another network, and the one that is given stays as it was"""
    images, _, model = small_problem(seed=1, count=2)
    before = state.description(model)
    twin = _twin(function, model, 2, 5)
    core.expect(
        twin is not model and state.description(model) == before,
        found="other values in the model that was given",
        wanted="a network of its own, and the given one untouched",
        cause="a name is no copy: `twin = model` is the same network twice; begin with `copy.deepcopy(model)`",
    )
    core.expect(
        twin(images).shape == model(images).shape and not twin.training,
        found="a network that cannot take the model's place",
        wanted="a network in eval mode that takes the same images and gives as many scores",
        cause=core.Questions("Was something replaced, or the mode changed?"),
    )


@randomise_layers.part
def _(function):
    """a count of 0 changes nothing"""
    images, _, model = small_problem(seed=2, count=2)
    twin = _twin(function, model, 0, 5)
    changed = _changed(model, twin)
    core.expect(
        not changed and same(twin(images), model(images), 1e-9),
        found=f"{len(changed)} layers changed",
        wanted="a copy with the same scores",
        cause="`layers[-0:]` is the whole list, since -0 is 0; turn the list round, then take `[:count]`"
        if len(changed) == len(LAYERS)
        else core.Questions("Which layers does your list hold for a count of 0?"),
    )


@randomise_layers.part
def _(function):
    """a count of k changes the last k layers, and no other"""
    _, _, model = small_problem(seed=3, count=2)
    for count in (1, 4, len(LAYERS)):
        changed = _changed(model, _twin(function, model, count, 5))
        wanted = set(LAYERS[-count:])
        if changed == wanted:
            continue
        usual = {
            frozenset(LAYERS[:count]): "the list starts at the input; take its end",
            frozenset([LAYERS[-count]]): "one layer alone; the cascade changes that layer and all after it",
            frozenset({"stem.0", "body.1", "head.4", "head.6"}): "layers inside nested blocks are missed: `modules()` "
            "walks the whole tree, `children()` does not",
        }
        others = changed - set(LAYERS)
        cause: core.Cause
        if others:
            cause = f"{', '.join(sorted(others))}: no convolution and no linear layer; test with `isinstance`"
        elif changed and all(name.startswith(("stem", "body")) for name in changed):
            cause = "linear layers are left out; they count as layers, too"
        else:
            cause = core.Questions("Which modules count?", "From which end?", "Does a weight count as a layer?")
        raise core.CheckFailed(
            f"count {count} changes {', '.join(sorted(changed)) or 'nothing'}",
            ", ".join(sorted(wanted)),
            usual.get(frozenset(changed), cause),
        )


@randomise_layers.part
def _(function):
    """weights and biases of a layer keep their values, in another order"""
    _, _, model = small_problem(seed=4, count=2)
    twin = _twin(function, model, 3, 7)
    for path in LAYERS[-3:]:
        for name, old in model.network.get_submodule(path).named_parameters():
            new = twin.network.get_submodule(path).get_parameter(name)
            core.expect(
                new.shape == old.shape and torch.equal(new.detach().flatten().sort()[0], old.flatten().sort()[0]),
                found=f"other values in {path}.{name}",
                wanted="the same values in another order",
                cause=core.Questions("Are the values drawn anew?", "Is one value taken twice?"),
            )
            core.expect(
                name == "weight" or not torch.equal(new, old) or len(old) < 4,
                found=f"{path}.{name} as it was",
                wanted="weight and bias shuffled",
                cause="the bias is left out; go through `layer.parameters()`",
            )


@randomise_layers.part
def _(function):
    """layer k from the end is shuffled by a generator of its own, with the seed + k"""
    _, _, model = small_problem(seed=5, count=2)
    twin, again = (_twin(function, model, 3, 11) for _ in range(2))
    core.expect(
        not _changed(twin, again),
        found="another network from a second call with the same seed",
        wanted="the same network for the same seed",
        cause="the order is drawn without a generator, or one is not seeded; give `shuffled` a seeded one",
    )
    for k, path in enumerate(reversed(LAYERS[-3:])):
        old, new = (net.network.get_submodule(path).get_parameter("weight").flatten() for net in (model, twin))

        def by(seed, old=old):
            return old[torch.randperm(len(old), generator=torch.Generator().manual_seed(seed))]

        usual = {
            11: "every layer gets the same seed; the layer k from the end has seed + k",
            11 + 2 - k: "k counts from the other side; it is 0 at the last layer",
            12 + k: "k starts at 1; it is 0 at the last layer",
        }
        core.expect(
            torch.equal(new, by(11 + k)),
            found=f"another order of the weights in {path}, where k = {k}",
            wanted="the order that a new `torch.Generator()` gives, seeded with seed + k, for the weight first",
            cause=next(
                (words for seed, words in usual.items() if torch.equal(new, by(seed))),
                "one generator serves all layers; each has one of its own, seeded anew"
                if k
                else core.Questions("Is the weight shuffled before the bias?", "What is the generator seeded with?"),
            ),
        )


@randomise_layers.part
def _(function):
    """the copy is frozen where the model is, and may be trained where it may"""
    for trainable in (False, True):
        _, _, model = small_problem(seed=6, count=2, trainable=trainable)
        with core.left_as_found(model):
            twin = _twin(function, model, 2, 5)
        needs = {parameter.requires_grad for parameter in twin.parameters()}
        core.expect(
            needs == {trainable},
            found="parameters that require a gradient, in the copy of a frozen network"
            if not trainable
            else "frozen parameters in the copy of a trainable network",
            wanted="`requires_grad` as in the model",
            cause="a new `nn.Parameter` requires a gradient; write the values into the old one, by its `.data`"
            if not trainable
            else core.Questions("Is `requires_grad_` called?"),
        )


def _twin(function, model, count, seed):
    """Return the student's network, which must be one."""
    twin = function(model, count, seed)
    core.expect(
        isinstance(twin, nn.Module),
        found=core.type_of(twin),
        wanted="a network, as the one that is given",
        cause="the function has no `return`" if twin is None else "something else than the copy is returned",
    )
    return twin


def _changed(model, twin):
    """Return the paths of the modules whose own parameters differ between two networks."""
    others = dict(twin.network.named_parameters())
    return {
        name.rpartition(".")[0]
        for name, values in model.network.named_parameters()
        if not torch.equal(values, others[name])
    }


# ------------------------------------------------------------------------------------------------ rank_correlation

rank_correlation = core.Checks("rank_correlation", "(a, b) -> (N,)")


@rank_correlation.part
def _(function):
    """two batches of maps give one number for each pair, whatever the shape of a map"""
    for shape in ((3, 4, 5), (2, 3, 4, 5), (1, 6)):
        a, b = _random_maps(shape, 1)
        core.check_tensor(function(a, b), shape[:1], a, "one number for each pair of maps")


@rank_correlation.part
def _(function):
    """five values, by hand"""
    a = torch.tensor([[3.0, 1.0, 2.0, 50.0, 4.0]], dtype=torch.float64)
    b = torch.tensor([[0.4, 0.2, 0.1, 0.3, 0.5]], dtype=torch.float64)
    _explain_correlation(function, a, b, 0.6)


@rank_correlation.part
def _(function):
    """only the order counts: any increasing function of a map leaves the number alone, and a mirrored order turns it"""
    a, b = _random_maps((2, 4, 5), 2)
    found = function(a.clone(), b.clone())
    for other, wanted, what in (
        (b.exp() ** 2, found, "an increasing function of b"),
        (-b, -found, "the negative of b"),
        (3 * b - 40, found, "3 b - 40, all of it negative"),
    ):
        core.expect(
            same(function(a.clone(), other), wanted, 1e-9),
            found=f"for {what}, a number of another size",
            wanted="the same size: ranks know nothing but the order, sign included",
            cause=core.Questions("Are the values used, and not their ranks?", "Are absolute values taken?"),
        )
    core.expect(
        same(function(a.clone(), a.clone()), torch.ones(2, dtype=torch.float64), 1e-9),
        found=f"{function(a.clone(), a.clone()).tolist()} for a map and itself",
        wanted="1",
        cause=core.Questions("Are the ranks centred?", "What is the product divided by?"),
    )


@rank_correlation.part
def _(function):
    """values that are equal share the mean of their ranks"""
    a = torch.tensor([[7.0, 7.0, 7.0, 30.0, 90.0]], dtype=torch.float64)
    b = torch.tensor([[50.0, 3.0, 7.0, 1.0, 2.0]], dtype=torch.float64)
    _explain_correlation(function, a, b, -7 / 80**0.5)


@rank_correlation.part
def _(function):
    """a map with one value everywhere has no order: 0"""
    a, b = _random_maps((2, 3, 4), 3)
    a[0] = 0.25
    found = function(a, b)
    core.expect(
        bool(torch.isfinite(found).all()) and abs(float(found[0])) < 1e-9,
        found=f"{float(found[0]):.3g} for a map of one value",
        wanted="0",
        cause="0 divided by 0: a constant map has centred ranks of length 0; see to it before you divide",
    )


@rank_correlation.part
def _(function):
    """a pair gives the same number alone and among others, and the maps are as they were"""
    a, b = _random_maps((3, 4, 5), 4)
    among = function(a.clone(), b.clone())[1:2]
    core.expect_alone_as_among_others(
        function(a[1:2].clone(), b[1:2].clone()), among, ask="Are the ranks those of the whole batch?"
    )
    with core.untouched(a=a, b=b):
        function(a, b)
    single = function(a.float(), b.float())
    core.check_tensor(single, (3,), a.float(), "one number for each pair of maps")


def _random_maps(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, *shape, generator=generator, dtype=torch.float64).unbind()


def _explain_correlation(function, a, b, wanted):
    """Raise CheckFailed unless the number for one pair of maps is the one wanted."""
    found = float(function(a.clone(), b.clone()))
    if abs(found - wanted) < 1e-6:
        return
    x, y = a.flatten(), b.flatten()

    def pearson(x, y):
        x, y = x.double() - x.double().mean(), y.double() - y.double().mean()
        return float(x @ y / (x.norm() * y.norm()))

    def places(values):
        return torch.tensor(sorted(range(len(values)), key=lambda i: float(values[i])))

    def below(values):
        return (values < values[:, None]).sum(dim=1)

    def dense(values):
        return torch.tensor([sorted(set(values.tolist())).index(value) for value in values.tolist()])

    usual = [
        (pearson(x, y), "the values are correlated; turn them into ranks first"),
        (pearson(places(places(x)), places(places(y))), "equal values get ranks in the order in which they stand"),
        (pearson(places(x), places(y)), "`argsort` once gives places, not ranks; ask where each value stands"),
        (pearson(below(x), below(y)), "equal values get the least of their ranks; they share the mean"),
        (pearson(dense(x), dense(y)), "equal values count once; they share the mean of the ranks they take up"),
    ]
    raise core.CheckFailed(
        f"{found:.4f} for {x.tolist()} and {y.tolist()}",
        f"{wanted:.4f}",
        next(
            (words for value, words in usual if abs(found - value) < 1e-6),
            core.Questions("What are the ranks of these values?", "Are they centred?", "What is divided by what?"),
        ),
    )


# ------------------------------------------------------------------------------------------------ pointing_game

pointing_game = core.Checks("pointing_game", "(maps, masks) -> (N,)")
MASK = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)


@pointing_game.part
def _(function):
    """three maps give three numbers of the maps' own kind"""
    for dtype in (torch.float32, torch.float64):
        maps = _random_maps((3, 4, 5), 11)[0].abs().to(dtype)
        core.check_tensor(function(maps, maps > 0.5), (3,), maps, "one number for each map")


@pointing_game.part
def _(function):
    """1 where the largest value lies on the mask, 0 where it does not, for each map on its own"""
    maps = torch.tensor(
        [[[1, 0, 0, 9], [0, 0, 0, 0], [0, 0, 0, 0]], [[0, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]], dtype=torch.float64
    )
    _expect_points(
        function,
        maps,
        [1, 0],
        [
            ([0, 1], "the mask is turned round; a hit lies on the mask"),
            ([0.25, 0], "hits are divided by the size of the mask"),
            ([0.3, 0.3], "the smallest value is looked for"),
        ],
    )


@pointing_game.part
def _(function):
    """a map with several largest values scores the share of them that lies on the mask"""
    maps = torch.zeros(3, 3, 4, dtype=torch.float64)
    maps[1, :, 2] = 1
    maps[2, 0, 0] = maps[2, 0, 3] = 5
    _expect_points(
        function,
        maps,
        [1 / 3, 2 / 3, 1 / 2],
        [
            ([0, 1, 0], "`argmax` picks one of several largest values; count them all"),
            ([1, 1, 1], "any hit counts as a whole one; take the share of the largest values on the mask"),
        ],
    )


@pointing_game.part
def _(function):
    """maps may be negative, near ties are no ties, and all is left as it was"""
    maps = torch.tensor([[[-4, -1, -9, -3], [-4, -5, -6, -7], [-8, -8, -8, -8]]], dtype=torch.float64)
    with core.untouched(maps=maps):
        _expect_points(
            function, maps, [0], [([1], "the largest size is looked for; the largest value counts, sign included")]
        )
    maps = torch.tensor([[[1, 0.99, 1.001, 0], [0, 0, 0.9, 0], [1, 1, 1, 1]]], dtype=torch.float64)
    with core.untouched(maps=maps):
        _expect_points(function, maps, [1], [])


def _expect_points(function, maps, wanted, usual):
    """Raise CheckFailed unless maps score what is wanted against MASK; `usual`: (scores, cause)."""
    wanted = torch.tensor(wanted, dtype=maps.dtype)
    found = function(maps, MASK.expand_as(maps).clone()).detach()
    core.expect(
        found.shape == wanted.shape and same(found, wanted, 1e-6),
        found=f"{[round(value, 3) for value in found.flatten().tolist()]}",
        wanted=f"{[round(value, 3) for value in wanted.tolist()]} for the maps {maps.tolist()}"[:230],
        cause=next(
            (words for values, words in usual if same(found, torch.tensor(values, dtype=maps.dtype), 1e-6)),
            core.Questions(
                "Is the largest value that of each map, or of the batch, a row, a column?",
                "Is it the value that counts, or its size?",
                "Is exactly the largest value meant?",
            ),
        ),
    )


# ------------------------------------------------------------------------------------------------ energy_inside

energy_inside = core.Checks("energy_inside", "(maps, masks) -> (N,)")


@energy_inside.part
def _(function):
    """three maps give three numbers of the maps' own kind"""
    for dtype in (torch.float32, torch.float64):
        maps = _random_maps((3, 4, 5), 12)[0].abs().to(dtype)
        core.check_tensor(function(maps, maps > 0.5), (3,), maps, "one number for each map")


@energy_inside.part
def _(function):
    """the sum on the mask, as a share of the sum of the whole map"""
    maps = torch.tensor([[[1, 1, 5, 1], [0, 0, 2, 0], [4, 0, 0, 2]]], dtype=torch.float64)
    _expect_energy(
        function,
        maps,
        [0.5],
        [
            (0.5 * 12 / 4, "means are divided, not sums: the size of the mask must not matter"),
            (1.0, "the sum on the mask is divided by the sum beside it; divide by the sum of all"),
            (30 / 52, "values are squared; add them up as they are"),
            (3 / 7, "pixels are counted; add their values up"),
            (8 / 4, "divided by the size of the mask; divide by the sum of the map"),
            (8 / 12, "divided by the number of pixels; divide by the sum of the map"),
        ],
    )
    _expect_energy(
        function,
        3 * maps.flip(2),
        [1 / 8],
        [(7 / 8, "the mask is turned round; what counts lies on it")],
    )


@energy_inside.part
def _(function):
    """each map on its own, whatever its scale and its smallest value"""
    maps = torch.tensor([[[1, 1, 5, 1], [0, 0, 2, 0], [4, 0, 0, 2]]], dtype=torch.float64)
    both = torch.cat([1000 * maps, maps.flip(2)])
    _expect_energy(function, both, [0.5, 0.125], [])
    _expect_energy(function, maps + 1, [12 / 28], [(0.5, "the smallest value is taken away; keep the values")])


@energy_inside.part
def _(function):
    """a map of zeros scores what an even map does, and all is left as it was"""
    maps = torch.stack([torch.zeros(3, 4), torch.ones(3, 4)]).double()
    with core.untouched(maps=maps):
        _expect_energy(function, maps, [1 / 3, 1 / 3], [])


def _expect_energy(function, maps, wanted, usual):
    """Raise CheckFailed unless maps score what is wanted against MASK; `usual`: (score of the first, cause)."""
    wanted = torch.tensor(wanted, dtype=maps.dtype)
    found = function(maps, MASK.expand_as(maps).clone()).detach()
    if found.shape == wanted.shape and same(found, wanted, 1e-6):
        return
    first = float(found.flatten()[0])
    cause = next((words for value, words in usual if abs(first - value) < 1e-6), None)
    if cause is None and found.isnan().any():
        cause = "0 divided by 0: a map of zeros has no shares; give it the share of the picture that the mask covers"
    raise core.CheckFailed(
        f"{[round(value, 3) for value in found.flatten().tolist()]}",
        f"{[round(value, 3) for value in wanted.tolist()]} for the maps {maps.tolist()}"[:230],
        cause or core.Questions("Which sum is divided by which?", "Is it the sum of each map, or of the batch?"),
    )


# ------------------------------------------------------------------------------------------------ deletion_curve

deletion_curve = core.Checks("deletion_curve", "(images, labels, model, maps, fill, steps) -> (N, steps + 1)")


@deletion_curve.part
def _(function):
    """three images give three curves of steps + 1 probabilities"""
    images, labels, model, maps = _deletion_problem(21, 3)
    for steps in (1, 4):
        curves = function(images, labels, model, maps, _colour(0.2, 0.5, 0.9), steps)
        core.check_tensor(curves, (3, steps + 1), images, "the probabilities after 0 to `steps` steps")


@deletion_curve.part
def _(function):
    """a curve begins at the probability of the label and ends at that of the fill"""
    images, labels, model, maps = _deletion_problem(22, 3)
    fill = _colour(0.2, 0.5, 0.9)
    found = function(images.clone(), labels.clone(), model, maps.clone(), fill.clone(), 5)
    ends = torch.stack([_probability(x, labels, model) for x in (images, fill.expand_as(images))], dim=1)
    if same(found[:, [0, -1]], ends, 1e-6):
        return
    core.expect_eval_mode(model)
    scores = torch.stack([model(x).gather(1, labels[:, None])[:, 0] for x in (images, fill.expand_as(images))], dim=1)
    predicted = model(images).argmax(dim=1)
    of_prediction = torch.stack([_probability(x, predicted, model) for x in (images, fill.expand_as(images))], dim=1)
    usual = [
        (ends.flip(1), "the curve runs the other way: it starts at the fill and brings pixels back"),
        (scores, "scores; the curve is of probabilities, after a softmax"),
        (ends.log(), "logarithms of probabilities; leave them as they are"),
        (of_prediction, "the predicted classes; ask about the labels that are given"),
        (ends - ends[:, :1], "differences from the first probability; return the probabilities"),
        (ends / ends[:, :1], "shares of the first probability; return the probabilities"),
    ]
    raise core.CheckFailed(
        f"{[round(value, 3) for value in found[0, [0, -1]].tolist()]} at the ends of the first curve",
        f"{[round(value, 3) for value in ends[0].tolist()]}: the image as it is, and the fill alone",
        next(
            (words for values, words in usual if same(found[:, [0, -1]], values, 1e-6)),
            core.Questions(
                "How many points are there from nothing filled to all filled?",
                "Is every channel filled, with the fill's own values?",
                "Is it the softmax over the classes?",
            ),
        ),
    )


@deletion_curve.part
def _(function):
    """after k of the steps, the k x pixels // steps brightest pixels of each map have got the fill, and no other"""
    images, labels, model, maps = _deletion_problem(23, 3)
    fill, steps = _colour(0.2, 0.5, 0.9), 7
    found = function(images.clone(), labels.clone(), model, maps.clone(), fill.clone(), steps)
    wanted = _counted(images, labels, model, maps, fill, steps)
    if same(found, wanted, 1e-6):
        return
    pixels = maps[0].numel()
    coarse = [k * (pixels // steps) for k in range(steps)] + [pixels]
    usual = [
        (_counted(images, labels, model, -maps, fill, steps), "the darkest pixels go first; the brightest do"),
        (_counted(images, labels, model, maps.abs(), fill, steps), "`abs`; the largest values go first, sign included"),
        (
            _counted(images, labels, model, maps, fill, steps, coarse),
            "k * (pixels // steps) leaves a rest for the last step; take k * pixels // steps",
        ),
        (
            _counted(images, labels, model, maps, fill, steps, [-(-k * pixels // steps) for k in range(steps + 1)]),
            "the number of pixels is rounded up; round it down",
        ),
        (
            _counted(images, labels, model, maps[:1].expand_as(maps), fill, steps),
            "all images lose the pixels of the first map",
        ),
        (
            _counted(
                images, labels, model, -maps.flatten(1).argsort(1, descending=True).view_as(maps).double(), fill, steps
            ),
            "`argsort` once gives the place of the k-th value, not the rank of each place; sort twice, or scatter",
        ),
    ]
    raise core.CheckFailed(
        f"curves {core.off_by(found, wanted).replace('measured', 'counted pixel by pixel')}",
        f"floor(k x {pixels} / {steps}) pixels of the fill in each image at step k, the brightest of its own map",
        next(
            (words for values, words in usual if same(found, values, 1e-6)),
            core.Questions(
                "Which pixels go first?",
                "How many at each step?",
                "Is each step made from the image itself, by its own map?",
            ),
        ),
    )


@deletion_curve.part
def _(function):
    """the fill may be any picture: with image and fill exchanged, pixels come back"""
    images, labels, model, maps = _deletion_problem(24, 2)
    picture = images.flip(3) ** 2
    found = function(picture.clone(), labels.clone(), model, maps.clone(), images.clone(), 5)
    wanted = _counted(picture, labels, model, maps, images, 5)
    core.expect(
        same(found, wanted, 1e-6),
        found=f"curves {core.off_by(found, wanted).replace('measured', 'counted pixel by pixel')}",
        wanted="pixel (i, j) of the fill in the place of pixel (i, j) of the image, in each channel",
        cause=core.Questions("Is one value of the fill taken for all pixels?", "Are images and fills paired wrongly?"),
    )


@deletion_curve.part
def _(function):
    """an image gives the same curve alone and among others, and a second call the same again"""
    images, labels, model, maps = _deletion_problem(25, 3)
    fill = _colour(0.2, 0.5, 0.9)
    among = function(images.clone(), labels.clone(), model, maps.clone(), fill, 3).clone()
    alone = function(images[:1].clone(), labels[:1].clone(), model, maps[:1].clone(), fill, 3)
    core.check_tensor(alone, (1, 4), images, "a batch of one is still a batch")
    core.expect_alone_as_among_others(alone, among[:1], ask="Are pixels put in order over the whole batch?")
    core.expect_repeatable(among, function(images.clone(), labels.clone(), model, maps.clone(), fill, 3))
    core.expect_nothing_kept(lambda x, net: function(x, labels.clone(), net, maps.clone(), fill, 3), images, model, 25)


@deletion_curve.part
def _(function):
    """images, labels, maps, fill and a network in training use are as they were"""
    images, labels, model = small_problem(seed=7, count=2, trainable=True)
    maps, fill = _maps_for(images, 7), images.flip(0).contiguous()
    given = {"images": images, "labels": labels, "maps": maps, "fill": fill}
    core.expect_left_alone(lambda: function(images, labels, model, maps, fill, 2), model, **given)


def _maps_for(images, seed):
    generator = torch.Generator().manual_seed(seed)
    count, _, height, width = images.shape
    order = torch.stack([torch.randperm(height * width, generator=generator) for _ in range(count)])
    return (order.view(count, height, width) - 11.3).to(images.dtype)


def _deletion_problem(seed, count):
    images, labels, model = small_problem(seed, count)
    return images, labels, model, _maps_for(images, seed)


def _colour(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None, None]


def _probability(images, labels, model):
    with torch.no_grad():
        return torch.stack([row[label] for row, label in zip(model(images).softmax(dim=1), labels, strict=True)])


def _counted(images, labels, model, maps, fill, steps, numbers=None):
    """Return the curves of pixels that are filled one by one, in the order of their values."""
    fill = fill.expand_as(images)
    height, width = maps.shape[1:]
    numbers = numbers or [k * height * width // steps for k in range(steps + 1)]
    curves = []
    for number in numbers:
        changed = images.clone()
        for i, values in enumerate(maps.flatten(1).tolist()):
            for pixel in sorted(range(height * width), key=values.__getitem__, reverse=True)[:number]:
                row, column = divmod(pixel, width)
                changed[i, :, row, column] = fill[i, :, row, column]
        curves.append(_probability(changed, labels, model))
    return torch.stack(curves, dim=1)


# ------------------------------------------------------------------------------------------------ right_reasons_loss

right_reasons_loss = core.Checks("right_reasons_loss", "(images, labels, masks, model, strength) -> a number")


@right_reasons_loss.part
def _(function):
    """the result is one number, which can be differentiated"""
    images, labels, model, masks = _reasons_problem(31, 3)
    loss = function(images, labels, masks, model, 0.5)
    core.expect(
        isinstance(loss, torch.Tensor) and loss.dim() == 0,
        found=core.type_of(loss) if not isinstance(loss, torch.Tensor) else f"a tensor of shape {tuple(loss.shape)}",
        wanted="a tensor without axes",
        cause="the function has no `return`"
        if loss is None
        else "a number is left of the graph, by `.item()`; return the tensor"
        if isinstance(loss, float)
        else core.Questions("Over what is summed, and over what is the mean taken?"),
    )
    core.expect(
        loss.requires_grad,
        found="a number that hangs on nothing",
        wanted="a loss that can be differentiated with respect to the parameters",
        cause="`.detach()`, or `torch.no_grad()`; a loss is there to be differentiated",
    )
    core.check_tensor(loss.detach(), (), images, "one number")


@right_reasons_loss.part
def _(function):
    """with a strength of 0 it is the mean cross-entropy"""
    images, labels, model, masks = _reasons_problem(32, 3)
    found = float(function(images.clone(), labels.clone(), masks.clone(), model, 0.0))
    wanted = float(_cross_entropies(images, labels, model).mean())
    usual = [
        (3 * wanted, "the cross-entropies are added up; take their mean over the batch"),
        (-wanted, "the sign is turned round"),
        (0.0, "the cross-entropy is missing"),
        (
            float(F.cross_entropy(model(images).softmax(dim=1), labels)),
            "a softmax before `F.cross_entropy`, which has its own; give it raw scores",
        ),
    ]
    _expect_number(found, wanted, "the mean cross-entropy of raw scores and labels", usual)


@right_reasons_loss.part
def _(function):
    """the penalty is the squared slope of the sum of all log-probabilities on the mask, a sum for each image"""
    images, labels, model, masks = _reasons_problem(33, 3)
    found = [
        float(function(images.clone(), labels.clone(), masks.clone(), model, strength)) for strength in (0.0, 1.0, 2.0)
    ]
    penalty = found[1] - found[0]
    slopes = finite_difference(lambda x, _: model(x).log_softmax(dim=1).sum(dim=1), images, labels)
    own = finite_difference(lambda x, y: model(x).log_softmax(dim=1).gather(1, y[:, None])[:, 0], images, labels)
    scores = finite_difference(lambda x, _: model(x).sum(dim=1), images, labels)
    inside = masks[:, None].to(images.dtype)

    def total(values):
        return float(values.sum()) / len(images)

    wanted = total((slopes * inside) ** 2)
    usual = [
        (0.0, "the penalty is missing, or `strength` is not used"),
        (total((slopes * (1 - inside)) ** 2), "the mask is turned round: it says where slopes are wrong"),
        (total(slopes**2), "the mask is not used: every pixel is punished"),
        (total((slopes * inside).abs()), "absolute values; take squares"),
        (3 * wanted, "a sum over the images; take their mean"),
        (wanted / slopes[0].numel(), "a mean over the pixels; add them up"),
        (total((slopes * inside).sum(dim=(1, 2, 3)) ** 2), "a sum before the square; square each slope"),
        (total((own * inside) ** 2), "the log-probability of the label alone; add up those of all classes"),
        (total((scores * inside) ** 2), "the sum of the scores; take log-probabilities"),
        (total((slopes * inside) ** 2) ** 0.5, "a norm; leave the root out"),
    ]
    _expect_number(penalty, wanted, "the mean over the images of the squared slopes on the mask, added up", usual)
    _expect_number(
        found[2] - found[0],
        2 * penalty,
        "twice the penalty for twice the strength",
        [(penalty, "`strength` is not used")],
    )


@right_reasons_loss.part
def _(function):
    """its slopes at the parameters are those of the whole number, the penalty included"""
    images, labels, model, masks = _reasons_problem(34, 2)
    weight = model.network[0].weight
    loss = function(images.clone(), labels.clone(), masks.clone(), model, 1.0)
    (found,) = torch.autograd.grad(loss, weight)
    with torch.no_grad():
        start, slopes = weight.clone(), torch.zeros_like(weight)
        for place in range(6):
            ends = []
            for sign in (1, -1):
                weight.copy_(start)
                weight.view(-1)[place] += sign * 1e-5
                with torch.enable_grad():
                    ends.append(float(function(images.clone(), labels.clone(), masks.clone(), model, 1.0)))
            slopes.view(-1)[place] = (ends[0] - ends[1]) / 2e-5
        weight.copy_(start)
    core.expect(
        same(found.flatten()[:6], slopes.flatten()[:6], 1e-3),
        found=f"slopes {core.off_by(found.flatten()[:6], slopes.flatten()[:6])}",
        wanted="slopes by which a step of an optimiser lowers the penalty, too",
        cause="the gradient in the penalty is taken without `create_graph=True`, so that it is a constant to autograd",
    )


@right_reasons_loss.part
def _(function):
    """images, labels, masks and the network are as they were"""
    images, labels, model, masks = _reasons_problem(35, 2)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    networks.with_forward_hooks(model)
    with core.untouched(images=images, labels=labels, masks=masks), core.left_as_found(model):
        function(images, labels, masks, model, 0.5)


def _reasons_problem(seed, count):
    """Return images, labels, a smooth trainable network, and masks."""
    model = networks.smooth_network(seed).requires_grad_()
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, *SMALL, generator=generator, dtype=torch.float64)
    masks = torch.rand(count, *SMALL, generator=generator) < 0.3
    return images, torch.arange(count) % 4, model, masks


def _cross_entropies(images, labels, model):
    with torch.no_grad():
        scores = model(images)
    return scores.logsumexp(dim=1) - torch.stack([row[label] for row, label in zip(scores, labels, strict=True)])


def _expect_number(found, wanted, what, usual):
    """Raise CheckFailed unless a number is the one wanted; `usual`: (number, cause)."""

    def near(value):
        return abs(found - value) <= 1e-4 * abs(wanted)

    core.expect(
        near(wanted),
        found=f"{found:.4f}",
        wanted=f"{wanted:.4f}, {what}",
        cause=next(
            (words for value, words in usual if near(value)),
            core.Questions("Which number is differentiated?", "Over what is summed, over what averaged?"),
        ),
    )


# ------------------------------------------------------------------------------------------------ attention_rollout

attention_rollout = core.Checks("attention_rollout", "(attentions) -> (N, T - 1)")


@attention_rollout.part
def _(function):
    """two images of four tokens give two maps of three patches"""
    attentions = _random_attentions(41, 3)
    result = function([each.clone() for each in attentions])
    shape = result.shape if isinstance(result, torch.Tensor) else None
    core.expect(
        shape != (2, 4),
        found="maps of 4 values for 3 patches",
        wanted="shape (2, 3): a value for each patch",
        cause="an entry for the class token is left in; it is the first, cut it off",
    )
    core.check_tensor(result, (2, 3), attentions[0], "a value for each patch")


@attention_rollout.part
def _(function):
    """a block of one head, by hand: half of what the class token attends to"""
    attention = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.6, 0.0, 0.4]], dtype=torch.float64)
    found = function([attention[None, None].clone()])
    wanted = torch.tensor([[0.25, 0.15]], dtype=torch.float64)
    usual = [
        (wanted * 2, "the connection around the attention is left out, or A + I is not divided by 2"),
        (torch.tensor([[0.05, 0.3]]), "the first column is taken, where the class token goes; take row 0"),
        (torch.tensor([[0.45, 0.375]]), "the rows of the patches are averaged; take the row of the class token"),
        (wanted / 0.25, "a normalisation; return the values as they are"),
        (wanted * 0, "the matrices are multiplied entry by entry; use the matrix product, @"),
    ]
    _expect_rollout(found, wanted, usual)


@attention_rollout.part
def _(function):
    """two blocks: what arrives has passed the first block, then the second"""
    first = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.6, 0.0, 0.4]], dtype=torch.float64)
    second = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    found = function([first[None, None].clone(), second[None, None].clone()])
    # The class token is half itself and half patch 1 after block 2: half of rows 0 and 1 of the first block's mixture.
    wanted = torch.tensor([[(0.25 + 0.9) / 2, (0.15 + 0.05) / 2]], dtype=torch.float64)
    usual = [
        (
            torch.tensor([[0.6 * 0.5 + 0.25 * 0.5, 0.15]]),
            "the matrices are multiplied in the wrong order: the first at the right",
        ),
        (torch.tensor([[0.25 * 0.5, 0.0]]), "the matrices are multiplied entry by entry; use the matrix product, @"),
        (torch.tensor([[0.5, 0.0]]), "the last block alone; multiply all"),
    ]
    _expect_rollout(found, wanted, usual)


@attention_rollout.part
def _(function):
    """the heads of a block are averaged, and the attentions are as they were"""
    attention = torch.tensor([[[0.0, 1.0], [1.0, 0.0]], [[0.6, 0.4], [0.0, 1.0]]], dtype=torch.float64)[None]
    with core.untouched(attentions=attention):
        found = function([attention])
    usual = [
        (torch.tensor([[0.5]]), "the largest of the heads, or the first head alone; average all heads"),
        (torch.tensor([[0.7]]), "the heads are added up; average them"),
    ]
    _expect_rollout(found, torch.tensor([[0.35]], dtype=torch.float64), usual)


def _random_attentions(seed, blocks):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(blocks, 2, 3, 4, 4, generator=generator, dtype=torch.float64)
    return list(scores.softmax(dim=-1))


def _expect_rollout(found, wanted, usual):
    """Raise CheckFailed unless the map is the one wanted; `usual`: (map, cause)."""
    core.expect(
        same(found, wanted, 1e-6),
        found=f"{[round(value, 4) for value in found.flatten().tolist()]}",
        wanted=f"{[round(value, 4) for value in wanted.flatten().tolist()]}",
        cause=next(
            (words for values, words in usual if same(found, values.to(wanted), 1e-6)),
            core.Questions("What is averaged, and over what?", "Which product, in which order?", "Which row?"),
        ),
    )
