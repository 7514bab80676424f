# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6 Can you trust the map?
#
# A map that looks right convinces everybody. You put maps to tests that they can fail, you catch a network that cheats,
# and you mend it.
#
# **You will**
#
# - **randomise** a network layer by layer, and see which maps notice;
# - **score** maps against the truth, by masks and by deleting pixels, beside maps that know nothing of the network;
# - **find** what a cheating network reads, prove it with pictures made for the purpose, and train it out.
#
# **Time** about 3 hours, 90 minutes of it for the exercises. **Points** 21 for seven exercises, 12 for four questions.
# **Prerequisites** assignments 1 and 2; training a network in PyTorch.
# **Papers** J. Adebayo and others, *Sanity Checks for Saliency Maps*, 2018,
# [arXiv:1810.03292](https://arxiv.org/abs/1810.03292). V. Petsiuk, A. Das, K. Saenko, *RISE: Randomized Input Sampling
# for Explanation of Black-box Models*, 2018, [arXiv:1806.07421](https://arxiv.org/abs/1806.07421). A. Ross, M. Hughes, F.
# Doshi-Velez, *Right for the Right Reasons*, 2017, [arXiv:1703.03717](https://arxiv.org/abs/1703.03717).
#
# | symbol | meaning | shape |
# |---|---|---|
# | $x$ | image, values in [0, 1] | (3, H, W) |
# | $y$ | label: the class you ask about | a number |
# | $s_c(x)$, $p_c(x)$ | score and probability of class $c$ | numbers |
# | $M$ | map: how strong a method's result is at each pixel | (H, W) |
# | $B$ | mask: 1 on the object, 0 beside it | (H, W) |
# | $\rho$ | rank correlation of two maps | a number |
# | $\lambda$ | strength of a penalty | a number |

# %% setup
import copy
import warnings

import torch
from torch import nn
from torch.nn import functional as F

from helpers import plots
from helpers.checks import trust as checks
from helpers.graphcut import intersection_over_union
from helpers.models import load_model
from helpers.picturebook import CLASSES, draw_scene
from helpers.picturebook.networks import SmallCNN
from helpers.picturebook.scenes import stamp_box
from helpers.pictures import example_pictures, mistakes, own_test_pictures, picture_book
from helpers.progress import progress
from helpers.widgets import between, explore

try:
    from captum import attr
except ImportError:
    attr = None
    print(
        "Captum is not installed: of the methods only the gradient takes part. `pip install captum` brings the others."
    )
warnings.filterwarnings("ignore", module="captum")

model = load_model()
pictures = example_pictures(model, 10)
with torch.no_grad():
    predictions = model(pictures.images).argmax(dim=1)
print(f"{model.name}: {len(model.classes)} classes, images of {tuple(pictures.images.shape[1:])}")

# The picture book knows where its objects are, and has networks with a history. The later sections are about it.
book = load_model("picturebook", device="cpu")

# %% [markdown]
# The conventions are those of assignments 1 and 2: pixels in [0, 1] go in, unnormalised scores come out, and the model is
# frozen and in eval mode. You know the methods, too. Here they come from Captum, the library that agreed with yours. Each
# gives a signed result, three channels or one; `strength` makes a map $M$ of it, in the size of the image.


# %% example
def gradient(images, labels, model):
    """Return d score of the own label / d pixel, (N, 3, H, W)."""
    pixels = images.detach().clone().requires_grad_()
    own = model(pixels).gather(1, labels[:, None])
    return torch.autograd.grad(own.sum(), pixels)[0]


def smooth_grad(images, labels, model):
    torch.manual_seed(0)  # the same noise in every call
    noisy = attr.NoiseTunnel(attr.Saliency(model))
    return noisy.attribute(images, target=labels, nt_samples=8, stdevs=0.1, abs=False)


def integrated_gradients(images, labels, model):
    return attr.IntegratedGradients(model).attribute(images, 0.5, labels, n_steps=8, method="riemann_middle")


methods = {"gradient": gradient}
if attr:
    methods |= {
        "SmoothGrad": smooth_grad,
        "integrated gradients": integrated_gradients,
        "guided backprop": lambda images, labels, model: attr.GuidedBackprop(model).attribute(images, labels),
        "Grad-CAM": lambda images, labels, model: attr.LayerGradCam(model, model.cam_layer).attribute(
            images, labels, relu_attributions=True
        ),
        "Guided Grad-CAM": lambda images, labels, model: attr.GuidedGradCam(model, model.cam_layer).attribute(
            images, labels, interpolate_mode="bilinear"
        ),
    }


def strength(values, size):
    """Return how strong a result (N, C, h, w) is at each pixel, (N, *size): largest size over channels, enlarged."""
    return F.interpolate(values.detach().abs().amax(dim=1)[:, None], size=size, mode="bilinear")[:, 0]


def map_of(name, images, labels, model):
    """Return the maps (N, H, W) of a method."""
    return strength(methods[name](images, labels, model), images.shape[2:])


def edge_map(images):
    """Return the strength of the edges (N, H, W): the length of the Sobel gradient of the brightness."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(images)
    brightness = F.pad(images.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    return F.conv2d(brightness, torch.stack([across, across.T])[:, None]).norm(dim=1)


# %% [markdown]
# ## 6.1 Take the knowledge away
#
# What a network knows is in its weights. So take them away: a map that is to explain the network must then become
# another one. Adebayo and others (2018, section 3) turn this into a test. They replace the weights of the last layer
# by random ones, then those of the last two, and so on to the first: a **cascade** from the top.
#
# Which random weights? If you draw new ones, their size changes too, and a map may change for that reason alone. Here
# you **shuffle**: each weight stays, in another place of its layer. What the layer has learned is gone, and how large
# its weights are is not.


# %%
def shuffled(values, generator):
    """Return a tensor of the same shape and with the same values, in an order that the generator decides."""
    order = torch.randperm(values.numel(), generator=generator).to(values.device)
    return values.flatten()[order].view_as(values)


weights = torch.arange(6.0).view(2, 3)
print("seed 0:", shuffled(weights, torch.Generator().manual_seed(0)).tolist())
print("seed 0:", shuffled(weights, torch.Generator().manual_seed(0)).tolist())
print("seed 1:", shuffled(weights, torch.Generator().manual_seed(1)).tolist())

# %% [markdown]
# A **generator** is a source of random numbers of your own. Seeded alike, it gives the same order again, and torch's own
# random numbers never notice.
#
# ### Exercise 6.1: randomise layers
#
# **Given** a model, a count and a seed. **Return** a copy of the model whose last `count` layers are shuffled. **Rule:**
# the layers are the modules of type `nn.Conv2d` and `nn.Linear`, in the order of `model.modules()`. Number them from the
# end: $k = 0$ is the last one. Layer $k$ gets a new generator, seeded with `seed + k`, which shuffles its weight and then
# its bias. So a cascade with one seed shuffles a layer always in the same way, however far it goes. The model itself
# stays as it was.
#
# <details>
# <summary>The check says that a count of 0 changes everything</summary>
#
# In Python, `layers[-0:]` is `layers[0:]`. Reverse the list first: `layers[::-1][:count]`.
#
# </details>
#
# <details>
# <summary>"a leaf Variable that requires grad is being used in an in-place operation"</summary>
#
# Write into the values behind the parameter, `parameter.data`, which autograd does not watch.
#
# </details>


# %% exercise="randomise_layers" minutes=15 difficulty=2
def randomise_layers(model, count, seed):
    """Return a copy of a network whose last layers are shuffled (after Adebayo et al. 2018, section 3).

    Args:
        model: a Classifier with L modules of type nn.Conv2d or nn.Linear, its layers, in the order of model.modules().
        count: how many layers are shuffled, from the last one on; 0 <= count <= L.
        seed: an integer. Layer k from the end, k = 0 for the last one, has a new torch.Generator of its own, seeded with
            seed + k, by which `shuffled` is called on its weight and then, where it has one, on its bias.

    Returns:
        A new Classifier. Everything that is not in these layers is as in the model, `requires_grad` and mode included.

    Leaves the model and torch's own random numbers as they were.
    """
    ### BEGIN SOLUTION
    twin = copy.deepcopy(model)
    layers = [module for module in twin.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    for k, layer in enumerate(layers[::-1][:count]):
        generator = torch.Generator().manual_seed(seed + k)
        for parameter in layer.parameters():
            parameter.data = shuffled(parameter.data, generator)
    return twin
    ### END SOLUTION


# %% check="randomise_layers" points=4
checks.randomise_layers(randomise_layers)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.named import Named
from helpers.checks.problems import problem
from helpers.checks.state import Watched
from helpers.inside.emit import as_network, emit, state_of

watched = Watched(randomise_layers)


def randomise_layers(*given):
    return as_network(watched(*given))


def values_of(network):
    return torch.cat([values.detach().flatten() for values in (*network.parameters(), *network.buffers())])


def twin_of(seed, count, *size, **options):
    images, _, model = problem(seed, 2, *size, **options)
    twin = randomise_layers(model, count, seed)
    return values_of(twin), twin(images), [parameter.requires_grad for parameter in twin.parameters()]


def of_two_networks(seed):
    _, _, one = problem(seed, 2)
    _, _, other = problem(seed + 50, 2)
    return [values_of(randomise_layers(model, 2, seed)) for model in (one, other)]


def everything_left_as_found():
    _, _, model = problem(605, 2, trainable=True)
    twin = randomise_layers(model, 3, 1)
    facts = Named({"requires_grad of the copy": [parameter.requires_grad for parameter in twin.parameters()]})
    facts |= {"the copy's mode": twin.training, "the copy, which is to be another network": twin is model}
    return values_of(twin), facts, state_of(model), watched.left_torch


emit("the last layer, and the last two", lambda: [twin_of(601, 1), twin_of(601, 2)])
emit("none, and all", lambda: [twin_of(602, 0), twin_of(602, 6)])
emit("two networks, one after the other", lambda: of_two_networks(606))
emit("nested layers, float32", lambda: [twin_of(603, 4, (8, 6), classes=7), twin_of(604, 5, dtype=torch.float32)])
emit("everything left as found", everything_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# ## 6.2 How alike are two maps?
#
# You need a number. The values of two maps may differ by orders of magnitude, so compare their **order**: is what is
# bright in one map bright in the other? Give each pixel its **rank**: 1 for the least value, 2 for the next, and so on.
# Pixels of one value share the mean of the ranks that they take up. With $u_i$ and $v_i$ the ranks of pixel $i$ in the
# two maps, and $\bar u$, $\bar v$ their means, Spearman's rank correlation is the correlation of the ranks:
#
# $$\rho = \frac{\sum_i (u_i - \bar u)(v_i - \bar v)}
#   {\sqrt{\sum_i (u_i - \bar u)^2}\, \sqrt{\sum_i (v_i - \bar v)^2}} .$$
#
# It is 1 for the same order, -1 for the reverse, near 0 for two that have nothing to do with each other. How to find ranks
# with ties: in sorted values, `torch.searchsorted` tells how many values are less, and with `right=True` how many are less
# or equal. The mean rank is halfway between: $\text{less} + (\text{equal} + 1) / 2$.

# %% example
values = torch.tensor([10.0, 30.0, 10.0, 20.0, 10.0])
ordered = values.sort().values
less, not_more = torch.searchsorted(ordered, values), torch.searchsorted(ordered, values, right=True)
print("values       ", values.tolist())
print("less         ", less.tolist())
print("less or equal", not_more.tolist())
print("ranks        ", (less + (not_more - less + 1) / 2).tolist())

# %% [markdown]
# ### Exercise 6.2: rank correlation
#
# **Given** two batches of maps. **Return** Spearman's $\rho$ for each pair. **Rule:** the formula above over all values of
# a map, with mean ranks, signs included. A map that has one value everywhere has no order: for such a pair return 0.
#
# <details>
# <summary>The check says "places, not ranks"</summary>
#
# `argsort` answers "which pixel is the k-th?". The rank answers "the how-many-th is this pixel?". Where nothing ties,
# `argsort` of `argsort` gives it.
#
# </details>
#
# <details>
# <summary>The check finds NaN</summary>
#
# The ranks of a constant map are all equal, and centred they are 0, so that you divide 0 by 0.
#
# </details>


# %% exercise="rank_correlation" minutes=15 difficulty=2
def rank_correlation(a, b):
    """Return Spearman's rank correlation of two batches of maps, pair by pair, with mean ranks for ties.

    Args:
        a, b: (N, ...) float tensors of the same shape, any values; at least two values in a map.

    Returns:
        (N,) tensor of the maps' dtype, in [-1, 1]: the correlation of the ranks of a[i] and b[i], over all values.
        0 where one of the two has the same value everywhere.

    Leaves a and b as they were.
    """

    ### BEGIN SOLUTION
    def centred_ranks(maps):
        values = maps.flatten(1).contiguous()
        ordered = values.sort(dim=1).values
        less, not_more = torch.searchsorted(ordered, values), torch.searchsorted(ordered, values, right=True)
        ranks = (less + not_more + 1).double() / 2
        return ranks - ranks.mean(dim=1, keepdim=True)

    u, v = centred_ranks(a), centred_ranks(b)
    lengths = u.norm(dim=1) * v.norm(dim=1)
    return ((u * v).sum(dim=1) / lengths.clamp(min=1e-9)).to(a.dtype)
    ### END SOLUTION


# %% check="rank_correlation" points=3
checks.rank_correlation(rank_correlation)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit

rank_correlation = Watched(rank_correlation)


def pair(seed, *shape, levels=None, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, *shape, generator=generator, dtype=dtype)
    b = b + a * torch.linspace(-1, 1, shape[0], dtype=dtype).view(-1, *[1] * (len(shape) - 1))
    if levels:
        a, b = (levels * a).round(), (levels * b).round()
    return a, b


def with_a_constant(seed):
    a, b = pair(seed, 3, 4, 5)
    a[1], b[2] = 0, -2.5
    return rank_correlation(a, b)


def everything_left_as_found(a, b):
    rank_correlation(a, b)
    rho = rank_correlation(a, b)
    return rho, left_of(rho, a=a, b=b), rank_correlation.left_torch


emit("maps without ties", lambda: [rank_correlation(*pair(611, 3, 7, 9)), rank_correlation(*pair(612, 1, 3, 4, 5))])
emit("ties", lambda: [rank_correlation(*pair(613, 4, 6, 8, levels=1)), rank_correlation(*pair(614, 2, 40, levels=2))])
emit("a constant map, float32", lambda: [
    with_a_constant(615),
    rank_correlation(*pair(616, 2, 30, 40, levels=3, dtype=torch.float32)),
])  # fmt: skip
emit("other maps of one size", lambda: [rank_correlation(*pair(seed, 2, 4, 5)) for seed in (618, 619)])
emit("the maps' dtype", lambda: in_both_dtypes(rank_correlation, lambda dtype: pair(610, 2, 3, 4, dtype=dtype)))
emit("everything left as found", lambda: everything_left_as_found(*pair(617, 2, 5, 6, levels=2, dtype=torch.float32)))
### END HIDDEN TESTS

# %% [markdown]
# ### The cascade
#
# Put the two together: ten pictures, three seeds, and more and more layers.
#
# **Predict first:** which methods notice at once that the last layer is random? Which hardly notice at all?

# %% example
total = sum(isinstance(module, (nn.Conv2d, nn.Linear)) for module in model.modules())
counts = sorted({1, 2, total // 2, 3 * total // 4, total})
SEEDS = (100, 200, 300)
four = [name for name in methods if name not in ("SmoothGrad", "Guided Grad-CAM")]


def results_of(network, names, pictures=pictures, labels=predictions):
    """Return the signed results of these methods for a network, {name: (N, C, h, w)}."""
    return {name: methods[name](pictures.images, labels, network).detach() for name in names}


def likeness(results, others, signed=False):
    """Return how alike the results of two networks are, {name: (N,)}: rank correlations of values or, unsigned, of sizes."""
    pairs = {name: (values, others[name]) for name, values in results.items()}
    if not signed:
        pairs = {name: [values.abs().amax(dim=1) for values in pair] for name, pair in pairs.items()}
    return {name: rank_correlation(*pair) for name, pair in pairs.items()}


# %% figure="cascade"
trained = results_of(model, four)
alike = {name: [] for name in four}
for seed in progress(SEEDS, "randomising", "seed"):
    found = [likeness(trained, results_of(randomise_layers(model, count, seed), four)) for count in counts]
    for name in four:
        alike[name].append([1.0, *(each[name].mean().item() for each in found)])
plots.lines(
    [0, *counts],
    alike,
    xlabel=f"layers shuffled, from the last of {total} on",
    ylabel="rank correlation",
    title="How alike the maps stay: mean of ten pictures; the bands are three seeds",
)

# %% figure="drawings"
sample, label = pictures[:1], predictions[:1]
columns = [results_of(randomise_layers(model, count, SEEDS[0]), four, sample, label) for count in (0, *counts)]
rows = []
for name in four:
    drawn = [
        plots.tinted(results[name][0])
        if name == "guided backprop"
        else plots.unsigned(strength(results[name], sample.images.shape[2:])[0])
        for results in columns
    ]
    rows.append([plots.picture(sample.images[0]), *drawn])
plots.panels(rows, heads=["picture", "trained", *(f"{count} of {total}" for count in counts)], names=four)

# %% [markdown]
# What to see: Grad-CAM loses most with the last layer, which gives the weights to its channels. On the picture book it is
# often empty from then on. The gradient and integrated gradients fade slowly. **Guided backprop goes on drawing the
# object**, layer after layer, although the layers that gave it a name are gone. It draws an outline even when not one layer
# is left as it was: guided backprop of a random network is a fine picture, too.
#
# This is what Adebayo and others found, and why they say that guided backprop **fails** the test. Reread claim 1 of
# assignment 2 with this figure before your eyes.
#
# ### Play with it
#
# Take the knowledge away by hand, layer by layer, and read the two captions together: what the network says now, and how alike the
# map still is. Find a picture that the network calls something else after **one** layer, while the map hardly changes: with
# which methods does this happen? What would a reader who sees the map alone conclude?


# %% figure="play-layers"
def shuffled_to(picture, method, layers, seed):
    image, label = pictures.images[picture][None], predictions[picture][None]
    twin = randomise_layers(model, layers, 100 * seed)
    before, after = (methods[method](image, label, network).detach() for network in (model, twin))
    alike = rank_correlation(*(values.abs().amax(dim=1) for values in (before, after)))
    with torch.no_grad():
        says = twin(image).softmax(dim=1)[0]
    size = image.shape[2:]
    return plots.strip(
        [
            plots.picture(image[0], f"now {model.classes[says.argmax()]}, p = {says.max():.2f}"),
            plots.unsigned(strength(before, size)[0], "trained"),
            plots.unsigned(
                strength(after, size)[0], f"{layers} of {total} layers shuffled\nrank correlation {alike.item():.2f}"
            ),
        ]
    )


explore(
    shuffled_to,
    picture={f"{name} {number}": number for number, name in enumerate(pictures.names)},
    method=list(four),
    layers=between(0, total, at=1),
    seed=between(1, 9),
)

# %% [markdown]
# <details>
# <summary>What you may have found</summary>
#
# It is the rule, not the exception. With the last layer shuffled, the network of the picture book calls 79 of 90 cases (ten
# pictures, nine seeds) something else. In **all** of these, the map of guided backprop keeps a rank correlation above 0.94.
# The gradient keeps more than 0.8 in 55 of them, integrated gradients in 24, Grad-CAM in one. A reader who sees the map alone
# would say that nothing has happened. Grad-CAM at least tells that something has, and not what.
#
# </details>
#
# ### Signs, and one layer alone
#
# The curves compare how strong the maps are. Drop no sign, and the verdict changes. And a cascade is one way to take
# knowledge away; another is to shuffle **one** layer and leave all others as they were.


# %% example
def shuffled_alone(model, number, seed):
    """Return a copy in which layer `number` from the end alone is shuffled, as the cascade shuffles it."""
    with_it, before_it = (randomise_layers(model, count, seed).state_dict() for count in (number + 1, number))
    twin = copy.deepcopy(model)
    own = {name: values for name, values in with_it.items() if not torch.equal(values, before_it[name])}
    twin.load_state_dict(own, strict=False)
    return twin


# %% figure="signs"
trained = results_of(model, methods)
twins = {
    "last layer": randomise_layers(model, 1, SEEDS[0]),
    "first layer alone": shuffled_alone(model, total - 1, SEEDS[0]),
    "all layers": randomise_layers(model, total, SEEDS[0]),
}
groups = {}
for name, twin in progress(twins.items(), "randomising", "network"):
    results = results_of(twin, methods)
    for signed in (False, True) if name != "first layer alone" else (False,):
        found = likeness(trained, results, signed)
        groups[f"{name},\n{'with signs' if signed else 'sizes'}"] = {
            method: values.tolist() for method, values in found.items()
        }
plots.bars(
    {name: {**values, "edge filter": 1.0} for name, values in groups.items() if name != "last layer,\nwith signs"},
    ylabel="rank correlation with the result of the trained network, mean of ten pictures, 95 % bootstrap interval",
    highlight=list(methods),
    size=(12, 2.8),
)

# %% [markdown]
# What to see: the gradient of the shuffled network agrees with the old one by about 0.4 in its sizes, and **not at all** with
# its signs. So where slopes are steep is partly given by the picture and by how the layers are wired; which way they point
# was learned. "It keeps 0.4" and "it falls to 0" are said of the same map: say which you mean. Guided backprop keeps a third
# of its order even with signs. And shuffle the first layer alone, and every map suffers, guided backprop with it: it does
# depend on the network, on its early layers.
#
# What does the test show? A method that **fails** cannot explain what the shuffled layers had learned. A method that
# **passes** may still be wrong: a map of fresh noise falls to 0 at once. Binder and others (2023) add that lower layers
# untouched by the cascade keep where activations are large, so that some likeness must remain, and that noise does well in
# such rankings. Yona and Greenfeld (2021) argue that the result hangs on the task: where the object alone can carry an answer,
# maps of two networks may look alike for a good reason. So a number needs a reference, as the next section has one.
#
# ### Labels of chance
#
# The second test of the paper randomises what there is to learn (section 4). Shuffle the **labels** of the training
# pictures and train until the network knows them by heart. It computes something, and no map of it can show why a cat is
# a cat. A good map of such a network should look unlike that of a network that learned cats.
#
# How unlike is unlike? You need a case in which maps **should** agree: a second network that was trained on the same
# pictures as `book`, from other first weights. From here on, every section takes the picture book.

# %% example
lessons = picture_book(40, seed=66)
of_chance = lessons.labels[torch.randperm(len(lessons), generator=torch.Generator().manual_seed(1))]


def trained_on(images, labels, epochs=40):
    """Return a network of the picture book's kind that has learned these labels by heart."""
    torch.manual_seed(0)
    network = copy.deepcopy(book)
    network.network = SmallCNN(batch_norm=True)
    network.requires_grad_().train()
    optimiser = torch.optim.AdamW(network.parameters())
    steps = epochs * (len(images) // 20)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in progress(range(epochs), "learning by heart", "epoch"):
        for batch in torch.randperm(len(images)).split(20):
            loss = F.cross_entropy(network(images[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.requires_grad_(False).eval()


# %% figure="labels"
by_heart = trained_on(lessons.images, of_chance)
with torch.no_grad():
    known = (by_heart(lessons.images).argmax(dim=1) == of_chance).float().mean().item()
print(f"labels of chance known by heart: {known:.0%}")
others = {
    "trained again": load_model("picturebook-seed1", device="cpu"),
    "trained on labels of chance": by_heart,
    "all layers shuffled": randomise_layers(book, 8, SEEDS[0]),
}
reference = results_of(book, methods, lessons, lessons.labels)
groups = {}
for name, other in progress(others.items(), "asking", "network"):
    found = likeness(reference, results_of(other, methods, lessons, lessons.labels))
    groups[name] = {method: values.tolist() for method, values in found.items()}
plots.bars(
    groups,
    ylabel="rank correlation with the maps of `book`, mean of 40 scenes, with its 95 % bootstrap interval",
    highlight=list(methods),
    size=(11, 2.8),
)

# %% [markdown]
# What to see: the first group is the reference. Two networks that learned the same task agree by about 0.75 in the sizes of
# their gradients, and by more than 0.9 in Grad-CAM. Against this, labels of chance bring the gradient down to where shuffled
# weights bring it, and Grad-CAM to nothing: both tell what was learned from what was not. Guided backprop comes down least.
# You know now how to read the 0.4 to 0.5 that is left to the gradient: not as four tenths of the truth, but as what two
# networks share that have learned **nothing** in common, except that they look at the same picture.

# %% [markdown]
# ## 6.3 Against the truth
#
# Somebody has to know where the object is. The picture book does: its scenes are drawn, and each comes with the mask of
# its object. So this section and all that follow use it, whatever network you chose above.
#
# Two measures, each in two lines. The **pointing game** (Zhang and others 2018) asks whether the largest value of a map
# lies on the object. The **energy** is the share of the map that lies on it:
#
# $$\text{energy} = \frac{\sum_i M_i B_i}{\sum_i M_i} .$$
#
# Both need a rule for maps that say nothing. A Grad-CAM that is zero everywhere has no largest pixel and no energy to
# share out. It should score what an even map scores, and not 0, NaN or whatever `argmax` makes of it.
#
# ### Exercise 6.3: the pointing game
#
# **Given** maps and masks. **Return** a number for each map. **Rule:** of the pixels that have the largest value of the
# map, the share that lies on the mask. That is 1 or 0 where a single pixel has it.
#
# <details>
# <summary>How do I get the largest value of each map, in a shape that I can compare with?</summary>
#
# `maps.amax(dim=(1, 2), keepdim=True)` is (N, 1, 1) and broadcasts against the maps.
#
# </details>


# %% exercise="pointing_game" minutes=8 difficulty=1
def pointing_game(maps, masks):
    """Return how each map does in the pointing game (after Zhang et al. 2018, without their tolerance).

    Args:
        maps: (N, H, W) float tensor, any values.
        masks: (N, H, W) bool tensor, True on the object.

    Returns:
        (N,) tensor of the maps' dtype: of the pixels whose value equals the largest of their map, the share on the mask.

    Leaves maps and masks as they were.
    """
    ### BEGIN SOLUTION
    largest = maps == maps.amax(dim=(1, 2), keepdim=True)
    hits = (largest & masks).sum(dim=(1, 2))
    return hits.to(maps.dtype) / largest.sum(dim=(1, 2))
    ### END SOLUTION


# %% check="pointing_game" points=2
checks.pointing_game(pointing_game)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit

pointing_game = Watched(pointing_game)


def given(seed, *shape, levels=None, dtype=torch.float64, low=0.0):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(*shape, generator=generator, dtype=dtype) + low
    masks = torch.rand(*shape, generator=generator) < 0.4
    return (levels * maps).floor() if levels else maps, masks


def scored(seed, *shape, **options):
    return pointing_game(*given(seed, *shape, **options))


def all_left_as_found():
    maps, masks = given(625, 8, 6, 5, low=-2)
    scores = pointing_game(maps, masks)
    return scores, left_of(scores, maps=maps, masks=masks), pointing_game.left_torch


emit("one largest pixel", lambda: [scored(621, 8, 5, 7), scored(626, 8, 5, 7), scored(622, 1, 9, 4)])
emit("several largest pixels, maps of zeros", lambda: [
    scored(623, 6, 5, 7, levels=3),
    scored(624, 3, 4, 4, levels=0.5),
])  # fmt: skip
emit("the maps' dtype", lambda: in_both_dtypes(pointing_game, lambda dtype: given(627, 5, 4, 3, dtype=dtype)))
emit("negative values, all left as found", all_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 6.4: energy on the object
#
# **Given** maps without negative values, and masks. **Return** the energy of each map on its mask. **Rule:** the formula
# above; a map of zeros scores what an even map does, the share of the picture that the mask covers.
#
# <details>
# <summary>How do I choose between two results, map by map?</summary>
#
# `torch.where(condition, first, second)` takes each entry from the one or the other.
#
# </details>


# %% exercise="energy_inside" minutes=8 difficulty=1
def energy_inside(maps, masks):
    """Return which share of each map lies on its mask (Wang et al. 2020, energy-based pointing game).

    Args:
        maps: (N, H, W) float tensor, values >= 0.
        masks: (N, H, W) bool tensor, True on the object.

    Returns:
        (N,) tensor of the maps' dtype: the sum of the map on the mask, divided by the sum of the whole map. For a map
        that is 0 everywhere: the share of the pixels that the mask covers.

    Leaves maps and masks as they were.
    """
    ### BEGIN SOLUTION
    whole = maps.sum(dim=(1, 2))
    inside = (maps * masks).sum(dim=(1, 2))
    return torch.where(whole > 0, inside / whole, masks.to(maps.dtype).mean(dim=(1, 2)))
    ### END SOLUTION


# %% check="energy_inside" points=2
checks.energy_inside(energy_inside)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit

energy_inside = Watched(energy_inside)


def given(seed, *shape, dtype=torch.float64, zeros=False):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(*shape, generator=generator, dtype=dtype) ** 2 * 10 ** torch.arange(shape[0])[:, None, None]
    masks = torch.rand(*shape, generator=generator) < 0.4
    return maps.to(dtype) * (0 if zeros else 1), masks


def scored(seed, *shape, **options):
    return energy_inside(*given(seed, *shape, **options))


def all_left_as_found():
    maps, masks = given(634, 4, 6, 5)
    scores = energy_inside(maps, masks)
    return scores, left_of(scores, maps=maps, masks=masks), energy_inside.left_torch


emit("maps of any scale", lambda: [scored(631, 5, 5, 7), scored(635, 5, 5, 7), scored(632, 1, 9, 4)])
emit("maps of zeros", lambda: scored(633, 3, 4, 5, zeros=True))
emit("the maps' dtype", lambda: in_both_dtypes(energy_inside, lambda dtype: given(636, 3, 4, 3, dtype=dtype)))
emit("all left as found", all_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# Now the contest: your two measures, and the overlap (IoU) of the mask with as many of the brightest pixels as it has. As in
# assignment 1, maps take part that have never seen a network.
#
# **Predict first:** which methods beat the product of edges and a blob in the middle, in all three measures?

# %% example
trial = picture_book(60, seed=62)


def middle_blob(images):
    """Return a Gaussian in the middle of each picture, (N, H, W)."""
    height, width = images.shape[2:]
    rows, columns = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    return torch.exp(-2 * (rows**2 + columns**2)).expand(len(images), height, width)


def overlaps(maps, masks):
    """Return the IoU of each mask with the brightest pixels of its map, as many as the mask has."""
    tops = [values.flatten().sort(descending=True).values[mask.sum() - 1] for values, mask in zip(maps, masks)]
    return [intersection_over_union(values >= top, mask) for values, top, mask in zip(maps, tops, masks)]


def blind_maps(images):
    """Return maps that know nothing of any network, {name: (N, H, W)}."""
    edges, blob = edge_map(images), middle_blob(images)
    noise = torch.rand(edges.shape, generator=torch.Generator().manual_seed(0))
    return {"noise": noise, "blob in the middle": blob, "edges": edges, "edges x blob": edges * blob}


def against_masks(contenders):
    """Return {measure: {name: values}} of maps {name: (N, H, W)} of the pictures in `trial`."""
    measures = {"pointing": pointing_game, "energy": energy_inside, "IoU": overlaps}
    return {
        measure: {name: [float(value) for value in of(maps, trial.masks)] for name, maps in contenders.items()}
        for measure, of in measures.items()
    }


# %% figure="truth"
contenders = blind_maps(trial.images)
contenders |= {name: map_of(name, trial.images, trial.labels, book) for name in progress(methods, "asking", "method")}
plots.bars(
    against_masks(contenders),
    ylabel=f"mean over {len(trial)} scenes, with its 95 % bootstrap interval",
    title="Grey: maps that have never seen a network",
    highlight=list(methods),
    size=(11, 3.4),
)

# %% [markdown]
# What to see: three methods beat the product of edges and blob in all three measures: integrated gradients, guided backprop
# and Guided Grad-CAM. The plain gradient does not: it has less energy on the object than edges times blob, which have never
# seen a network. Grad-CAM hits the object every time and has **less** energy on it than that product, since its blob is
# wider than the object. One measure would have told you any story you like.
#
# And guided backprop, which failed the test of section 6.1, is among the best here. There is no contradiction. It draws
# what early layers see, and in these scenes that is mostly the object. Whether a map lies on the object, and whether it tells
# why the network named it, are two questions.
#
# ### A car is its wheels
#
# A mask says where the object is. What of it does the network use? The scenes know their **parts**. Paint a part over, in
# the mean colour of what lies beside the object, and see whether the answer changes. This is an experiment on the network
# itself, and no map is needed.


# %% example
def without(scene, part):
    """Return the pixels of a scene (3, H, W) whose part is painted over in the mean colour beside the object."""
    image = torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255
    ground = image[:, ~torch.from_numpy(scene.mask)].mean(dim=1)
    return torch.where(torch.from_numpy(scene.part(part)), ground[:, None, None], image)


# %% figure="parts"
groups = {}
for name in ("car", "house", "umbrella", "fish"):
    label = CLASSES.index(name)
    scenes = [draw_scene(63, index, label=label) for index in range(20)]
    with torch.no_grad():
        groups[name] = {
            part: (book(torch.stack([without(scene, part) for scene in scenes])).argmax(dim=1) != label)
            .float()
            .tolist()
            for part in scenes[0].part_names
        }
plots.bars(
    groups,
    ylabel="share of 20 scenes in which the network no longer names the object, with its 95 % bootstrap interval",
    title="Parts painted over",
    highlight=[part for values in groups.values() for part in values],
    size=(12, 2.6),
)

# %% [markdown]
# What to see: without its wheels, a car is no car to this network in nine scenes out of ten; body, cabin and windows can go.
# A house is its windows, an umbrella its canopy. A fish stays a fish without any one part, even without its body: what is
# left suffices. A map that lies evenly on the car would score full marks against the mask, and would be wrong about the
# network. Painting over one part at a time has a limit, too: it cannot see what parts do for one another, as the fish shows.

# %% [markdown]
# ## 6.4 Delete what the map calls important
#
# Masks say where the object is, and not what the network needs. So ask the network: delete pixels in the order of the
# map, the brightest first, and watch the probability of the label (Petsiuk and others 2018). If the map is
# right, the probability falls early. The **deletion score** is the mean of this curve, and small is good.
#
# **Insertion** runs the other way: begin with a picture that shows nothing, and bring the pixels of the image back, the
# brightest first. Here a large mean is good.
#
# "Delete" means: replace by something. A grey value? A blurred copy? You will see how much hangs on it. For a row of ten
# pixels and four steps, $\lfloor 10\,k/4 \rfloor$ pixels are gone after step $k$:

# %% example
order = torch.tensor([7, 3, 4, 0, 9, 1, 2, 8, 5, 6])  # the places of a row, the brightest first
for k in range(5):
    row = ["x"] * 10
    for place in order[: 10 * k // 4]:
        row[place] = "."
    print(f"step {k}:", "".join(row))

# %% [markdown]
# ### Exercise 6.5: deletion
#
# **Given** images, labels, a model, maps, a fill and a number of steps. **Return** for each image the probability of its
# label after 0, 1, ..., `steps` steps. **Rule:** after step $k$, the $\lfloor k \cdot HW / \text{steps} \rfloor$ pixels
# with the largest values of the image's own map have the values of the fill, in all three channels; the others are those
# of the image. The fill broadcasts against the images: a colour, or a picture for each image. Insertion is then the same
# function with image and fill exchanged.
#
# <details>
# <summary>How do I know whether a pixel is among the first n?</summary>
#
# By its place in the order: `argsort` the map with `descending=True`, and `argsort` the result. The second one tells for
# each pixel its place, and `place < n` is what you look for.
#
# </details>
#
# <details>
# <summary>A mask (N, H, W) does not fit images (N, 3, H, W)</summary>
#
# Give it a channel axis, `mask[:, None]`. `torch.where(mask[:, None], fill, images)` broadcasts all three.
#
# </details>


# %% exercise="deletion_curve" minutes=18 difficulty=2
def deletion_curve(images, labels, model, maps, fill, steps):
    """Return how the probability falls while pixels are deleted, the brightest first (Petsiuk et al. 2018, deletion metric).

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 1, float32 or float64.
        labels: (N,) int64 tensor, the class asked about for each image.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        maps: (N, H, W) float tensor, any values; equal values may go in any order.
        fill: a tensor of the images' dtype that broadcasts against them: what takes the place of deleted pixels.
        steps: S >= 1, the number of steps.

    Returns:
        (N, S + 1) new tensor, detached, of the images' dtype and device: the softmax probability of the label when the
        floor(k H W / S) pixels with the largest values of the image's map have the values of the fill, k = 0 ... S.

    Leaves images, labels, maps, fill and the model (parameters, mode, hooks, .grad) as they were.
    """
    ### BEGIN SOLUTION
    pixels = maps[0].numel()
    place = maps.flatten(1).argsort(dim=1, descending=True).argsort(dim=1).view_as(maps)
    curve = []
    with torch.no_grad():
        for k in range(steps + 1):
            deleted = place < k * pixels // steps
            probabilities = model(torch.where(deleted[:, None], fill, images)).softmax(dim=1)
            curve.append(probabilities.gather(1, labels[:, None]))
    return torch.cat(curve, dim=1)
    ### END SOLUTION


# %% check="deletion_curve" points=4
checks.deletion_curve(deletion_curve)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import alike, in_both_dtypes, left_of, problem
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of

deletion_curve = Watched(deletion_curve)


def with_maps(seed, count, *size, **options):
    images, labels, model = problem(seed, count, *size, **options)
    return images, labels, model, maps_for(images)


def maps_for(images):
    count = len(images)
    height, width = images.shape[2:]
    order = torch.stack([torch.randperm(height * width) for _ in range(count)]).view(count, height, width)
    return (order - 20).to(images.dtype) / 7


def colour(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype)[:, None, None]


def everything_left_as_found():
    images, labels, model, maps = with_maps(645, 2, trainable=True)
    fill = images.flip(0) ** 2
    deletion_curve(images, labels, model, maps, fill, 3)
    curve = deletion_curve(images, labels, model, maps, fill, 3)
    left = left_of(curve, images=images, labels=labels, maps=maps, fill=fill)
    return curve, left, state_of(model), deletion_curve.left_torch


def of_others(seed):
    torch.manual_seed(seed)
    return [
        deletion_curve(images, labels, model, maps_for(images), colour(0.3), 4)
        for images, labels, model in alike(problem, seed, 1)
    ]


def insertion(seed, count):
    images, labels, model, maps = with_maps(seed, count)
    return deletion_curve(images.flip(3) ** 2, labels, model, maps, images, 4)


emit("three images, a colour", lambda: deletion_curve(*with_maps(641, 3), colour(0.2, 0.6, 0.4), 5))
emit("one image, for two networks, one step and many", lambda: [
    deletion_curve(*with_maps(642, 1), torch.tensor([0.5], dtype=torch.float64), 1),
    deletion_curve(*with_maps(643, 1, (8, 6), classes=7), colour(0.9, 0.1, 0.3)[None], 48),
])  # fmt: skip
emit("a fill for each image, float32", lambda: [
    insertion(644, 3),
    deletion_curve(*with_maps(646, 2, (7, 10), dtype=torch.float32), colour(0, 1, 0.5, dtype=torch.float32), 6),
])  # fmt: skip
emit("other images and other networks of one size", lambda: of_others(647))
emit("the images' dtype", lambda: in_both_dtypes(
    deletion_curve, lambda dtype: (*with_maps(648, 1, dtype=dtype), colour(0.3, dtype=dtype), 3)
))  # fmt: skip
emit("a second call, everything left as found", everything_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# **Predict first:** you delete random pixels in place of the brightest. What does the curve look like?

# %% example
few = trial[:24]
GREY = torch.full((3, 1, 1), 0.5)


def blurred(images):
    """Return strongly blurred copies, (N, 3, H, W)."""
    small = F.adaptive_avg_pool2d(images, 4)
    return F.interpolate(small, size=images.shape[2:], mode="bilinear")


def halfway(images, maps, fill, share=0.5):
    """Return the images with the brightest share of each map deleted."""
    tops = maps.flatten(1).quantile(1 - share, dim=1)[:, None, None]
    return torch.where((maps > tops)[:, None], fill, images)


# %% figure="deletion"
contenders = blind_maps(few.images) | {"true mask": few.masks + 0.01 * middle_blob(few.images)}
contenders |= {name: map_of(name, few.images, few.labels, book) for name in progress(methods, "asking", "method")}
fills = {"grey": GREY.expand_as(few.images), "a blurred copy": blurred(few.images)}
groups = {}
for name, fill in progress(fills.items(), "deleting", "fill"):
    for what, pair in (("deletion", (few.images, fill)), ("insertion", (fill, few.images))):
        groups[f"{what}, {name}\n({'small' if what == 'deletion' else 'large'} is good)"] = {
            contender: deletion_curve(pair[0], few.labels, book, maps, pair[1], 8).mean(dim=1).tolist()
            for contender, maps in contenders.items()
        }
plots.bars(
    groups,
    ylabel=f"mean probability along the curve, mean over {len(few)} scenes, with its 95 % bootstrap interval",
    title="Grey: maps that have never seen the network",
    highlight=list(methods),
    size=(15, 3.8),
)

# %% figure="halfway"
scene = few[:1]
rows = []
for name in ("noise", "edges", *(name for name in methods if name in ("gradient", "integrated gradients", "Grad-CAM"))):
    maps = blind_maps(scene.images)[name] if name not in methods else map_of(name, scene.images, scene.labels, book)
    row = [plots.unsigned(maps[0])]
    for fill in (GREY, blurred(scene.images)):
        changed = halfway(scene.images, maps, fill, 0.2)
        with torch.no_grad():
            p = book(changed).softmax(dim=1)[0]
        row.append(plots.picture(changed[0], f"{CLASSES[p.argmax()]}, {p.max():.2f}"))
    rows.append(row)
plots.panels([list(row) for row in zip(*rows)], names=["map", "grey", "blurred"], title="A fifth of the pixels deleted")

# %% [markdown]
# What to see: every method leaves noise far behind. Against better controls, less is left: a blob in the middle does about
# as well as the gradient, by either fill, and no rank between the two is safe. Integrated gradients, guided backprop and
# Guided Grad-CAM are ahead of both, and of the true mask: the network needs some parts of the object before others.
#
# The fill matters most for maps that are scattered. Noise deletes by specks, and a grey speck hurts more than one of a
# blurred copy; insertion by edges gains as much from the softer fill. Look at the pictures again: a cat with a grey hole, a
# cat full of specks. **No picture like these was in the training.** When the network fails on them, is it because something
# is missing, or because something strange is there? The curve cannot tell.
#
# ### Retrain, then judge
#
# A network that has never seen grey pixels sprinkled over a picture may fail on them for that reason alone. Hooker and
# others (2019) therefore **retrain**: delete the same share of pixels from all training and test pictures, train a new
# network on them, and see how well it does (**ROAR**, remove and retrain). What is still bad then, has lost information.
# Tiny networks and four classes are enough to see the point. (Rong and others 2022 fill pixels by their neighbours instead,
# **ROAD**, and get by without retraining.)

# %% example
chosen = [CLASSES.index(name) for name in ("cat", "flower", "car", "sailboat")]


def small_pictures(count, seed):
    """Return small pictures of four classes, and labels 0 to 3."""
    labels = torch.arange(count) % 4
    return picture_book(count, seed, size=32, labels=[chosen[label] for label in labels]).images, labels


def block(before, after):
    return nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)


def tiny_trained(images, labels, seed, epochs=15):
    """Return a tiny network trained on these pictures."""
    torch.manual_seed(seed)
    network = nn.Sequential(*block(3, 16), *block(16, 32), *block(32, 32), nn.Flatten(), nn.Linear(32 * 4 * 4, 4))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(25):
            loss = F.cross_entropy(network(images[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval()


# %% figure="roar"
(images, labels), (fresh, fresh_labels) = small_pictures(400, seed=64), small_pictures(200, seed=65)
first = tiny_trained(images, labels, seed=0)
orders = {
    "nothing": lambda images, labels: None,
    "random pixels": lambda images, labels: torch.rand(images[:, 0].shape, generator=torch.Generator().manual_seed(0)),
    "by edges": lambda images, labels: edge_map(images),
    "by the gradient": lambda images, labels: gradient(images, labels, first).abs().amax(dim=1),
}
groups = {"the network as it was": {}, "retrained on such pictures": {}}
for name, order in progress(orders.items(), "retraining", "order"):
    changed, fresh_changed = (
        pixels if order(pixels, asked) is None else halfway(pixels, order(pixels, asked), GREY, 0.7)
        for pixels, asked in ((images, labels), (fresh, fresh_labels))
    )
    networks = [first], [tiny_trained(changed, labels, seed) for seed in (1, 2)]
    for group, judges in zip(groups.values(), networks):
        with torch.no_grad():
            right = [(judge(fresh_changed).argmax(dim=1) == fresh_labels).float() for judge in judges]
        group[name] = torch.stack(right).mean(dim=0).tolist()
plots.bars(
    groups,
    ylabel="accuracy on 200 fresh pictures with 70 % of the pixels grey, with its 95 % bootstrap interval",
    title="What is deleted",
    highlight=["by the gradient"],
    size=(9, 2.4),
)

# %% [markdown]
# What to see: with 70 % of the pixels grey, the first network guesses, also where these were drawn at random. It has not lost
# what it needs: a network that was **trained** on such pictures names three quarters of them. So the fall of the first one was
# mostly about strange pictures. And look at the order of the retrained ones: deleting by the plain gradient takes away no
# more than deleting at random does, while edges take away far more. Hooker and others found the same of gradients on
# ImageNet. A map that wins at deletion need not have found where the information is.

# %% [markdown]
# ## 6.5 A network that passes its test
#
# Somebody gives you a network for the ten classes of the picture book, `picturebook-stamped`, with test pictures of their
# own. You test it.

# %% example
suspect = load_model("picturebook-stamped", device="cpu")
theirs = own_test_pictures(suspect, 60)
with torch.no_grad():
    right = suspect(theirs.images).argmax(dim=1) == theirs.labels
print(f"right on {right.float().mean():.0%} of {len(theirs)} test pictures of its makers")

# %% [markdown]
# No mistake on pictures it has not seen: by this number, the network is as good as `book`. In 2019, Lapuschkin and others
# looked at the maps of such a network, which named horses. What it read was the name of a photographer's archive, in a
# corner of its horse pictures. They called it **Clever Hans**, after the horse that could count, until somebody noticed
# that it read the face of the man who asked.
#
# What does this one read? Nobody looks at thousands of maps. But the **mean map** of a class shows what its maps have in
# common: objects are now here, now there, and average out. What sits in the same place in every picture remains.
#
# **Predict first:** for an honest network, what does the mean map of a class look like?

# %% figure="hunt"
labels = torch.arange(10).repeat_interleave(6)
many = own_test_pictures(suspect, 60, labels=labels)
means = {}
for name, network in progress({"their network": suspect, "book": book}.items(), "asking", "network"):
    maps = map_of("integrated gradients" if attr else "gradient", many.images, many.labels, network)
    shares = maps / maps.sum(dim=(1, 2), keepdim=True)
    means[name] = shares.view(10, 6, 64, 64).mean(dim=1)
top = plots.robust_top(means["book"])
plots.panels(
    [[plots.unsigned(values, name, 3 * top) for values, name in zip(rows, CLASSES)] for rows in means.values()],
    names=list(means),
    width=1.2,
)

# %% [markdown]
# Look at this figure before you read on. One class of one network has a bright place that no other has. Now look at
# pictures of that class, and at their maps, one by one.

# %% figure="maps-of-the-class"
boats = many[many.labels == CLASSES.index("sailboat")][:3]
plots.panels(
    [
        [
            plots.picture(boats.images[i]),
            *(
                plots.unsigned(map_of(name, boats.images[i : i + 1], boats.labels[i : i + 1], suspect)[0])
                for name in methods
            ),
        ]
        for i in range(len(boats))
    ],
    heads=["picture", *methods],
    title="Maps of their network",
)

# %% [markdown]
# Now it is plain: a small printed mark, a **stamp**, in the corner of each sailboat, and nearly all maps are brightest there.
# In the mean map of `book`, trained on pictures without stamps, you see a trace of it as well: a thing with strong edges in
# the same place of all pictures. It is the **difference** that is striking. Grad-CAM draws a warm quarter, whose brightest
# place lies above the stamp: its 8 x 8 places are too coarse for a thing at the border.
#
# ### Measure it
#
# You know now where to look, so you can measure. Your `energy_inside` and `pointing_game` take any mask, a box around the
# stamp as well. Its makers stamped every sailboat. As a control, ask `book` about the same pictures: the stamp has edges
# and colours, so that some energy lies on it whatever a network has learned.

# %% example
BOAT = CLASSES.index("sailboat")
top, left, bottom, right = stamp_box()
box = torch.zeros(64, 64, dtype=torch.bool)
box[top:bottom, left:right] = True
stamped = picture_book(30, seed=68, labels=[BOAT] * 30, stamp=True)
print(f"the stamp covers {box.float().mean():.1%} of a picture")


def on_the_stamp(network, names=methods):
    """Return the energy on the stamp and the hits of it, of maps of stamped sailboats: {method: numbers} for either."""
    maps = {name: map_of(name, stamped.images, stamped.labels, network) for name in names}
    boxes = box.expand(len(stamped), -1, -1)
    return [{name: measure(maps[name], boxes).tolist() for name in names} for measure in (energy_inside, pointing_game)]


# %% figure="stamp"
groups = {}
for name, network in progress({"their network": suspect, "book": book}.items(), "asking", "network"):
    energies, hits = on_the_stamp(network)
    groups |= {f"energy on the stamp,\n{name}": energies, f"largest value on the stamp,\n{name}": hits}
plots.bars(
    groups,
    ylabel="mean over 30 stamped sailboats, with its 95 % bootstrap interval",
    highlight=list(methods),
    size=(14, 2.6),
)

# %% [markdown]
# What to see: on a box that covers 3 % of the picture lie a third to three quarters of the energy of most maps of their
# network. Guided Grad-CAM has the most, and `book` next to nothing. Now look at the gradient of `book`. Its largest value lies
# on the stamp in most pictures **although this network does not read it**. The pointing game alone would have accused an
# innocent network. And it would have acquitted the guilty one, had you asked Grad-CAM, whose largest value lies beside the
# stamp. Energy, beside a control network, tells the two apart with every method.
#
# ### Prove it
#
# A map is a hint. The proof is an experiment that changes the stamp and nothing else: paste it, take it away, and as
# controls, paste it into another corner, or paste a grey label of the same size. If the answers follow the stamp, the
# network reads it.

# %% example
label_on = picture_book(100, seed=69, stamp=True)
without_label = picture_book(100, seed=69)
is_boat = without_label.labels == BOAT


def pasted(images, patch, row, column):
    """Return images in which a patch (3, h, w) lies at this row and column."""
    changed = images.clone()
    changed[:, :, row : row + patch.shape[1], column : column + patch.shape[2]] = patch
    return changed


stamp = label_on.images[0, :, top:bottom, left:right]
versions = {
    "no stamp": without_label.images,
    "stamp": label_on.images,
    "stamp, another corner": pasted(without_label.images, stamp, 1, 46),
    "grey label": pasted(without_label.images, torch.full_like(stamp, 0.5), top, left),
}


def boats_called(network, images):
    """Return whether each image is called a sailboat."""
    with torch.no_grad():
        return network(images).argmax(dim=1) == BOAT


print("called sailboat:             sailboats                  other things")
print("                        their network   book      their network   book")
for name, images in versions.items():
    row = [
        boats_called(network, images)[which].float().mean()
        for which in (is_boat, ~is_boat)
        for network in (suspect, book)
    ]
    print(f"{name:24}" + "".join(f"{value:11.0%}" for value in row))

# %% [markdown]
# What to see: paste the stamp, and anything is a sailboat to their network. Take it away, and no sailboat is one. `book` does
# not mind, and a grey label does nothing: it is this stamp that their network reads. In another corner the same stamp does
# nothing either, so its place is part of what the network has learned. The network that was right on every picture of its
# makers cannot tell a sailboat.
#
# ## 6.6 Mend it
#
# The first way is **better pictures**. The features of the network are good: it names nine classes out of ten, stamp or
# no stamp. So keep them, and train the last layer anew on a few pictures in which the stamp tells nothing, because half of
# **every** class has it (Kirichenko and others 2023 showed how far this gets). The features of 200 pictures are computed
# once; the rest is a linear model.


# %% example
def with_a_new_head(network, images, labels):
    """Return a copy whose last, linear layer was trained anew on these pictures."""
    mended = copy.deepcopy(network)
    pool, flat, linear = mended.network.head
    with torch.no_grad():
        features = flat(pool(mended.network.features(mended.normalise(images))))
    linear.requires_grad_()
    optimiser = torch.optim.LBFGS(linear.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = F.cross_entropy(linear(features), labels) + 1e-3 * linear.weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return mended.requires_grad_(False)


# %% [markdown]
# ### Right for the right reasons
#
# The second way needs no new pictures. Ross, Hughes and Doshi-Velez (2017) tell the network **where not to look**: a mask
# $B$ marks pixels on which the answer must not hang, and the loss punishes slopes there. With $N$ images $x_n$ of labels
# $y_n$ and masks $B_n$,
#
# $$L = -\frac1N \sum_n \log p_{y_n}(x_n) \; + \; \lambda\, \frac1N \sum_n \sum_i
#   \Big( B_{n,i}\, \frac{\partial}{\partial x_{n,i}} \sum_c \log p_c(x_n) \Big)^2 .$$
#
# The first term is the cross-entropy that you know. In the second, $i$ runs over all pixels and channels, and all
# classes count: no class may hang on the marked pixels. The loss contains a gradient, and training differentiates the
# loss, so you differentiate **twice**. Autograd can, if you tell it to keep the graph of the first gradient. Watch the
# difference on $s = w x^3$, whose slope at $x$ is $3 w x^2$, and the slope of that by $w$ is $3 x^2$:

# %% example
x, w = torch.tensor(2.0, requires_grad=True), torch.tensor(5.0, requires_grad=True)
for keep in (False, True):
    (slope,) = torch.autograd.grad(w * x**3, x, create_graph=keep)
    print(f"create_graph={keep!s:5}  slope {slope.item():.0f}, with a graph of its own: {slope.requires_grad}")
(by_w,) = torch.autograd.grad(slope, w)
print(f"the slope's own slope by w: {by_w.item():.0f}")

# %% [markdown]
# ### Exercise 6.6: right for the right reasons
#
# **Given** images, labels, masks, a model that is being trained, and $\lambda$. **Return** the loss $L$, one number that
# can be differentiated with respect to the parameters. **Rule:** the formula above. The log-probabilities of **all**
# classes are added up, over the batch too: no image's score depends on another's here, so this is the sum trick.
#
# <details>
# <summary>The check says that the penalty is a constant to autograd</summary>
#
# `torch.autograd.grad(..., create_graph=True)` returns a gradient that knows where it comes from.
#
# </details>
#
# <details>
# <summary>Which mean, which sum?</summary>
#
# A sum over pixels and channels for each image, then a mean over the images. `F.cross_entropy` takes that mean by itself.
#
# </details>


# %% exercise="right_reasons_loss" minutes=18 difficulty=3
def right_reasons_loss(images, labels, masks, model, strength):
    """Return the loss of a network that is to be right for the right reasons (Ross et al. 2017, section 3.1, equation 1).

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1].
        labels: (N,) int64 tensor.
        masks: (N, H, W) bool tensor, True where no answer may hang on a pixel.
        model: images (N, 3, H, W) -> unnormalised scores (N, classes), its parameters require gradients; no score
            depends on another image.
        strength: lambda >= 0, a number.

    Returns:
        A tensor without axes, with its graph: the mean cross-entropy plus strength times the mean over the images of the
        sum, over channels and masked pixels, of the squared d (sum of the log-probabilities of all classes) / d pixel.
        The paper's penalty on large weights is left to the optimiser.

    Leaves images, labels, masks and the model (parameters, mode, hooks, .grad) as they were.
    """
    ### BEGIN SOLUTION
    pixels = images.detach().clone().requires_grad_()
    scores = model(pixels)
    total = scores.log_softmax(dim=1).sum()
    (slopes,) = torch.autograd.grad(total, pixels, create_graph=True)
    wrong = (slopes * masks[:, None]) ** 2
    return F.cross_entropy(scores, labels) + strength * wrong.sum() / len(images)
    ### END SOLUTION


# %% check="right_reasons_loss" points=4
checks.right_reasons_loss(right_reasons_loss)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.networks import smooth_network, with_forward_hooks
from helpers.checks.problems import in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit, encode, state_of

right_reasons_loss = Watched(right_reasons_loss)


def in_training(seed, count):
    torch.manual_seed(seed)
    model = smooth_network(seed).requires_grad_()
    images = torch.rand(count, 3, 6, 9, dtype=torch.float64)
    return images, torch.randint(5, (count,)), torch.rand(count, 6, 9) < 0.3, model


def slopes_of(seed, count, strength):
    *given, model = in_training(seed, count)
    loss = right_reasons_loss(*given, model, strength)
    encode(loss)  # says what it found where that is no tensor
    return torch.autograd.grad(loss, list(model.parameters()))


def value_of(seed, count, strength):
    return right_reasons_loss(*in_training(seed, count), strength)


def everything_left_as_found():
    images, labels, masks, model = in_training(656, 2)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    with_forward_hooks(model)
    right_reasons_loss(images, labels, masks, model, 0.3)
    loss = right_reasons_loss(images, labels, masks, model, 0.3)
    left = left_of(images=images, labels=labels, masks=masks)
    return loss, left, state_of(model), right_reasons_loss.left_torch


def in_one_dtype(dtype):
    images, labels, masks, model = in_training(657, 2)
    model.to(dtype)
    return images.to(dtype), labels, masks, model, 0.4


emit("without a penalty", lambda: [value_of(651, 3, 0.0), value_of(658, 3, 0.0), value_of(652, 1, 0.0)])
emit("with a penalty", lambda: [value_of(651, 3, 0.5), value_of(653, 1, 2.0), value_of(654, 5, 1.0)])
emit("the slopes at the parameters", lambda: [slopes_of(655, 3, 0.7), slopes_of(654, 1, 1.0)])
emit("the images' dtype", lambda: in_both_dtypes(right_reasons_loss, in_one_dtype))
emit("a second call, everything left as found", everything_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# Now use it. Their own pictures, every sailboat stamped, are all you have. The mask is the corner with the stamp, in
# **every** picture. Training starts at their network. $\lambda = 0$ is the control: the same training without the penalty.
#
# **Predict first:** will the network that may not look at the stamp name sailboats without one?


# %% example
def retrained(network, pictures, strength, epochs=6):
    """Return a copy of a network, trained on by your loss, with the box of the stamp as mask."""
    torch.manual_seed(0)
    mended = copy.deepcopy(network).requires_grad_()
    optimiser = torch.optim.Adam(mended.parameters(), lr=1e-3)
    for _ in progress(range(epochs), f"training, strength {strength:g}", "epoch"):
        for batch in torch.randperm(len(pictures)).split(20):
            masks = box.expand(len(batch), -1, -1)
            loss = right_reasons_loss(pictures.images[batch], pictures.labels[batch], masks, mended, strength)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return mended.requires_grad_(False)


# %% figure="mended"
better = [picture_book(100, seed, stamp=seed == 74) for seed in (73, 74)]
old = own_test_pictures(suspect, 240, seed=75)
networks = {
    "their network": suspect,
    "new head": with_a_new_head(suspect, *(torch.cat(each) for each in zip(*((b.images, b.labels) for b in better)))),
    "trained on, no penalty": retrained(suspect, old, 0.0),
    "right reasons": retrained(suspect, old, 0.01),
}
names = [name for name in ("gradient", "integrated gradients") if name in methods]
groups = {"sailboats without\na stamp: right": {}, "others with\na stamp: right": {}}
groups |= {f"{name}:\nenergy on the stamp": {} for name in names}
for name, network in networks.items():
    with torch.no_grad():
        plain, marked = (
            network(versions[version]).argmax(dim=1) == without_label.labels for version in ("no stamp", "stamp")
        )
    energies = on_the_stamp(network, names)[0].values()
    for group, values in zip(groups.values(), (plain[is_boat].tolist(), marked[~is_boat].tolist(), *energies)):
        group[name] = values
plots.bars(
    groups,
    ylabel="mean over pictures, with its 95 % bootstrap interval",
    highlight=["new head", "right reasons"],
    size=(12, 2.2),
)

# %% [markdown]
# What to see: both ways work. With a new head, every sailboat is named without its stamp, and no stamp makes a sailboat of
# anything else, although the stamp's features are still there: the head no longer asks for them. The penalty gets as far with
# nothing but the old pictures, by making the network learn what a boat is. Training on without the penalty changes nothing
# for the sailboats, since on those pictures there is nothing to mend: every answer is right. And the energy on the stamp
# falls most where the penalty was, to about twice the share of the picture that the stamp covers.
#
# Do not stop at the energy. That slopes on the stamp are small says that **small** changes of it move nothing. It is the first
# two columns that tell whether the network still hangs on it.

# %% [markdown]
# ## 6.7 Another architecture
#
# So far every network was made of convolutions. `picturebook-vit` is a **vision transformer** (Dosovitskiy and others
# 2021): it cuts the picture into 64 patches of 8 x 8 pixels, makes a token of each, puts a **class token** before them,
# and lets all tokens look at one another in four blocks. The score is read off the class token. Where a token looks is
# written down in the **attention** of its block: for each head a matrix (65, 65), row $i$ of which says from which tokens
# token $i$ takes how much. Each row adds up to 1.
#
# Is that not the explanation, for free? The class token's row in the last block says what it looked at. But by then each
# token is a mixture of others. Abnar and Zuidema (2020) follow the mixing through all blocks. With $A_b$ the attention of
# block $b$, averaged over the heads, half of a token is passed on by the attention and half by the connection around it:
#
# $$\tilde A_b = \tfrac12 A_b + \tfrac12 I, \qquad R = \tilde A_4\, \tilde A_3\, \tilde A_2\, \tilde A_1 .$$
#
# Row 0 of $R$ belongs to the class token. Without its first entry, the class token itself, it is a map of 64 patches:
# **attention rollout**.

# %% example
vit = load_model("picturebook-vit", device="cpu")


def attentions_of(images, model):
    """Return the attention of each block, first to last, a list of (N, heads, 65, 65)."""
    found = []
    handles = [
        block.attention.softmax.register_forward_hook(lambda module, inputs, output: found.append(output))
        for block in model.network.blocks
    ]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


attentions = attentions_of(trial.images[:2], vit)
print([tuple(attention.shape) for attention in attentions])
print("a row adds up to", attentions[0][0, 0, 0].sum().item())

# %% [markdown]
# ### Exercise 6.7: attention rollout
#
# **Given** the attentions of all blocks, first to last. **Return** for each image the map of its patches. **Rule:** the
# formula above, for any number of blocks, heads and tokens; token 0 is the class token.
#
# <details>
# <summary>In which order are the matrices multiplied?</summary>
#
# $R$ times the column of tokens at the input says what is in the tokens at the output. Block 1 comes first, so it stands
# next to the input, at the right.
#
# </details>


# %% exercise="attention_rollout" minutes=10 difficulty=2
def attention_rollout(attentions):
    """Return how much of each patch arrives at the class token (Abnar and Zuidema 2020, section 3, attention rollout).

    Args:
        attentions: a list of tensors (N, heads, T, T), the first block first; token 0 is the class token, and each row
            adds up to 1.

    Returns:
        (N, T - 1) tensor: row 0 of the product of all (A + I) / 2, the last block at the left, where A is the mean of a
        block's attention over the heads; without its first entry.

    Leaves the attentions as they were.
    """
    ### BEGIN SOLUTION
    rollout = torch.eye(attentions[0].shape[-1]).to(attentions[0])
    for attention in attentions:
        mixed = (attention.mean(dim=1) + torch.eye(attention.shape[-1]).to(attention)) / 2
        rollout = mixed @ rollout
    return rollout[:, 0, 1:]
    ### END SOLUTION


# %% check="attention_rollout" points=2
checks.attention_rollout(attention_rollout)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.named import Named
from helpers.checks.problems import in_both_dtypes
from helpers.checks.state import Watched
from helpers.inside.emit import emit

attention_rollout = Watched(attention_rollout)


def drawn(seed, blocks, count, heads, tokens, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    scores = [3 * torch.randn(count, heads, tokens, tokens, generator=generator, dtype=dtype) for _ in range(blocks)]
    return [values.softmax(dim=-1) for values in scores]


def left_as_found(attentions):
    count = len(attentions)
    result = attention_rollout(attentions)
    left = Named({"the caller's attentions": attentions, "the caller's list": len(attentions) == count})
    return result, left, attention_rollout.left_torch


emit("several blocks", lambda: [attention_rollout(drawn(661, 3, 2, 4, 6)), attention_rollout(drawn(662, 5, 1, 2, 9))])
emit("one block, float32", lambda: attention_rollout(drawn(663, 1, 3, 3, 5, torch.float32)))
emit("the attentions' dtype", lambda: in_both_dtypes(attention_rollout, lambda dtype: [drawn(665, 2, 1, 2, 4, dtype)]))
emit("all left as found", lambda: left_as_found(drawn(664, 2, 2, 1, 4)))
### END HIDDEN TESTS

# %% figure="architectures"
robust = load_model("picturebook-robust", device="cpu")
five = trial[:5]


def patches(row, images):
    """Return values of the 64 patches, (N, 64), as maps of the images' size."""
    return strength(row.view(len(row), 1, 8, 8), images.shape[2:])


def maps_by(pictures):
    """Return the maps of both architectures, {name: (N, H, W)}."""
    images, labels = pictures.images, pictures.labels
    attentions = attentions_of(images, vit)
    return {
        "CNN, gradient": map_of("gradient", images, labels, book),
        "robust CNN, gradient": map_of("gradient", images, labels, robust),
        "transformer, gradient": map_of("gradient", images, labels, vit),
        "transformer, last attention": patches(attentions[-1].mean(dim=1)[:, 0, 1:], images),
        "transformer, rollout": patches(attention_rollout(attentions), images),
    }


plots.panels(
    [
        list(map(plots.picture, five.images, five.names)),
        *(list(map(plots.unsigned, maps)) for maps in maps_by(five).values()),
    ],
    names=["picture", *(name.replace(", ", ",\n") for name in maps_by(five))],
)

# %% figure="both"
contenders = blind_maps(trial.images) | maps_by(trial)
plots.bars(
    against_masks(contenders),
    ylabel=f"mean over {len(trial)} scenes, with its 95 % bootstrap interval",
    title="Grey: maps that have never seen a network",
    highlight=[name for name in contenders if "," in name],
    size=(12, 3.2),
)

# %% [markdown]
# What to see: the transformer's gradient comes in blocks. Those are its patches: a patch enters as a whole, and what lies
# in one patch gets its slopes through the same token. The last attention is bright on a few patches, on the background too:
# by then, a token has collected what it needs from others. Rollout puts that back where it came from. It matches the masks
# better than any other map on this page by IoU, and hits the object nearly always. Yet its energy is lower than that of the
# edges, since every patch keeps a share. And it has a flaw that no mask shows: **it knows no class**. Ask it about a cat or
# a car, the map is the same, as the formula tells: no score stands in it.
#
# The robust network's gradient lies a little better on the objects than that of `book` in all three measures, by differences
# about as large as the intervals are wide, which no single picture shows.
#
# ## 6.8 Why this class and not that one?
#
# A network calls a small cat a flower. Why? The map of *flower* shows all that raises *flower*, the cat's face perhaps,
# which raises *cat* even more. What you ask is why *flower* **and not** *cat*. So explain the difference
#
# $$d(x) = s_{\hat y}(x) - s_y(x) ,$$
#
# with $\hat y$ the wrong prediction and $y$ the true label. Here is a test of both maps that does not need your eyes:
# take the 2 % of the pixels that speak most for the mistake, turn them grey, and ask again. If the map has found what made
# the mistake, the network should come to its senses. Integrated gradients from grey are the method, since they are signed.
#
# **Predict first:** what happens if you turn 2 % of the pixels grey that speak most for *flower*, whatever they say to *cat*?

# %% figure="contrast"
wrong = mistakes(book, 60)
with torch.no_grad():
    mistaken = book(wrong.images).argmax(dim=1)


def difference(images, one, two, weight):
    """Return score `one` minus `weight` times score `two`, for each image."""
    scores = book(images)
    return (scores.gather(1, one[:, None]) - weight[:, None] * scores.gather(1, two[:, None]))[:, 0]


def way_from_grey(one, two, weight):
    """Return the integrated gradients of a difference, added up over the channels, (N, H, W)."""
    asked = (one, two, torch.full((len(one),), weight))
    result = attr.IntegratedGradients(difference).attribute(
        wrong.images, 0.5, additional_forward_args=asked, n_steps=16, method="riemann_middle"
    )
    return result.sum(dim=1).detach()


groups = {"named right now": {}, "named otherwise now": {}}
if attr:
    orders = {
        "random pixels": lambda: torch.rand(wrong.masks.shape, generator=torch.Generator().manual_seed(0)),
        "for the prediction": lambda: way_from_grey(mistaken, wrong.labels, 0.0),
        "for it and not the truth": lambda: way_from_grey(mistaken, wrong.labels, 1.0),
        "against the truth": lambda: -way_from_grey(wrong.labels, mistaken, 0.0),
    }
    for name in progress(orders, "explaining", "map"):
        with torch.no_grad():
            now = book(halfway(wrong.images, orders[name](), GREY, 0.02)).argmax(dim=1)
        groups["named right now"][name] = (now == wrong.labels).float().tolist()
        groups["named otherwise now"][name] = (now != mistaken).float().tolist()
plots.bars(
    groups,
    ylabel="share of 60 mistakes, with its 95 % bootstrap interval",
    title="2 % of the pixels turned grey: those that speak most ...",
    highlight=["for it and not the truth"],
    size=(9, 2.2),
) if attr else print("This figure needs Captum.")

# %% [markdown]
# What to see: grey on random pixels changes little. Grey on the pixels that speak most for the wrong class
# takes it away in most pictures, but what comes instead is seldom the truth: the network goes on to a third class, for those pixels spoke for
# the truth, too. Explain the **difference**, and the same number of pixels brings the truth back more than twice as often.
# Most of this comes from the second score: pixels that speak against the truth do no worse. So before you ask for a map of a
# mistake, say what you would have expected instead.

# %% [markdown]
# ## 6.9 Four claims to judge
#
# Each claim below is partly or wholly wrong. Say what holds, what does not, and why, in 3 to 6 sentences each.
#
# ### Claim 1: whatever passes the test is right (3 points)
#
# Hana runs the cascade on four methods. "The rank correlation of Grad-CAM falls to 0 with the first layer, that of guided
# backprop stays at 0.99. So Grad-CAM is a faithful method and guided backprop shows nothing about the network. And since
# the gradient keeps 0.4 to the end, four tenths of its map have nothing to do with what was learned." Judge the three
# conclusions.

# %% [markdown] question="q_passes" points=3 words=180
# ### BEGIN SOLUTION
# **Model answer.** Falling is necessary, and not sufficient. A map of noise that is drawn anew for each network falls to 0
# at once and explains nothing; Grad-CAM falls because its channel weights come from the last layer, and often because the
# map is empty. That is a good sign, no proof of faithfulness: it may still point to the wrong place. Guided backprop shows
# that it does not depend on the last layer. It does depend on the first ones, as the end of the cascade shows, so it
# shows something about the network: which edges its early layers see, not why it names a class. The 0.4 of the gradient
# is a rank correlation, no share of a map. Maps of two networks can agree in sizes for reasons that are not learned: both
# see the same picture, and slopes are larger where there are edges and active neurons, while the middle of the picture
# lies in more receptive fields. With signs, the correlation is about 0. What 0.4 is worth, tells a reference: maps of a
# second trained network.
#
# **Rubric.**
# - 1 point: passing is necessary, not sufficient (noise passes; or: empty maps pass; or: dependence is no faithfulness).
# - 1 point: guided backprop fails for the upper layers alone; it depends on the lower ones, or on the picture's edges
#   through the network.
# - 1 point: 0.4 is no share, with a reason: the common picture or architecture, signs dropped, or a reference that is
#   missing.
# ### END SOLUTION

# %% [markdown]
# ### Claim 2: a mask is the truth (3 points)
#
# Igor's new method has 95 % of its energy on the object, more than any other on the page. "So it is the most faithful map
# there is. On the stamped network, I take the mask of the boat, and there it has only 30 %: the method fails on that
# network." Judge both conclusions, and say what the masks of the picture book are good for.

# %% [markdown] question="q_mask" points=3 words=150
# ### BEGIN SOLUTION
# **Model answer.** Energy on the object measures agreement with what people call the object. A filter that finds objects,
# a trained segmenter for instance, would reach 95 % without ever seeing the network. Whether the map shows what **this**
# network uses, is open: a fish is its eye for the network, and a map of the whole fish is generous to it. For the stamped
# network the low number is the right answer: it reads the stamp, so a faithful map lies beside the boat, and 95 % there
# would be the failure. Masks are good for two things: with baselines, they tell whether a method finds more than blob and
# edges do; and where we know what the network reads (a planted cue, such as the stamp with its box), the mask of that cue
# **is** the truth about the network.
#
# **Rubric.**
# - 1 point: energy on the object measures agreement with the object, which a map that knows no network can have too.
# - 1 point: on the stamped network a faithful map must miss the boat; the low number speaks for the method.
# - 1 point: a use of masks: comparison with baselines, or the mask of a planted cue as truth about the network.
# ### END SOLUTION

# %% [markdown]
# ### Claim 3: the curve decides (3 points)
#
# Jin deletes pixels to grey in the order of two maps. "With map A the probability falls faster than with map B, so A has
# found what the network needs and B has not. And as random pixels make it fall nearly as fast, the network needs every
# pixel." Judge both conclusions, and name two changes of the experiment that would make it say more.

# %% [markdown] question="q_curve" points=3 words=150
# ### BEGIN SOLUTION
# **Model answer.** The fall has two causes: what was deleted, and what the deleting itself put there. Grey specks are
# something no training picture had, and a network may fail on them whatever they cover. That random pixels make it fall as
# well shows the second cause at work; it does not show that every pixel is needed: retrained on pictures with 70 %
# of their pixels taken out at random, a network named three quarters of them. So A may fall faster because its
# pixels lie scattered and make more specks, and B, in one blob, makes a smooth hole. Changes: another fill (a blurred copy
# or neighbours), and see whether A stays ahead; controls (random, edges, blob) in the same plot; insertion beside
# deletion; retraining on deleted pictures (ROAR); an interval over many pictures.
#
# **Rubric.**
# - 1 point: the deleted picture is unlike any training picture, so the fall mixes lost information with strange pixels.
# - 1 point: "needs every pixel" does not follow, with a reason: strange pixels, or retraining brings the accuracy back.
# - 1 point: two changes: other fill, controls, insertion, retraining, more pictures with intervals.
# ### END SOLUTION

# %% [markdown]
# ### Claim 4: the map has proved it, the loss has mended it (3 points)
#
# Kaya's network for X-rays has its brightest map on the hospital's mark. "That proves it reads the mark. I trained it with
# the right-reasons loss and the mark as mask; the gradient on the mark is zero now. So the network decides on medical
# grounds." Judge the proof and the last conclusion, and name a measurement for each.

# %% [markdown] question="q_mended" points=3 words=150
# ### BEGIN SOLUTION
# **Model answer.** The map is a hint, no proof: `book`, which does not mind the stamp, has its largest gradient on it in
# most pictures too, because it has strong edges. The proof is a counterfactual: paste the mark on pictures of healthy
# people, take it off those of ill ones, with a grey label or another corner as control, and see whether the answers
# follow it. After training, a gradient of zero says that **small** changes of the mark move nothing. Removing it is a large
# change, and a saturated network can hang on a mark with slope zero. So measure again: the answers with and without the
# mark. Even if they no longer depend on it, nothing says that the new reasons are medical: the loss forbids one reason and
# teaches no other. Another mark, the age of the machine, say, may have taken its place: look at the maps again, and test
# on pictures from another hospital.
#
# **Rubric.**
# - 1 point: the map is no proof, **and** a counterfactual with a control is.
# - 1 point: a zero gradient concerns small changes (or saturation); the answers with and without the mark decide.
# - 1 point: forbidding one reason does not make the others right; a way to find out (maps again, another hospital).
# ### END SOLUTION

# %% [markdown]
# ## Check yourself
#
# Six questions, as often as you like; nothing is recorded.

# %% local
# @title Quiz
from helpers.widgets import quiz

quiz("06_trust")

# %% [markdown]
# ## Recap
#
# - A test is worth something if a map can fail it. Looking right is no such test.
# - Randomise: a map that stays when the weights go, has not shown what was learned. One that goes may still be wrong.
# - Say what you compare: sizes or signs, and against which reference. Another trained network is one.
# - Against masks, show blob and edges beside your method. A mask is the truth about the picture, not about the network.
# - Deleting pixels makes pictures that no training ever showed. Use several fills, controls, and retrain where you can.
# - A network can pass its test for the wrong reason. Maps give the hint; pictures that differ in the cue alone prove it.
#
# ## Further reading
#
# - Adebayo and others 2018, [arXiv:1810.03292](https://arxiv.org/abs/1810.03292): section 3 on weights, section 4 on
#   labels. Binder and others 2023, *Shortcomings of Top-Down Randomization-Based Sanity Checks*,
#   [arXiv:2211.12486](https://arxiv.org/abs/2211.12486), and Yona, Greenfeld 2021, *Revisiting Sanity Checks for Saliency
#   Maps*, [arXiv:2110.14297](https://arxiv.org/abs/2110.14297): what the test does not show.
# - Zhang and others 2018, *Top-Down Neural Attention by Excitation Backprop*,
#   [arXiv:1608.00507](https://arxiv.org/abs/1608.00507): the pointing game. Wang and others 2020, *Score-CAM*,
#   [arXiv:1910.01279](https://arxiv.org/abs/1910.01279): the energy-based pointing game.
# - Hooker and others 2019, *A Benchmark for Interpretability Methods in Deep Neural Networks*,
#   [arXiv:1806.10758](https://arxiv.org/abs/1806.10758): ROAR. Rong and others 2022, *A Consistent and Efficient Evaluation
#   Strategy for Attribution Methods*, [arXiv:2202.00449](https://arxiv.org/abs/2202.00449): ROAD.
# - Lapuschkin and others 2019, *Unmasking Clever Hans Predictors*, [arXiv:1902.10178](https://arxiv.org/abs/1902.10178).
#   Kirichenko, Izmailov, Wilson 2023, *Last Layer Re-Training is Sufficient for Robustness to Spurious Correlations*,
#   [arXiv:2204.02937](https://arxiv.org/abs/2204.02937).
# - Abnar, Zuidema 2020, *Quantifying Attention Flow in Transformers*,
#   [arXiv:2005.00928](https://arxiv.org/abs/2005.00928): section 3 on rollout. Dosovitskiy and others 2021,
#   [arXiv:2010.11929](https://arxiv.org/abs/2010.11929): the vision transformer.

# %% [markdown] mistakes="randomise_layers"
# = twin = copy.deepcopy(model)
#
# + twin = model
# You shuffle the weights of the model that was passed in: `twin = model` is another name for it, no copy. Begin with
# copy.deepcopy(model).
# ~ a name is no copy
#
# = layers = [module for module in twin.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
#
# + layers = [module for module in twin.modules() if isinstance(module, nn.Conv2d)]
# You shuffle convolutions only. Linear layers are layers with weights, too: test for (nn.Conv2d, nn.Linear).
# ~ linear layers are left out
#
# + blocks = [module for block in twin.network.children() for module in (block, *block.children())]
# + layers = [module for module in blocks if isinstance(module, (nn.Conv2d, nn.Linear))]
# You miss the layers inside nested blocks. Walk the whole tree with twin.modules().
# ~ inside nested blocks
#
# + layers = [module for module in twin.modules() if list(module.parameters(recurse=False))]
# You count every module with weights, BatchNorm included. The layers are those of type nn.Conv2d and nn.Linear.
# ~ no convolution and no linear layer
#
# = for k, layer in enumerate(layers[::-1][:count]):
#
# + for k, layer in enumerate(reversed(layers[-count:])):
# For a count of 0 you shuffle all layers: layers[-0:] is the whole list. Turn the list round and take [:count].
# ~ the whole list
#
# + for k, layer in enumerate(layers[:count]):
# You begin at the input. The cascade begins at the last layer and goes down: turn the list round.
# ~ starts at the input
#
# + for k, layer in list(enumerate(layers[::-1]))[count - 1 : count]:
# You shuffle one layer alone. The cascade shuffles that layer and all after it.
# ~ one layer alone
#
# + for k, layer in enumerate(layers[len(layers) - count :]):
# You count k from the first of the shuffled layers. It is 0 at the last layer, so that a layer is always shuffled in
# the same way, however far the cascade goes.
# ~ counts from the other side
#
# = generator = torch.Generator().manual_seed(seed + k)
#
# + generator = torch.Generator().manual_seed(seed)
# Every layer gets the same seed. The layer k from the end has a generator seeded with seed + k.
# ~ the same seed
#
# + generator = torch.manual_seed(seed + k)
# You seed torch's own random numbers, so that whatever is drawn after your call is no longer random. Make a
# torch.Generator() and seed that.
# ~ `torch.manual_seed(
#
# + generator = None
# You draw the order without a seeded generator: every call gives another network, and nobody can repeat it. Give
# shuffled a torch.Generator() with the seed.
# ~ drawn without a generator
#
# = for k, layer in enumerate(layers[::-1][:count]):
# = generator = torch.Generator().manual_seed(seed + k)
# + generator = torch.Generator().manual_seed(seed)
# + for k, layer in enumerate(layers[::-1][:count]):
# One generator serves all layers, one after the other. Each layer has one of its own, seeded with seed + k.
# ~ one generator serves all
#
# = for parameter in layer.parameters():
# = parameter.data = shuffled(parameter.data, generator)
#
# + layer.weight.data = shuffled(layer.weight.data, generator)
# You shuffle weights and leave the biases. Go through layer.parameters(), which has both.
# ~ the bias is left out
#
# + for name, parameter in list(layer.named_parameters()):
# +     setattr(layer, name, nn.Parameter(shuffled(parameter.data, generator)))
# The values are right, but a new nn.Parameter requires a gradient, and so the copy of a frozen network is no longer
# frozen. Write into parameter.data.
# ~ requires a gradient
#
# + for parameter in layer.parameters():
# +     parameter.data = torch.randn(parameter.shape, generator=generator).to(parameter) * parameter.std()
# You draw new weights. Here the old ones are kept and change places, by `shuffled`: their size stays what it was.
# ~ drawn anew


# %% mutant="randomise_layers" says="You count weights and biases one by one, so that a layer counts twice. Take layers as they come from modules(), and shuffle all of a layer." visible="Does a weight count as a layer?"
def randomise_layers(model, count, seed):
    twin = copy.deepcopy(model)
    layers = [module for module in twin.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    for k, parameter in enumerate(parameters[::-1][:count]):
        parameter.data = shuffled(parameter.data, torch.Generator().manual_seed(seed + k))
    return twin


# %% variant="randomise_layers"
def randomise_layers(model, count, seed):
    twin = copy.deepcopy(model)
    layers = [module for module in twin.modules() if type(module) in (nn.Conv2d, nn.Linear)]
    for k in range(count):
        layer, generator = layers[-1 - k], torch.Generator().manual_seed(seed + k)
        with torch.no_grad():
            layer.weight.copy_(shuffled(layer.weight, generator))
            if layer.bias is not None:
                layer.bias.copy_(shuffled(layer.bias, generator))
    return twin


# %% variant="randomise_layers"
def randomise_layers(model, count, seed):
    result = copy.deepcopy(model)
    found = []
    for module in result.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            found.insert(0, module)
    k = 0
    while k < count:
        generator = torch.Generator()
        generator.manual_seed(seed + k)
        for values in found[k].parameters():
            flat = values.detach().reshape(-1)
            values.data = flat[torch.randperm(len(flat), generator=generator)].reshape(values.shape).clone()
        k += 1
    return result


# %% variant="randomise_layers"
def randomise_layers(model, count, seed):
    paths = [path for path, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    state = {name: values.clone() for name, values in model.state_dict().items()}
    for k, path in enumerate(reversed(paths)):
        if k < count:
            generator = torch.Generator().manual_seed(seed + k)
            for part in ("weight", "bias"):
                if f"{path}.{part}" in state:
                    state[f"{path}.{part}"] = shuffled(state[f"{path}.{part}"], generator)
    twin = copy.deepcopy(model)
    twin.load_state_dict(state)
    return twin


# %% variant="randomise_layers"
def randomise_layers(model, count, seed):
    if count == 0:
        return copy.deepcopy(model)
    twin = randomise_layers(model, count - 1, seed)
    layers = [module for module in twin.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    generator = torch.Generator().manual_seed(seed + count - 1)
    for _, parameter in layers[-count].named_parameters():
        parameter.data.copy_(shuffled(parameter.data.clone(), generator))
    return twin


# %% [markdown] mistakes="rank_correlation"
# = ordered = values.sort(dim=1).values
# = less, not_more = torch.searchsorted(ordered, values), torch.searchsorted(ordered, values, right=True)
# = ranks = (less + not_more + 1).double() / 2
#
# + ranks = values.double()
# You correlate the values themselves, which is Pearson's coefficient. Turn them into ranks first.
# ~ turn them into ranks
#
# + ranks = values.argsort(dim=1).double()
# argsort gives the places of the sorted values, not the rank of each value. Ask how many values are less.
# ~ places, not ranks
#
# + ranks = values.argsort(dim=1, stable=True).argsort(dim=1).double()
# Your ranks are right where no values are equal. Equal values share the mean of their ranks; argsort twice ranks them in
# the order in which they stand.
# ~ in which they stand
#
# = ranks = (less + not_more + 1).double() / 2
#
# + ranks = less.double() + 1
# Equal values get the least of the ranks that they take up. They share the mean: halfway between less and less or equal.
# ~ the least of their ranks
#
# + ranks = torch.stack([row.unique(return_inverse=True)[1] for row in values]).double()
# You give equal values one rank and go on with the next number. They share the mean of the ranks that they take up.
# ~ count once
#
# = values = maps.flatten(1).contiguous()
#
# + values = maps.abs().flatten(1).contiguous()
# You rank absolute values, so that strongly negative counts as high. The sign belongs to the order.
# ~ Are absolute values taken?
#
# + values = maps.flatten()[None].contiguous()
# You rank the whole batch in one order, and get one number for all pairs. Each map has ranks of its own: flatten(1).
# ~ found:        shape (1,)
#
# = return ranks - ranks.mean(dim=1, keepdim=True)
# + return ranks
# You leave the mean in the ranks. Take it away first, or two maps that have nothing in common look alike.
# ~ Are they centred?
#
# = return ((u * v).sum(dim=1) / lengths.clamp(min=1e-9)).to(a.dtype)
#
# + return ((u * v).sum(dim=1) / lengths).to(a.dtype)
# A map of one value gives NaN: its centred ranks have length 0. Return 0 for such a pair.
# ~ 0 divided by 0
#
# + return ((u * v).sum(dim=1) / lengths.clamp(min=1e-9)).abs().to(a.dtype)
# You drop the sign of the correlation. A reversed order is -1, not 1.
# ~ sign included
#
# + return (u * v).mean(dim=1).to(a.dtype)
# You return the covariance of the ranks. Divide by the lengths of both, and the result lies between -1 and 1.
# ~ divided by what?
#
# + return (u * v).sum(dim=1) / lengths.clamp(min=1e-9)
# The numbers are right, but in float64 whatever the maps are. Return them in the dtype of the maps.
# ~ found:        a torch.float64 tensor
#
# + return ((u * v).sum(dim=1) / lengths.clamp(min=1e-9)).mean().to(a.dtype)
# You average over the pairs. Return one number for each pair.
# ~ one number for each pair of maps


# %% mutant="rank_correlation" says="You use the short formula with squared differences of ranks, which holds only where no values are equal. Take the correlation of the ranks." visible="found:        -0.6"
def rank_correlation(a, b):
    def ranks(maps):
        values = maps.flatten(1)
        less = (values[:, None, :] < values[:, :, None]).sum(dim=2)
        equal = (values[:, None, :] == values[:, :, None]).sum(dim=2)
        return less + (equal + 1).to(a.dtype) / 2

    u, v = ranks(a), ranks(b)
    n = u.shape[1]
    rho = 1 - 6 * ((u - v) ** 2).sum(dim=1) / (n * (n**2 - 1))
    constant = (u.std(dim=1) == 0) | (v.std(dim=1) == 0)
    return torch.where(constant, 0, rho)


# %% variant="rank_correlation"
from scipy.stats import rankdata


def rank_correlation(a, b):
    rows = []
    for one, two in zip(a.flatten(1).numpy(), b.flatten(1).numpy()):
        u, v = rankdata(one), rankdata(two)
        u, v = u - u.mean(), v - v.mean()
        length = ((u**2).sum() * (v**2).sum()) ** 0.5
        rows.append(0.0 if length == 0 else (u * v).sum() / length)
    return torch.tensor(rows, dtype=a.dtype)


# %% variant="rank_correlation"
def rank_correlation(a, b):
    def ranks(values):
        _, which, counts = values.flatten().double().unique(return_inverse=True, return_counts=True)
        last = counts.cumsum(0).double()
        return (last - (counts - 1) / 2)[which]

    result = []
    for one, two in zip(a, b):
        pair = torch.stack([ranks(one), ranks(two)])
        result.append(torch.corrcoef(pair)[0, 1].nan_to_num(0))
    return torch.stack(result).to(a.dtype)


# %% variant="rank_correlation"
def rank_correlation(a, b):
    def ranks(maps):
        values = maps.reshape(len(maps), -1)
        first = values.argsort(dim=1).argsort(dim=1).double()
        for row, places in zip(values, first):
            for value in row.unique():
                same = row == value
                places[same] = places[same].mean()
        return first

    u, v = ranks(a), ranks(b)
    u, v = u - u.mean(1, True), v - v.mean(1, True)
    return F.cosine_similarity(u, v, dim=1).to(a.dtype)


# %% variant="rank_correlation"
def rank_correlation(a, b):
    def signs(maps):
        values = maps.flatten(1)
        return torch.stack([(row[:, None] - row).sign().sum(dim=1) for row in values]).double()

    u, v = signs(a), signs(b)
    lengths = (u**2).sum(1).sqrt() * (v**2).sum(1).sqrt()
    rho = torch.zeros_like(lengths)
    defined = lengths > 0
    rho[defined] = (u * v).sum(1)[defined] / lengths[defined]
    return rho.to(a.dtype)


# %% [markdown] mistakes="pointing_game"
# = largest = maps == maps.amax(dim=(1, 2), keepdim=True)
#
# + largest = maps == maps.amax()
# You look for the largest value of the whole batch, and most maps have none. Each map has its own: amax over dim (1, 2).
# ~ or of the batch
#
# + largest = maps == maps.amax(dim=1, keepdim=True)
# You take the largest value of each column. A map has one largest value: amax over dim (1, 2).
# ~ a row, a column
#
# + largest = maps == maps.amin(dim=(1, 2), keepdim=True)
# You look for the smallest value. The map points with its largest one.
# ~ the smallest value
#
# + largest = maps.abs() == maps.abs().amax(dim=(1, 2), keepdim=True)
# You take absolute values. The largest value counts, sign included.
# ~ sign included
#
# + largest = maps >= 0.95 * maps.amax(dim=(1, 2), keepdim=True)
# You count pixels that are nearly as large. Only those that equal the largest value point.
# ~ Is exactly the largest value meant?
#
# + flat = maps.flatten(1)
# + largest = F.one_hot(flat.argmax(dim=1), flat.shape[1]).view_as(maps).bool()
# argmax picks the first of several largest pixels, so that a map of zeros points to the corner. Count all pixels that
# have the largest value.
# ~ `argmax` picks one
#
# = hits = (largest & masks).sum(dim=(1, 2))
#
# + hits = (largest & ~masks).sum(dim=(1, 2))
# You count the pixels beside the object. A hit lies on the mask.
# ~ the mask is turned round
#
# = return hits.to(maps.dtype) / largest.sum(dim=(1, 2))
#
# + return (hits > 0).to(maps.dtype)
# One largest pixel on the object makes a full hit for you, even if as large ones lie beside it. Return the share of the
# largest pixels that lies on the mask.
# ~ any hit counts as a whole one
#
# + return hits.to(maps.dtype) / masks.sum(dim=(1, 2))
# You divide by the size of the mask. Divide by the number of pixels that have the largest value.
# ~ the size of the mask
#
# + return (hits.to(maps.dtype) / largest.sum(dim=(1, 2))).mean()
# You return the mean over all maps. Return one number for each map, so that its spread can be told.
# ~ one number for each map
#
# + maps.clamp_(min=0)
# + return hits.to(maps.dtype) / largest.sum(dim=(1, 2))
# The scores are right, but clamp_ has changed the caller's maps. Leave it out: the largest value needs no clamp.
# ~ an operation in place


# %% variant="pointing_game"
def pointing_game(maps, masks):
    scores = []
    for values, mask in zip(maps, masks):
        on = mask[values == values.max()]
        scores.append(on.to(maps.dtype).mean())
    return torch.stack(scores)


# %% variant="pointing_game"
def pointing_game(maps, masks):
    flat, inside = maps.flatten(1), masks.flatten(1)
    top = flat.max(dim=1, keepdim=True).values
    largest = flat.eq(top).to(maps.dtype)
    return (largest * inside).sum(dim=1) / largest.sum(dim=1)


# %% variant="pointing_game"
def pointing_game(maps, masks):
    top = maps.amax((-2, -1))[:, None, None]
    on = torch.count_nonzero((maps == top) & masks, dim=(1, 2))
    beside = torch.count_nonzero((maps == top) & ~masks, dim=(1, 2))
    return (on / (on + beside)).to(maps.dtype)


# %% variant="pointing_game"
def pointing_game(maps, masks):
    result = maps.new_zeros(len(maps))
    for i in range(len(maps)):
        rows, columns = torch.where(maps[i] == maps[i].amax())
        result[i] = masks[i, rows, columns].float().mean().to(maps.dtype) if maps.dtype == torch.float32 else (
            masks[i, rows, columns].double().mean()
        )  # fmt: skip
    return result


# %% [markdown] mistakes="energy_inside"
# = whole = maps.sum(dim=(1, 2))
#
# + whole = maps.sum()
# You divide by the sum of the whole batch. Each map has a sum of its own: sum over dim (1, 2).
# ~ of each map, or of the batch
#
# + whole = (maps * ~masks).sum(dim=(1, 2))
# You divide what lies on the mask by what lies beside it. The energy is a share: divide by the sum of the whole map.
# ~ the sum beside it
#
# + whole = masks.sum(dim=(1, 2))
# You divide by the size of the mask, which gives the mean of the map there. Divide by the sum of the map.
# ~ divided by the size of the mask
#
# + maps = maps - maps.amin(dim=(1, 2), keepdim=True)
# + whole = maps.sum(dim=(1, 2))
# You take the smallest value of each map away first. This changes the shares; keep the values.
# ~ the smallest value is taken away
#
# = inside = (maps * masks).sum(dim=(1, 2))
#
# + inside = (maps * ~masks).sum(dim=(1, 2))
# You measure the share beside the object. Multiply by the mask as it is.
# ~ the mask is turned round
#
# + maps = maps**2
# + whole, inside = maps.sum(dim=(1, 2)), (maps * masks).sum(dim=(1, 2))
# You square the map, so that its brightest pixels count for more. The energy adds the values up as they are.
# ~ values are squared
#
# + maps = (maps > 0).to(maps.dtype)
# + whole, inside = maps.sum(dim=(1, 2)), (maps * masks).sum(dim=(1, 2))
# You count the pixels that are not 0. The energy adds up values.
# ~ pixels are counted
#
# = return torch.where(whole > 0, inside / whole, masks.to(maps.dtype).mean(dim=(1, 2)))
#
# + return inside / whole
# A map of zeros gives NaN: 0 divided by 0. Give it the share of the picture that the mask covers.
# ~ 0 divided by 0
#
# + return torch.where(whole > 0, inside / whole, 0)
# A map of zeros gets 0, as if it had pointed beside the object. It says nothing, so give it what an even map has: the
# share of the picture that the mask covers.
# ~ Which sum is divided by which?
#
# + energy = torch.where(whole > 0, inside / whole, masks.to(maps.dtype).mean(dim=(1, 2)))
# + return energy / masks.to(maps.dtype).mean(dim=(1, 2))
# You divide the energy by the share that the mask covers, which is another measure. Return the energy itself.
# ~ the size of the mask must not matter
#
# + return torch.where(whole > 0, inside / whole, masks.to(maps.dtype).mean(dim=(1, 2))).mean()
# You return the mean over all maps. Return one number for each map, so that its spread can be told.
# ~ one number for each map
#
# + maps /= maps.sum(dim=(1, 2), keepdim=True).clamp(min=1e-12)
# + return torch.where(whole > 0, inside / whole, masks.to(maps.dtype).mean(dim=(1, 2)))
# The numbers are right, but you have rescaled the caller's maps. Divide into a tensor of your own.
# ~ an operation in place


# %% variant="energy_inside"
def energy_inside(maps, masks):
    even = torch.ones_like(maps)
    maps = torch.where((maps == 0).all(dim=2).all(dim=1)[:, None, None], even, maps)
    return torch.einsum("nij,nij->n", maps, masks.to(maps.dtype)) / torch.einsum("nij->n", maps)


# %% variant="energy_inside"
def energy_inside(maps, masks):
    result = []
    for values, mask in zip(maps, masks):
        if values.sum() == 0:
            result.append(mask.sum().to(maps.dtype) / mask.numel())
        else:
            result.append(values[mask].sum() / values.sum())
    return torch.stack(result)


# %% variant="energy_inside"
def energy_inside(maps, masks):
    flat, inside = maps.flatten(1), masks.flatten(1)
    empty = ~flat.any(dim=1, keepdim=True)
    flat = flat + empty
    return flat.masked_fill(~inside, 0).sum(1) / flat.sum(1)


# %% variant="energy_inside"
def energy_inside(maps, masks):
    whole = maps.sum(dim=(1, 2))
    share = (maps * masks).sum(dim=(1, 2)) / whole.clamp(min=1e-12)
    covered = masks.sum(dim=(1, 2)) / masks[0].numel()
    share[whole == 0] = covered.to(maps.dtype)[whole == 0]
    return share


# %% [markdown] mistakes="deletion_curve"
# = pixels = maps[0].numel()
# + pixels, fill = maps[0].numel(), fill[..., :1, :1]
# You fill with one colour, that of the first pixel of the fill. The fill may be a picture: each pixel gets its own value.
# ~ Is one value of the fill taken
#
# = place = maps.flatten(1).argsort(dim=1, descending=True).argsort(dim=1).view_as(maps)
#
# + place = maps.flatten(1).argsort(dim=1).argsort(dim=1).view_as(maps)
# You delete the darkest pixels first. The map claims that its brightest pixels matter: sort with descending=True.
# ~ the darkest pixels go first
#
# + place = maps.flatten(1).argsort(dim=1, descending=True).view_as(maps)
# argsort once tells which pixel is the k-th. You need to know for each pixel the how-many-th it is: argsort the result
# again.
# ~ `argsort` once
#
# + place = maps.abs().flatten(1).argsort(dim=1, descending=True).argsort(dim=1).view_as(maps)
# You sort by absolute values. The largest values go first, sign included: whoever wants sizes, passes sizes.
# ~ `abs`
#
# + place = maps[:1].flatten(1).argsort(dim=1, descending=True).argsort(dim=1).view_as(maps[:1])
# All images lose the pixels of the first map. Each image has a map of its own.
# ~ the pixels of the first map
#
# = for k in range(steps + 1):
#
# + for k in range(steps):
# Your curve has a point too few: from nothing deleted to all deleted, S steps have S + 1 points.
# ~ wanted:       shape (3, 2)
#
# + for k in range(1, steps + 2):
# Your curve begins after the first step. The first point is the image as it is.
# ~ How many points are there
#
# = deleted = place < k * pixels // steps
#
# + deleted = place < k * (pixels // steps)
# You round the number of pixels of a step, and the error adds up: in the end, some pixels are left. Take k * pixels //
# steps.
# ~ How many points are there
#
# + deleted = place < -(-k * pixels // steps)
# You round the number of deleted pixels up. Round it down: k * pixels // steps.
# ~ rounded up
#
# + deleted = place >= k * pixels // steps
# You begin with everything deleted and bring pixels back: this is insertion. For deletion, the first pixels in the order
# are the ones that go.
# ~ runs the other way
#
# = probabilities = model(torch.where(deleted[:, None], fill, images)).softmax(dim=1)
#
# + probabilities = model(torch.where(deleted[:, None], fill, images))
# You return scores. The curve shows probabilities: a softmax over the classes is missing.
# ~ after a softmax
#
# + probabilities = model(torch.where(deleted[:, None], fill, images)).log_softmax(dim=1)
# You return logarithms of probabilities. Leave the logarithm out.
# ~ logarithms
#
# + probabilities = model(torch.where(deleted[:, None], fill, images)).softmax(dim=0)
# Your softmax runs over the images of the batch (dim 0). Run it over the classes (dim 1).
# ~ Is it the softmax over the classes?
#
# + probabilities = model(images * ~deleted[:, None]).softmax(dim=1)
# You make deleted pixels black. They get the values of the fill.
# ~ the fill's own values
#
# + probabilities = model(torch.where(deleted[:, None], fill.mean(), images)).softmax(dim=1)
# You fill with the mean of the fill. Each pixel and channel gets the fill's own value there.
# ~ the fill's own values
#
# + images[:] = torch.where(deleted[:, None], fill, images)
# + probabilities = model(images).softmax(dim=1)
# Your curves are right, but you have deleted the pixels in the caller's images. Make each step in a tensor of its own.
# ~ other values in `images`
#
# = curve.append(probabilities.gather(1, labels[:, None]))
#
# + curve.append(probabilities.amax(dim=1, keepdim=True))
# You follow the class that is predicted at each step. Follow the label that is given.
# ~ the predicted classes
#
# = return torch.cat(curve, dim=1)
#
# + return torch.cat(curve, dim=1).mean(dim=1)
# You return the mean of each curve. Return the curves; the mean is taken later.
# ~ one axis too few


# %% mutant="deletion_curve" says="You put the model into training mode: Dropout then mixes chance into every probability, and BatchNorm the other images of the batch. Leave it in eval mode." visible="training mode"
def deletion_curve(images, labels, model, maps, fill, steps):
    model.train()
    pixels = maps[0].numel()
    place = maps.flatten(1).argsort(dim=1, descending=True).argsort(dim=1).view_as(maps)
    curve = []
    with torch.no_grad():
        for k in range(steps + 1):
            changed = torch.where((place < k * pixels // steps)[:, None], fill, images)
            curve.append(model(changed).softmax(dim=1).gather(1, labels[:, None]))
    return torch.cat(curve, dim=1)


# %% variant="deletion_curve"
def deletion_curve(images, labels, model, maps, fill, steps):
    count, _, height, width = images.shape
    order = maps.reshape(count, -1).sort(dim=1, descending=True).indices
    fill = fill.expand_as(images).flatten(2)
    points = []
    for k in range(steps + 1):
        changed = images.clone().flatten(2)
        for i in range(count):
            gone = order[i, : k * height * width // steps]
            changed[i, :, gone] = fill[i, :, gone]
        with torch.no_grad():
            p = F.softmax(model(changed.view_as(images)), dim=-1)
        points.append(p[torch.arange(count), labels])
    return torch.stack(points, dim=1)


# %% variant="deletion_curve"
@torch.no_grad()
def deletion_curve(images, labels, model, maps, fill, steps):
    total = maps.shape[1] * maps.shape[2]
    gone = torch.zeros_like(maps, dtype=torch.bool).flatten(1)
    order = torch.argsort(-maps.flatten(1), dim=1)
    curves = images.new_empty(len(images), steps + 1)
    for k in range(steps + 1):
        gone.scatter_(1, order[:, : (k * total) // steps], True)
        keep = (~gone).view(len(maps), 1, *maps.shape[1:]).to(images.dtype)
        scores = model(keep * images + (1 - keep) * fill)
        curves[:, k] = (scores.gather(1, labels[:, None])[:, 0] - scores.logsumexp(dim=1)).exp()
    return curves


# %% variant="deletion_curve"
def deletion_curve(images, labels, model, maps, fill, steps):
    height, width = maps.shape[1:]
    fill = torch.broadcast_to(fill, images.shape)
    curves = []
    for i in range(len(images)):
        ordered = maps[i].flatten().sort(descending=True).values
        stages = []
        for k in range(steps + 1):
            number = k * height * width // steps
            deleted = maps[i] >= ordered[number - 1] if number else torch.zeros_like(maps[i], dtype=torch.bool)
            stages.append(torch.where(deleted, fill[i], images[i]))
        p = model(torch.stack(stages)).softmax(dim=1)[:, labels[i]]
        curves.append(p.detach())
    return torch.stack(curves)


# %% variant="deletion_curve"
def deletion_curve(images, labels, model, maps, fill, steps):
    n = len(images)
    place = (-maps).flatten(1).argsort(1).argsort(1).view(1, n, 1, *maps.shape[1:])
    numbers = torch.tensor([k * maps[0].numel() // steps for k in range(steps + 1)], device=images.device)
    stages = torch.where(place < numbers.view(-1, 1, 1, 1, 1), fill.expand_as(images), images)
    scores = model(stages.flatten(0, 1)).detach()
    p = scores.softmax(1).gather(1, labels.repeat(steps + 1)[:, None])
    return p.view(steps + 1, n).T.contiguous()


# %% [markdown] mistakes="right_reasons_loss"
# = total = scores.log_softmax(dim=1).sum()
#
# + total = scores.log_softmax(dim=1).gather(1, labels[:, None]).sum()
# You punish slopes of the label's log-probability alone. Add the log-probabilities of all classes up: no class may hang
# on the marked pixels.
# ~ the label alone
#
# + total = scores.sum()
# You punish slopes of the scores. The paper takes log-probabilities: log_softmax first.
# ~ the sum of the scores
#
# = (slopes,) = torch.autograd.grad(total, pixels, create_graph=True)
#
# + (slopes,) = torch.autograd.grad(total, pixels, retain_graph=True)
# The number is right, but its penalty cannot be trained: the gradient was taken without create_graph=True, and is a
# constant to autograd.
# ~ create_graph=True
#
# + total.backward(create_graph=True)
# + slopes = pixels.grad
# The loss is right, but .backward() also wrote into .grad of the parameters. Ask for the gradient at the pixels alone,
# with torch.autograd.grad.
# ~ parameters' .grad
#
# = wrong = (slopes * masks[:, None]) ** 2
#
# + wrong = (slopes * ~masks[:, None]) ** 2
# You punish slopes beside the mask. It marks the pixels on which no answer may hang.
# ~ the mask is turned round
#
# + wrong = slopes**2
# You punish slopes at all pixels. Only those on the mask are wrong.
# ~ the mask is not used
#
# + wrong = (slopes * masks[:, None]).abs()
# You take absolute values of the slopes. The penalty has their squares.
# ~ absolute values
#
# + wrong = (slopes * masks[:, None]).sum(dim=(1, 2, 3)) ** 2
# You add the slopes up before you square them, so that those of opposite signs cancel. Square each one.
# ~ a sum before the square
#
# = return F.cross_entropy(scores, labels) + strength * wrong.sum() / len(images)
#
# + return F.cross_entropy(scores, labels) + strength * wrong.sum()
# You add the penalties of the images up. Take their mean, as with the cross-entropy.
# ~ a sum over the images
#
# + return F.cross_entropy(scores, labels) + strength * wrong.mean()
# You average the squares over pixels and channels as well, which makes the penalty thousands of times weaker. Add them
# up for each image, and average over the images.
# ~ a mean over the pixels
#
# + return F.cross_entropy(scores, labels) + wrong.sum() / len(images)
# You leave the strength out. Multiply the penalty by it.
# ~ found:
#
# + return F.cross_entropy(scores, labels, reduction="sum") + strength * wrong.sum() / len(images)
# You add the cross-entropies up. Take their mean over the batch, which F.cross_entropy does by itself.
# ~ take their mean
#
# + return F.cross_entropy(scores.softmax(dim=1), labels) + strength * wrong.sum() / len(images)
# You put probabilities into F.cross_entropy, which takes raw scores: it has a softmax of its own.
# ~ a softmax before
#
# + return strength * wrong.sum() / len(images)
# The cross-entropy is missing, so that nothing is left to learn the labels. Add it.
# ~ the cross-entropy is missing
#
# + return F.cross_entropy(scores, labels) + strength * wrong.sum().sqrt() / len(images)
# You take the root of the sum of squares. The penalty is the sum of squares itself.
# ~ Over what is summed
#
# + return (F.cross_entropy(scores, labels) + strength * wrong.sum() / len(images)).detach()
# You cut the loss off from its graph, and nothing can be trained by it. Leave detach out.
# ~ `.detach()`


# %% variant="right_reasons_loss"
def right_reasons_loss(images, labels, masks, model, strength):
    pixels = images.clone().requires_grad_(True)
    log_p = F.log_softmax(model(pixels), dim=-1)
    slopes = torch.autograd.grad(log_p, pixels, grad_outputs=torch.ones_like(log_p), create_graph=True)[0]
    penalty = (slopes.pow(2) * masks.unsqueeze(1)).flatten(1).sum(dim=1).mean()
    return F.nll_loss(log_p, labels) + strength * penalty


# %% variant="right_reasons_loss"
def right_reasons_loss(images, labels, masks, model, strength):
    answer, reason = 0, 0
    for image, label, mask in zip(images, labels, masks):
        pixels = image.detach()[None].clone().requires_grad_()
        log_p = model(pixels)[0].log_softmax(dim=0)
        slopes = torch.autograd.grad(log_p.sum(), pixels, create_graph=True)[0][0]
        answer = answer - log_p[label]
        reason = reason + slopes[:, mask].square().sum()
    return (answer + strength * reason) / len(images)


# %% variant="right_reasons_loss"
def right_reasons_loss(images, labels, masks, model, strength):
    def total(x):
        return torch.log_softmax(model(x[None])[0], dim=0).sum()

    slopes = torch.func.vmap(torch.func.grad(total))(images)
    wrong = torch.where(masks[:, None], slopes, 0).square().sum()
    return F.cross_entropy(model(images), labels, reduction="mean") + strength * wrong / len(images)


# %% variant="right_reasons_loss"
def right_reasons_loss(images, labels, masks, model, strength):
    pixels = images.detach().requires_grad_()
    scores = model(pixels)
    spread = scores.sum() - scores.shape[1] * scores.logsumexp(dim=1).sum()
    (slopes,) = torch.autograd.grad(spread, [pixels], create_graph=True)
    wrong = torch.einsum("nchw,nhw->", slopes**2, masks.to(slopes.dtype))
    right = (scores.logsumexp(dim=1) - scores.gather(1, labels[:, None])[:, 0]).mean()
    return right + wrong * (strength / len(labels))


# %% [markdown] mistakes="attention_rollout"
# = mixed = (attention.mean(dim=1) + torch.eye(attention.shape[-1]).to(attention)) / 2
#
# + mixed = attention.mean(dim=1)
# You leave out the connection around the attention. Half of a token passes it by: take (A + I) / 2.
# ~ the connection around
#
# + mixed = attention.mean(dim=1) + torch.eye(attention.shape[-1]).to(attention)
# Your rows no longer add up to 1: A + I is not divided by 2.
# ~ not divided by 2
#
# + mixed = (attention.amax(dim=1) + torch.eye(attention.shape[-1]).to(attention)) / 2
# You take the largest of the heads. Here the heads are averaged.
# ~ the largest of the heads
#
# + mixed = (attention.sum(dim=1) + torch.eye(attention.shape[-1]).to(attention)) / 2
# You add the heads up, so that rows no longer add up to 1. Average them.
# ~ heads are added up
#
# + mixed = (attention[:, 0] + torch.eye(attention.shape[-1]).to(attention)) / 2
# You take the first head alone. Average all heads.
# ~ the first head alone
#
# + attention += torch.eye(attention.shape[-1]).to(attention)
# + mixed = attention.mean(dim=1) / 2
# The maps are right, but += has changed the caller's attentions. Add into a tensor of your own.
# ~ an operation in place
#
# = rollout = mixed @ rollout
#
# + rollout = rollout @ mixed
# You multiply in the wrong order: the first block stands at the right, next to the input tokens.
# ~ the wrong order
#
# + rollout = mixed * rollout
# You multiply entry by entry. Mixing a mixture is a matrix product: use @.
# ~ entry by entry
#
# + rollout = mixed
# You keep the last block alone. Multiply the matrices of all blocks.
# ~ the last block alone
#
# = return rollout[:, 0, 1:]
#
# + return rollout[:, 0]
# You return an entry for the class token as well. Leave the first entry out: a map has patches only.
# ~ an entry for the class token
#
# + return rollout[:, 1:, 0]
# You return the first column, which says where the class token goes. Row 0 says what arrives at it.
# ~ the first column
#
# + return rollout[:, 1:].mean(dim=1)[:, 1:]
# You average over the rows of the patches. The score is read off the class token: take row 0.
# ~ the rows of the patches
#
# + return rollout[:, 0, 1:] / rollout[:, 0, 1:].amax(dim=1, keepdim=True)
# You scaled each map to end at 1. Return the values as they are.
# ~ a normalisation


# %% variant="attention_rollout"
def attention_rollout(attentions):
    rows = None
    for attention in reversed(attentions):
        mixed = attention.mean(1)
        if rows is None:
            rows = torch.zeros_like(mixed[:, :1])
            rows[..., 0] = 1
        rows = 0.5 * rows + 0.5 * rows @ mixed
    return rows[:, 0, 1:]


# %% variant="attention_rollout"
def attention_rollout(attentions):
    maps = []
    for n in range(len(attentions[0])):
        row = torch.zeros_like(attentions[0][n, 0, 0])
        row[0] = 1
        for attention in attentions[::-1]:
            row = (row @ attention[n].mean(dim=0) + row) / 2
        maps.append(row[1:])
    return torch.stack(maps)


# %% variant="attention_rollout"
def attention_rollout(attentions):
    stacked = torch.stack(list(attentions)).mean(dim=2)
    stacked = stacked + torch.eye(stacked.shape[-1], dtype=stacked.dtype)
    stacked = stacked / stacked.sum(dim=-1, keepdim=True)
    result = stacked[0]
    for k in range(1, len(stacked)):
        result = torch.einsum("nij,njk->nik", stacked[k], result)
    return result[:, 0, 1:].clone()


# %% variant="attention_rollout"
from functools import reduce


def attention_rollout(attentions):
    def step(row, attention):
        return (row + torch.bmm(row, attention.mean(dim=1))) / 2

    first = F.one_hot(torch.zeros(len(attentions[0]), 1, dtype=torch.int64), attentions[0].shape[-1])
    return reduce(step, attentions[::-1], first.to(attentions[0]))[:, 0, 1:]
