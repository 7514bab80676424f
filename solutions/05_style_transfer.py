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
# # 5 Style transfer
#
# You paint one picture in the manner of another, and you find out which numbers inside a network hold what is shown,
# and which hold how it is painted.
#
# **You will**
#
# - **write** the four losses of style transfer and the step that moves pixels down their slope;
# - **rebuild** pictures from features alone and textures from Gram matrices alone, and see what each forgets;
# - **paint** three given pairs and one of your own, varying one choice at a time.
#
# **Time** about 3 hours, 65 minutes of it for the exercises. **Points** 18 for five exercises, 9 for three questions.
# **Prerequisites** assignment 1 (gradients with respect to pixels), assignment 3 (adversarial training) for section 5.8,
# assignment 4 (images by optimisation). **Paper** L. A. Gatys, A. S. Ecker, M. Bethge, *A Neural Algorithm of Artistic
# Style*, 2015, [arXiv:1508.06576](https://arxiv.org/abs/1508.06576), section *Methods*.
#
# | symbol | meaning | shape |
# |---|---|---|
# | $x$ | image, values in [0, 1]; here it is what you optimise | (1, 3, H, W) |
# | $\ell$ | a layer of the network, by its number | a number |
# | $A^\ell$ | activations of layer $\ell$ for $x$, its *features*; $A^\ell_k$ is channel $k$ | (1, C, h, w) |
# | $G^\ell$ | Gram matrix of $A^\ell$ | (1, C, C) |
# | $\hat A^\ell$, $\hat G^\ell$ | what they shall become: features of the content picture, Gram matrix of the style picture | as above |
# | $w_c$, $w_\ell$, $w_t$ | weights of the losses of content, of style at layer $\ell$, of total variation | numbers |

# %% setup
import copy

import torch
from torch import nn

from helpers import plots
from helpers.checks import style as checks
from helpers.models import load_model
from helpers.pictures import own_pair, style_pairs, style_picture
from helpers.progress import progress
from helpers.synthesis import cloud
from helpers.writeup import save_figure

model = load_model()
if not hasattr(model.network, "features"):
    print(f"{model.name} has no row of layers called `features`, which this page needs.")
    model = load_model("picturebook")
if model.name == "picturebook":
    model = load_model("picturebook-robust")  # of the picture-book networks, it paints best: section 5.8 asks why
drawn = model.name.startswith("picturebook")
side = 128 if drawn else 192  # of all pictures of this page, in pixels
pairs = style_pairs(model, side)
print(f"{model.name}: {len(model.network.features)} layers, pictures of 3 x {side} x {side}")
print("to be painted:", ", ".join(f"{content} as {style}" for content, style in (pair.names for pair in pairs)))

# %% [markdown]
# As always, the model takes **pixels** in [0, 1], and it is frozen: the weights stay, the image learns. All pictures of
# this page together take a minute or two on the picture book, and several with SqueezeNet on a CPU. A bar or a caption
# tells how far each cell has got.
#
# ## 5.1 Two pictures that a layer cannot tell apart
#
# A layer turns an image $x$ into activations $A^\ell$, a stack of C maps. If two images give the same activations, then
# for this layer, and for all that come after it, they are the same image. So activations are a description of the image,
# and you can ask for an image by its description. How far is an image from the one that was asked for? The paper takes the
# squared distance of the activations, with a weight:
#
# $$L_c = w_c \sum_{kij} \left( A^\ell_{kij} - \hat A^\ell_{kij} \right)^2 .$$
#
# Here $\hat A^\ell$ are the activations of the **content** picture, which stay fixed. The sum runs over all channels $k$ and
# places $(i, j)$; there is no mean and no square root. (The paper has $w_c = \frac12$.)
#
# Below, a function that gives you the activations of all layers up to a last one; the layers count from 0. One thing is
# changed in the network: where a convolution looks beyond the border of a picture, it now reads the picture mirrored,
# and not zeros. Zeros are a black frame, and the network would paint it.


# %%
def mirrored(network):
    """Return a copy of a network whose convolutions read the mirrored picture beyond its border."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "reflect"
    return network


def features_of(images, network, last):
    """Return the outputs of the layers 0 to `last` for images (N, 3, H, W), a list of tensors (N, C, h, w)."""
    values, features = network.normalise(images), []
    for layer in network.network.features[: last + 1]:
        values = layer(values)
        features.append(values)
    return features


def layers_of(network):
    """Return the layer that stands for the content, and those of the style, each with its share in the style."""
    return {
        "squeezenet1_1": (6, {1: 20, 4: 5, 6: 3, 7: 3}),
        "vgg16": (18, {1: 60, 6: 15, 11: 6, 18: 3, 25: 3}),
        "vgg19": (22, {1: 60, 6: 15, 11: 6, 20: 3, 29: 3}),
    }.get(network.name, (9, {1: 60, 4: 15, 6: 6, 9: 3, 11: 3}))


model = mirrored(model)
content_layer, style_shares = layers_of(model)
style_layers = list(style_shares)
features = features_of(pairs[0].content, model, max(content_layer, *style_layers))
for number, values in enumerate(features):
    use = "content " * (number == content_layer) + "style" * (number in style_layers)
    print(f"layer {number:2}: {type(model.network.features[number]).__name__:12} {tuple(values.shape)!s:20} {use}")

# %% [markdown]
# ### Exercise 5.1: content loss
#
# **Given** the features of an image at one layer, those of the content picture at the same layer, and a weight.
# **Return** the loss $L_c$, one number. **Rule:** the sum runs over everything, over the images of a batch too. The
# result must stay connected to `features`, so that autograd finds the way back to the pixels.
#
# <details>
# <summary>The check says that the result is no tensor, or has no slope</summary>
#
# `.item()`, `float(...)`, `.detach()` and `.data` cut the way back to the pixels. Return the tensor as it comes.
#
# </details>
#
# <details>
# <summary>My loss is thousands of times too small</summary>
#
# `.mean()` and `F.mse_loss` divide by the number of activations. The formula has a sum.
#
# </details>


# %% exercise="content_loss" minutes=5 difficulty=1
def content_loss(features, target, weight):
    """Return how far features are from those that are wanted (Gatys et al. 2015, Methods, equation 1).

    Args:
        features: (N, C, H, W) float tensor, float32 or float64: activations of a layer; it may carry a graph.
        target: tensor of the same shape, which stays fixed.
        weight: the factor of the loss, a number >= 0.

    Returns:
        A tensor without axes: weight times the sum, over all entries, of the squared differences. It can be
        differentiated with respect to features.

    Leaves features and target as they were.
    """
    ### BEGIN SOLUTION
    return weight * ((features - target) ** 2).sum()
    ### END SOLUTION


# %% check="content_loss" points=3
checks.content_loss(content_loss)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit, encode

content_loss = Watched(content_loss)


def content_problem(seed, shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    features, target = 3 * torch.randn(2, *shape, generator=generator, dtype=torch.float64).to(dtype)
    return features, target


def content_value(*problem, weight):
    return content_loss(*content_problem(*problem), weight)


def content_slope(*problem, weight):
    features, target = content_problem(*problem)
    features.requires_grad_()
    loss = content_loss(features, target, weight)
    encode(loss)  # says what it found where that is no tensor
    return torch.autograd.grad(loss, features)[0]


def content_left_as_found():
    features, target = content_problem(505, (2, 3, 4, 5))
    content_loss(features, target, 0.5)
    result = content_loss(features, target, 0.5)
    return result, left_of(result, features=features, target=target), content_loss.left_torch


emit(
    "the loss of one image",
    lambda: [
        content_value(501, (1, 3, 4, 6), weight=0.7),
        content_value(502, (1, 8, 5, 2), torch.float32, weight=40),
    ],
)
emit("the loss of three images", lambda: [content_value(seed, (3, 4, 2, 5), weight=1.3) for seed in (503, 507)])
emit(
    "its slope at the features",
    lambda: [content_slope(503, (3, 4, 2, 5), weight=1.3), content_slope(504, (1, 2, 3, 3), torch.float32, weight=5)],
)
emit("the dtype", lambda: in_both_dtypes(content_loss, lambda dtype: (*content_problem(506, (1, 2, 3, 4), dtype), 0.5)))
emit("everything left as found", content_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# ## 5.2 Pixels that learn
#
# In training, an optimiser moves weights down the slope of a loss. Here it moves **pixels**. PyTorch's optimisers do not
# mind: give them a list with the image in it. One iteration has four parts:
#
# 1. wipe out the gradient of the iteration before, since `backward` adds to `.grad`;
# 2. compute the loss of the image as it is now;
# 3. go back: `backward` writes the gradient into the image's `.grad`;
# 4. let the optimiser move the image, and cut off what is darker than black or brighter than white.
#
# Some optimisers want to ask more than once in one iteration. L-BFGS looks at the loss at several points before it decides
# how far to go, so it must be able to call for parts 1 to 3 itself. That is what a **closure** is: a function without
# arguments that does these three and returns the loss. `optimiser.step(closure)` works for all of them. The next
# cell moves three numbers towards a goal, and counts how often each optimiser asks.

# %% example
goal = torch.tensor([0.2, 0.9, 1.4])  # the last one lies outside of what a pixel can be


def one_step(make):
    """Make one step from 0.5 towards the goal; return the losses that were asked for, and the numbers."""
    numbers, losses = torch.full((3,), 0.5, requires_grad=True), []
    optimiser = make([numbers])

    def closure():
        optimiser.zero_grad()
        loss = ((numbers - goal) ** 2).sum()
        loss.backward()
        losses.append(loss.item())
        return loss

    first = optimiser.step(closure)  # every optimiser returns the loss that it met first
    assert first.item() == losses[0]
    return losses, numbers.tolist()


for name, make in (
    ("SGD", lambda pixels: torch.optim.SGD(pixels, lr=0.1)),
    ("Adam", lambda pixels: torch.optim.Adam(pixels, lr=0.1)),
    ("L-BFGS", lambda pixels: torch.optim.LBFGS(pixels, lr=0.1, max_iter=5)),
):
    losses, numbers = one_step(make)
    print(f"{name:6}  asked {len(losses)} times, first loss {losses[0]:.2f}   {[round(n, 3) for n in numbers]}")

# %% [markdown]
# SGD moves each number by the learning rate times its slope; Adam moves all of them equally far in its first step, the
# learning rate. L-BFGS asked as often as it was allowed to. None of them knows that 1.4 is no pixel: it will get there,
# unless you cut off.
#
# ### Exercise 5.2: one iteration
#
# **Given** an image that requires a gradient, a loss (a function from the image to a number) and an optimiser of the
# image. **Change** the image by one iteration, in place. **Return** the loss as it was before the step. **Rule:** one
# `optimiser.step(closure)`; then cut the pixels off at 0 and 1, in place as well, since the optimiser goes on with this very
# tensor.
#
# <details>
# <summary>"a leaf Variable that requires grad is being used in an in-place operation"</summary>
#
# Autograd refuses to lose track of a tensor it watches. Cutting off is no part of the loss, so tell it to look away:
# `with torch.no_grad(): image.clamp_(0, 1)`.
#
# </details>
#
# <details>
# <summary>"Trying to backward through the graph a second time"</summary>
#
# The loss was computed once, outside of the closure, and L-BFGS asked twice. Compute it inside, anew each time.
#
# </details>
#
# <details>
# <summary>The check says that the network's .grad changed</summary>
#
# `backward()` fills `.grad` of every leaf that requires a gradient. `loss.backward(inputs=[image])` fills the image's alone.
#
# </details>


# %% exercise="style_transfer_step" minutes=20 difficulty=2
def style_transfer_step(image, loss, optimiser):
    """Make one iteration of an optimiser on the pixels of an image (Gatys et al. 2015, Methods).

    Args:
        image: (N, 3, H, W) float tensor that requires a gradient; its .grad may hold the gradient of an earlier step.
        loss: a function of the image that returns a tensor without axes.
        optimiser: a torch.optim.Optimizer of [image], which may call the closure more than once in a step (LBFGS).

    Returns:
        The loss of the image before the step, a detached tensor without axes, or a float.

    Changes: the image, in place, by one step of the optimiser down the slope of the loss, and then cut off at 0 and 1;
    the optimiser's state, by one step. What image.grad holds afterwards is up to you. The .grad of all other tensors, such
    as a network's parameters, stays as it was, and the image still requires a gradient.
    """

    ### BEGIN SOLUTION
    def closure():
        optimiser.zero_grad()
        value = loss(image)
        value.backward(inputs=[image])
        return value

    before = optimiser.step(closure)
    with torch.no_grad():
        image.clamp_(0, 1)
    return before.detach()
    ### END SOLUTION


# %% check="style_transfer_step" points=4
checks.style_transfer_step(style_transfer_step)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.state import Watched
from helpers.inside.emit import emit

style_transfer_step = Watched(style_transfer_step)


class Bowl:
    """A loss that is least at a goal and steeper in some pixels than in others; it goes through a tensor of its own."""

    def __init__(self, seed, shape):
        generator = torch.Generator().manual_seed(seed)
        self.goal = 1.6 * torch.rand(shape, generator=generator, dtype=torch.float64) - 0.3
        self.steepness = 0.2 + torch.rand(shape, generator=generator, dtype=torch.float64)
        self.weights = torch.ones((), dtype=torch.float64, requires_grad=True)
        self.weights.grad = torch.full((), 7.0, dtype=torch.float64)
        self.asked = 0

    def __call__(self, image):
        self.asked += 1
        away = image - self.goal.to(image)
        return self.weights.to(image) * (self.steepness.to(image) * away**2 + 0.1 * away**4).sum()


def step_problem(seed, make, shape=(1, 3, 4, 5), dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed + 50)
    image = torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    image.grad = torch.full_like(image, 0.3)
    return image, Bowl(seed, shape), make([image])


def sgd(pixels):
    return torch.optim.SGD(pixels, lr=0.4)


def momentum(pixels):
    return torch.optim.SGD(pixels, lr=0.1, momentum=0.9)


def adam(pixels):
    return torch.optim.Adam(pixels, lr=0.25)


def lbfgs(pixels):
    return torch.optim.LBFGS(pixels, lr=0.5, max_iter=4)


def after_steps(count, *problem):
    image, loss, optimiser = step_problem(*problem)
    for _ in range(count):
        style_transfer_step(image, loss, optimiser)
    return image


def returned(*problem):
    image, loss, optimiser = step_problem(*problem)
    values = [style_transfer_step(image, loss, optimiser) for _ in range(2)]
    return [float(value) for value in values], [getattr(value, "requires_grad", False) for value in values]


def what_else_changed():
    image, loss, optimiser = step_problem(516, adam)
    style_transfer_step(image, loss, optimiser)
    return (
        image,
        image.requires_grad,
        loss.asked,
        loss.weights,
        loss.weights.grad,
        optimiser.state[image].get("step", 0),
        style_transfer_step.left_torch,
    )


emit("one step of plain descent", lambda: [after_steps(1, 511, sgd), after_steps(1, 512, sgd, (3, 3, 2, 4))])
emit("three steps with momentum and with Adam", lambda: [after_steps(3, 513, momentum), after_steps(3, 514, adam)])
emit("two steps of L-BFGS", lambda: [after_steps(2, 515, lbfgs), returned(515, lbfgs)])
emit("the loss", lambda: [returned(511, sgd), returned(512, adam, (2, 3, 4, 3), torch.float32)])
emit("everything else left as found", what_else_changed)
### END HIDDEN TESTS

# %% [markdown]
# With these two you can ask for an image by its features alone: **feature inversion** (Mahendran and Vedaldi 2015). It is
# style transfer without any style. You start from soft clouds and never show the picture itself, only what a
# layer made of it.
#
# **Predict first:** deeper and deeper layers. What gets lost first: the colours, the grain, or the shape?


# %%
def adam(pixels):
    """Return the optimiser of this page, for a list of tensors."""
    return torch.optim.Adam(pixels, lr=0.03)


def canvas(start):
    """Return a copy of an image that an optimiser may move, its numbers in plain order, which L-BFGS needs."""
    return start.clone(memory_format=torch.contiguous_format).requires_grad_()


def paint(start, loss, steps=100, make=adam):
    """Return what becomes of an image (N, 3, H, W) in so many iterations on a loss."""
    image = canvas(start)
    optimiser = make([image])
    for _ in range(steps):
        style_transfer_step(image, loss, optimiser)
    return image.detach()


def clouds(seed=0):
    """Return a start without any shape, (1, 3, side, side)."""
    return cloud(side, seed, cells=16).to(pairs[0].content)


def inverted(images, network, layer, steps=80, tv_weight=0.0):
    """Return images rebuilt from their features at one layer, started from clouds."""
    target = features_of(images, network, layer)[layer]
    weight = 1 / target.square().sum().item()  # so that the loss is the share of the features that is missed

    def loss(image):
        value = content_loss(features_of(image, network, layer)[layer], target, weight)
        return value + total_variation_loss(image, tv_weight) if tv_weight else value

    return paint(clouds().expand_as(images), loss, steps)


# %% figure="inversion"
depths = [*style_layers[:2], style_layers[-1], len(model.network.features) - 1]
pictures = torch.cat([pair.content for pair in pairs[1:]])
rebuilt = {depth: inverted(pictures, model, depth) for depth in progress(depths, "rebuilding", "layer")}
misses = {depth: (images - pictures).square().mean().sqrt().item() for depth, images in rebuilt.items()}
rows = [[plots.picture(pictures[i]), *(plots.picture(images[i]) for images in rebuilt.values())] for i in (0, 1)]
plots.panels(rows, heads=["picture", *(f"layer {depth}, off by {misses[depth]:.2f}" for depth in depths)], width=2.1)

# %% [markdown]
# What to see: the numbers say how far the pixels are off (the root of the mean square), and they grow with the depth. From the
# first layer, the picture comes back. Further down, the colours of broad, even areas go first: nothing in the layer holds them, and
# they stay near what the clouds happened to be. Outlines and parts are kept longest. From the last layer little is left: on the
# picture book parts, about where they were; with SqueezeNet nothing that you would know again. Grain comes in, too: whatever a layer
# does not see, the optimiser fills as it likes. A picture that gives the right features need not be the picture.
#
# ## 5.3 What the Gram matrix keeps
#
# What is a style? Whatever it is, it does not say *where* things are: brush strokes are brush strokes at the left and at the
# right. So the paper throws the places away, and keeps which channels are active **together**. The Gram matrix of a layer has
# a row and a column for each channel:
#
# $$G_{kk'} = \frac{1}{C h w} \sum_{ij} A_{kij} \, A_{k'ij} .$$
#
# On the diagonal stands how active a channel is on the whole. Beside it stands whether two channels are active at the same
# places: *blue* and *stroke to the upper right*, say. The sum over $(i, j)$ forgets the places. The factor in front is a
# convention (Johnson and others 2016, equation 3): it makes pictures of different sizes comparable.
#
# The next cell takes two channels on a page of six places, and moves the places about.

# %% example
page = torch.tensor([[[3.0, 0.0, 1.0], [0.0, 2.0, 0.0]], [[1.0, 0.0, 1.0], [0.0, 2.0, 4.0]]])  # 2 channels, 2 x 3


def products(maps):
    """Return the sums over all places of the products of two channels: 0 with 0, 0 with 1, 1 with 1."""
    return [round((maps[k] * maps[other]).sum().item(), 1) for k, other in ((0, 0), (0, 1), (1, 1))]


order = torch.tensor([4, 2, 0, 5, 1, 3])
print("as it is              ", products(page))
print("mirrored              ", products(page.flip(-1)))
print("places shuffled       ", products(page.flatten(1)[:, order].view_as(page)))
print("one channel shuffled  ", products(torch.stack([page[0], page[1].flatten()[order].view(2, 3)])))
print("twice as strong       ", products(2 * page))

# %% [markdown]
# Shuffle the places, all channels together, and nothing changes. Shuffle one channel alone, and the product of the two
# changes: they are no longer active at the same places. That is all a Gram matrix knows.
#
# ### Exercise 5.3: Gram matrix
#
# **Given** features (N, C, H, W). **Return** for each image its Gram matrix, (N, C, C). **Rule:** divided by
# $C \cdot H \cdot W$ where `normalize` is true, and not divided at all where it is false. Each image has a matrix of its own.
#
# <details>
# <summary>The check passes for one image and fails for three</summary>
#
# `view(N * C, H * W)` puts the channels of all images below each other, so that the product pairs channels of one image with
# those of another. Keep the axis of the images: `view(N, C, H * W)`.
#
# </details>
#
# <details>
# <summary>My matrix is (N, H * W, H * W)</summary>
#
# Which axis do you sum over? It must be the places. `flat @ flat.transpose(1, 2)` sums over the last axis of `flat`.
#
# </details>
#
# <details>
# <summary>The values are right for square maps only</summary>
#
# `view` or `reshape` to (N, H * W, C) does not move the channels to the end: it reads the numbers in another order. Only
# `transpose` or `permute` move an axis.
#
# </details>


# %% exercise="gram_matrix" minutes=15 difficulty=2
def gram_matrix(features, normalize=True):
    """Return the Gram matrix of each image's features (Gatys et al. 2015, Methods; Johnson et al. 2016, equation 3).

    Args:
        features: (N, C, H, W) float tensor, float32 or float64: activations of a layer, of both signs perhaps; any N >= 1.
        normalize: whether the sums are divided by C * H * W.

    Returns:
        (N, C, C) tensor: entry (n, k, l) is the sum, over all places of image n, of channel k times channel l. It can
        be differentiated with respect to features.

    Leaves features as they were.
    """
    ### BEGIN SOLUTION
    count, channels, height, width = features.shape
    flat = features.reshape(count, channels, height * width)
    gram = flat @ flat.transpose(1, 2)
    return gram / (channels * height * width) if normalize else gram
    ### END SOLUTION


# %% check="gram_matrix" points=4
checks.gram_matrix(gram_matrix)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit, encode

gram_matrix = Watched(gram_matrix)


def signed_features(seed, shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shift = torch.linspace(-1, 2, shape[1], dtype=torch.float64)[:, None, None]
    return (torch.randn(shape, generator=generator, dtype=torch.float64) + shift).to(dtype)


def gram_slope(features, *options):
    pixels = features.clone().requires_grad_()
    grams = gram_matrix(pixels, *options)
    encode(grams)  # says what it found where that is no tensor
    pattern = torch.arange(grams.numel(), dtype=grams.dtype).view(grams.shape).sin()
    return torch.autograd.grad((grams * pattern).sum(), pixels)[0]


def gram_left_as_found():
    features = signed_features(526, (2, 3, 4, 5))
    first, second = gram_matrix(features), gram_matrix(features, normalize=False)
    return first, second, left_of(first, features=features), gram_matrix.left_torch


emit(
    "one image",
    lambda: [gram_matrix(signed_features(521, (1, 5, 3, 7))), gram_matrix(signed_features(522, (1, 3, 4, 4)), True)],
)
emit("three images", lambda: [gram_matrix(signed_features(seed, (3, 4, 5, 2))) for seed in (523, 529)])
emit(
    "not normalised",
    lambda: [
        gram_matrix(signed_features(524, (1, 2, 6, 3)), False),
        gram_matrix(signed_features(523, (3, 4, 5, 2)), False),
    ],
)
emit(
    "the slope, and float32",
    lambda: [
        gram_slope(signed_features(525, (2, 3, 4, 5))),
        gram_slope(signed_features(525, (2, 3, 4, 5)), False),
        gram_matrix(signed_features(527, (2, 6, 3, 5), torch.float32)),
    ],
)
emit("the dtype", lambda: in_both_dtypes(gram_matrix, lambda dtype: (signed_features(528, (2, 3, 3, 4), dtype),)))
emit("everything left as found", gram_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# One Gram matrix describes patterns of one size. Deeper layers see larger pieces of the picture, so a style is described by
# several layers, each with a weight:
#
# $$L_s = \sum_{\ell} w_\ell \sum_{kk'} \left( G^\ell_{kk'} - \hat G^\ell_{kk'} \right)^2 .$$
#
# Before you write it, look at the numbers that it adds up. The next cell compares the first content picture with its style
# picture, layer by layer.

# %% example
last = max(style_layers)
ours, theirs = (features_of(images, model, last) for images in (pairs[0].content, pairs[0].style))
print("layer   squared distance   squared size of the style's   distance / size")
for layer in style_layers:
    have, want = (gram_matrix(maps[layer]) for maps in (ours, theirs))
    away, size = (have - want).square().sum().item(), want.square().sum().item()
    print(f"{layer:5}   {away:16.2e}   {size:27.2e}   {away / size:15.2f}")

# %% [markdown]
# The largest distance is dozens of times the smallest, and that says nothing about the pictures: it says how large the
# activations of a layer happen to be, how many channels share them, and how many zeros a ReLU has made. The sizes in the
# next column differ as much. So a distance at one layer cannot be compared with one at another. Divided by the size of what is wanted, they can be added up. So in this page
# $w_\ell$ is a share of the layer divided by $\sum_{kk'} (\hat G^\ell_{kk'})^2$: then $L_s$ counts which part of the style is still
# missing. Keep this table for the questions.
#
# ### Exercise 5.4: style loss
#
# **Given** the features of all layers, the numbers of the layers that count, a Gram matrix that is wanted for each of these,
# and a weight for each. **Return** $L_s$, one number. **Rule:** `layers[i]`, `targets[i]` and `weights[i]` belong together.
# Gram matrices are normalised; call your `gram_matrix`.
#
# <details>
# <summary>The check says that other layers are used</summary>
#
# `features` has an entry for **every** layer of the network, `targets` one for each layer that counts. The number of the layer is
# `layers[i]`, and its features are `features[layers[i]]`.
#
# </details>
#
# <details>
# <summary>"The size of tensor a must match the size of tensor b"</summary>
#
# Another sign of the same: layers with different numbers of channels are compared.
#
# </details>


# %% exercise="style_loss" minutes=15 difficulty=1
def style_loss(features, layers, targets, weights):
    """Return how far the Gram matrices of some layers are from those that are wanted (Gatys et al. 2015, equation 5).

    Args:
        features: a list with the activations of every layer, (N, C, H, W) each, C, H and W as the layer has them.
        layers: the numbers of the layers that count, in any order: indices of `features`.
        targets: a list with the normalised Gram matrices (N, C, C) that are wanted, in the order of `layers`.
        weights: a list with the factor of each layer, in the order of `layers`.

    Returns:
        A tensor without axes: the sum, over the layers that count, of the weight times the sum of the squared differences
        of all entries of the normalised Gram matrices. It can be differentiated with respect to the features.

    Leaves all arguments as they were.
    """
    ### BEGIN SOLUTION
    total = 0.0
    for layer, target, weight in zip(layers, targets, weights):
        total = total + weight * ((gram_matrix(features[layer]) - target) ** 2).sum()
    return total
    ### END SOLUTION


# %% check="style_loss" points=4
checks.style_loss(style_loss)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit, encode

style_loss = Watched(style_loss)


def layered_problem(seed, count, layers, dtype=torch.float64):
    """Features of five layers, targets and weights for some of them."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 6, 5), (3, 6, 5), (4, 3, 4), (4, 2, 3), (5, 2, 1)]
    features = [torch.randn(count, *shape, generator=generator, dtype=torch.float64) for shape in shapes]
    targets = [torch.randn(count, *2 * shapes[layer][:1], generator=generator, dtype=torch.float64) for layer in layers]
    weights = [0.5 + 3 * number for number in torch.rand(len(layers), generator=generator).tolist()]
    return [values.to(dtype) for values in features], layers, [values.to(dtype) for values in targets], weights


def by_own_gram(features, layers, targets, weights):
    """What the answer to exercise 5.3 gives: a mistake in there should not cost marks in here again."""
    try:
        grams = [gram_matrix(features[layer]) for layer in layers]
        rows = zip(grams, targets, weights, strict=True)
        value = sum(weight * ((gram - target) ** 2).sum() for gram, target, weight in rows)
        others = [gram_matrix(features[layer] ** 2 + 1) for layer in layers]
        return value, float(sum((gram - other).norm() for gram, other in zip(grams, others, strict=True)).detach())
    except Exception:
        return torch.zeros(()), 0.0


def style_value(*problem):
    return style_loss(*layered_problem(*problem)), by_own_gram(*layered_problem(*problem))


def style_slope(*problem):
    slopes = []
    for loss in (style_loss, lambda *given: by_own_gram(*given)[0]):
        features, *rest = layered_problem(*problem)
        pixels = [values.requires_grad_() for values in features]
        wanted = [pixels[layer] for layer in rest[0]]
        value = loss(features, *rest)
        encode(value)  # says what it found where that is no tensor
        if value.requires_grad or loss is style_loss:
            slopes += torch.autograd.grad(value, wanted, allow_unused=True)
        else:
            slopes += [torch.zeros_like(values) for values in wanted]
    return slopes


def style_left_as_found():
    features, layers, targets, weights = layered_problem(535, 2, [3, 1])
    kept = [layers[:], weights[:]]
    style_loss(features, layers, targets, weights)
    result = style_loss(features, layers, targets, weights)
    facts = [[layers, weights] == kept, len(targets), len(features)]
    left = [left_of(result, features=features[3]), style_loss.left_torch]
    return result, by_own_gram(*layered_problem(535, 2, [3, 1])), facts, targets, left


emit("one layer", lambda: [style_value(531, 1, [2]), style_value(532, 1, [4])])
emit("three layers that do not follow each other", lambda: style_value(533, 1, [3, 0, 2]))
emit("three images", lambda: [style_value(534, 3, [1, 3]), style_value(536, 3, [4, 0], torch.float32)])
emit("the slope", lambda: style_slope(537, 2, [3, 1]))
emit("the dtype", lambda: in_both_dtypes(style_loss, lambda dtype: layered_problem(538, 1, [0, 2], dtype)))
emit("everything left as found", style_left_as_found)
### END HIDDEN TESTS

# %% judge="style_loss"
from helpers.course.marks.compare import close


def judge(part, got, want, given):
    """Accept the right loss, or that of the student's own gram_matrix where that depends on the features."""
    if len(got) != len(want):
        return False
    if part == "the dtype":  # a value and whether it has the dtype, twice; values are judged in other parts
        return all(map(close, got[1::2], want[1::2]))
    if part == "the slope":
        half = len(want) // 2
        by_own = all(map(close, got[:half], got[half:])) and all(slope.any() for slope in got[half:])
        return by_own or all(map(close, got[:half], want[:half]))
    count = 2 if len(want) == 6 else 1  # a loss, that of the own Gram matrix, and how far that one moves
    values, rest = range(0, 3 * count, 3), range(3 * count, len(want))
    return all(
        close(got[i], want[i]) or (close(got[i], got[i + 1]) and float(got[i + 2]) > 1e-9) for i in values
    ) and all(close(got[i], want[i]) for i in rest)


# %% [markdown]
# Now ask for an image by its Gram matrices alone: **texture synthesis** (Gatys and others, earlier in 2015). It is style
# transfer without any content. The columns take one layer more each.
#
# **Predict first:** what will the first layer alone get right, and from which layer on will you see strokes or stones?


# %%
def style_targets(style, network, shares):
    """Return the Gram matrices of a style picture at the layers of `shares`, and a weight for each."""
    features = features_of(style, network, max(shares))
    targets = [gram_matrix(features[layer]) for layer in shares]
    weights = [share / target.square().sum().item() for share, target in zip(shares.values(), targets)]
    return targets, weights


def texture(style, network, shares, steps=80):
    """Return an image with the Gram matrices of a style picture, started from clouds."""
    targets, weights = style_targets(style, network, shares)

    def loss(image):
        return style_loss(features_of(image, network, max(shares)), list(shares), targets, weights)

    return paint(clouds(), loss, steps)


# %% figure="textures"
counts = [1, 2, 3, len(style_layers)]
names = ("mosaic", "starry sky")
styles = [style_picture(name, side).to(pairs[0].style) for name in names] if drawn else [pairs[i].style for i in (1, 2)]
rows = []
for style in progress(styles, "weaving", "style"):
    made = [texture(style, model, {layer: style_shares[layer] for layer in style_layers[:count]}) for count in counts]
    rows.append([plots.picture(style[0]), *(plots.picture(image[0]) for image in made)])
heads = ["style picture", *("layers " + ", ".join(map(str, style_layers[:count])) for count in counts)]
plots.panels(rows, heads=heads, width=2.1)

# %% [markdown]
# What to see: the first layer alone brings the colours, and edges of a pixel or two. With each further layer, larger patterns
# come right: joints close up to stones, strokes get a direction. Nothing is where it was: there are bright spots, but not the
# stars of the style picture in their places, and what is larger than the deepest layer can see never forms.
#
# ## 5.4 Total variation
#
# Optimised pixels like grain: from one pixel to the next, values jump to and fro, and the deeper layers, which look at
# averages, hardly mind. **Total variation** charges for the differences between neighbours, below each other and beside
# each other:
#
# $$L_t = w_t \sum_{c} \left( \sum_{ij} \left( x_{c,i+1,j} - x_{cij} \right)^2 + \sum_{ij} \left( x_{c,i,j+1} - x_{cij} \right)^2 \right) .$$
#
# Each sum runs over all pairs of neighbours that there are: in a channel of H rows and W columns, $(H - 1) W$ pairs below each
# other and $H (W - 1)$ pairs beside each other. The next cell looks at single rows of pixels: how much does each of them cost?

# %% example
strips = {
    "flat": [0.6] * 9,
    "one step": [0.0] * 4 + [0.8] * 5,
    "a slope": [0.1 * number for number in range(9)],
    "grain": [0.3, 0.5] * 4 + [0.3],
    "one bright pixel": [0.0] * 4 + [0.8] + [0.0] * 4,
}
for name, values in strips.items():
    steps = torch.tensor(values).diff()
    price, jumps = steps.square().sum(), steps.abs().sum()
    print(f"{name:18} squared differences {price:.2f}    sizes of the differences {jumps:.2f}")

# %% [markdown]
# A step from 0 to 0.8 costs eight times as much as a slope that gets there in eight small steps. So with squares, total
# variation does not merely remove grain: it turns edges into slopes. (With the sizes of the differences in place of their
# squares, step and slope cost the same.) Keep this table for the questions.
#
# ### Exercise 5.5: total variation loss
#
# **Given** images and a weight. **Return** $L_t$, one number. **Rule:** squares of the differences, a sum over all pairs, all
# channels and all images. No loop over pixels, and no pair of opposite borders.
#
# <details>
# <summary>The check says that the borders count as neighbours</summary>
#
# `torch.roll` brings in at one side what leaves at the other. Subtract slices: `images[..., 1:, :] - images[..., :-1, :]`.
#
# </details>
#
# <details>
# <summary>The check says that a row or a column is missing</summary>
#
# Each of the two sums has a size of its own. Cutting both to (H - 1, W - 1), so that they can be added up before the sum, drops the
# last row or column of each.
#
# </details>


# %% exercise="total_variation_loss" minutes=10 difficulty=1
def total_variation_loss(images, weight):
    """Return how much neighbouring pixels differ (after Mahendran and Vedaldi 2015, section 3, with the exponent 2).

    Args:
        images: (N, 3, H, W) float tensor, float32 or float64; any N >= 1, H and W >= 2.
        weight: the factor of the loss, a number >= 0.

    Returns:
        A tensor without axes: weight times the sum of the squared differences of all pixels and their neighbour below,
        plus those of all pixels and their neighbour at the right, over all channels and images. It can be differentiated
        with respect to images.

    Leaves images as they were.
    """
    ### BEGIN SOLUTION
    below = images[..., 1:, :] - images[..., :-1, :]
    beside = images[..., :, 1:] - images[..., :, :-1]
    return weight * ((below**2).sum() + (beside**2).sum())
    ### END SOLUTION


# %% check="total_variation_loss" points=3
checks.total_variation_loss(total_variation_loss)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit, encode

total_variation_loss = Watched(total_variation_loss)


def grainy(seed, shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.linspace(0, 2, shape[2], dtype=torch.float64)[:, None]
    return (torch.rand(shape, generator=generator, dtype=torch.float64) + rows).to(dtype)


def variation_slope(images, weight):
    pixels = images.clone().requires_grad_()
    loss = total_variation_loss(pixels, weight)
    encode(loss)  # says what it found where that is no tensor
    return torch.autograd.grad(loss, pixels)[0]


def variation_left_as_found():
    images = grainy(545, (2, 3, 4, 6))
    total_variation_loss(images, 0.5)
    result = total_variation_loss(images, 0.5)
    return result, left_of(result, images=images), total_variation_loss.left_torch


emit(
    "one image",
    lambda: [
        total_variation_loss(grainy(541, (1, 3, 5, 7)), 0.6),
        total_variation_loss(grainy(542, (1, 3, 8, 2)), 30),
        total_variation_loss(grainy(546, (1, 3, 5, 5), torch.float32), 2.0),
    ],
)
emit("three images", lambda: [total_variation_loss(grainy(seed, (3, 3, 4, 6)), 1.5) for seed in (543, 548)])
emit(
    "its slope",
    lambda: [variation_slope(grainy(543, (3, 3, 4, 6)), 1.5), variation_slope(grainy(544, (1, 3, 2, 5)), 0.1)],
)
emit("the dtype", lambda: in_both_dtypes(total_variation_loss, lambda dtype: (grainy(547, (1, 3, 4, 5), dtype), 0.5)))
emit("everything left as found", variation_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# The next figure rebuilds a picture from a deep layer once more, now with a price on its total variation.
#
# **Predict first:** the layer does not see the grain. Will the picture get better or worse when you charge for it?

# %% figure="variation"
tv_weights = (0.0, 1e-5, 1e-4, 1e-3)
picture, deep = pairs[1].content, style_layers[-1]
images = [inverted(picture, model, deep, tv_weight=weight) for weight in progress(tv_weights, "rebuilding", "weight")]
distances = [(image - picture).square().mean().sqrt().item() for image in images]
plots.panels(
    [[plots.picture(picture[0]), *(plots.picture(i[0], f"off by {d:.2f}") for i, d in zip(images, distances))]],
    heads=["picture", *(f"weight {weight:g}" for weight in tv_weights)],
    width=2.1,
)

# %% [markdown]
# What to see: the picture gets **better**. It comes nearer to the original, pixel by pixel, though the optimiser has never seen the
# original: the layer says nothing about grain, so a small price decides. The largest weight takes the outlines along.
#
# ## 5.5 Content and style together
#
# Style transfer asks for both at once, and for smoothness:
#
# $$L = L_c + L_s + L_t .$$
#
# Nobody can have all of it. A picture with the boat's activations has other Gram matrices than the brush strokes. The
# weights say what you would rather do without. `objective` puts the three together, each as a share of what is
# wanted, so that one set of weights serves all pictures.


# %%
def objective(content, style, network, content_weight=1.0, style_weight=1.0, tv_weight=6e-4, shares=None):
    """Return the loss of style transfer, a function of the image, for a content and a style picture."""
    at, all_shares = layers_of(network)
    shares = shares or all_shares
    last = max(at, *shares)
    wanted = features_of(content, network, last)[at]
    strength = content_weight / wanted.square().sum().item()
    targets, weights = style_targets(style, network, shares)
    weights = [style_weight * weight for weight in weights]

    def loss(image):
        features = features_of(image, network, last)
        away = content_loss(features[at], wanted, strength)
        return away + style_loss(features, list(shares), targets, weights) + total_variation_loss(image, tv_weight)

    return loss


def painted(pair, network=model, start=None, steps=100, make=adam, **weights):
    """Return the picture of a pair, (1, 3, side, side), painted from its content or from another start."""
    loss = objective(pair.content, pair.style, network, **weights)
    return paint(pair.content if start is None else start, loss, steps, make)


# %% [markdown]
# The next cell paints the three pairs and shows the pictures while they grow. You can stop it at any time, with the stop button
# of the notebook: the pictures stay as they are.
#
# **Predict first:** what will the network paint over first, the sky or the outlines?


# %% figure="pairs"
def growing(pairs, steps, chunk, **weights):
    """Yield the originals and the pictures again and again while they grow."""
    rows = []
    for pair in pairs:
        image = canvas(pair.content)
        loss, optimiser = objective(pair.content, pair.style, model, **weights), adam([image])
        originals = [plots.picture(pair.content[0], pair.names[0]), plots.picture(pair.style[0], pair.names[1])]
        for k in range(0, steps + 1, chunk):
            row = [*originals, plots.picture(image[0], f"iteration {k} of {steps}")]
            yield plots.panels([*rows, row], heads=["content", "style", "painted"], width=2.2)
            for _ in range(chunk if k < steps else 0):
                style_transfer_step(image, loss, optimiser)
        rows.append(row)


plots.live(growing(pairs, 120, 20), then=lambda figure: save_figure(figure, "05_style_transfer-pairs"))

# %% [markdown]
# What to see: the broad, even areas are painted over, and the outlines stay. Colours come from the style picture.
# Nothing is copied from it: stones and strokes follow the shapes of the content, as they nowhere do in the style picture. What
# does not arrive is its plan: which whirl stands where, and whatever is larger than the deepest style layer can see.
#
# ## 5.6 One choice at a time
#
# ### How much style, and which layers
#
# In the first row only the weight of the content changes. In the second row, only the layers that carry the style do.

# %% figure="weights"
pair, content_weights = pairs[0], (30.0, 3.0, 0.3, 0.03)
by_weight = [painted(pair, content_weight=w) for w in progress(content_weights, "painting", "picture")]
parts = [style_layers[:1], style_layers[:2], style_layers[2:], style_layers]
by_layers = [
    painted(pair, shares={layer: style_shares[layer] for layer in part})
    for part in progress(parts, "painting", "picture")
]
plots.panels(
    [
        [plots.picture(image[0], f"content weight {weight:g}") for image, weight in zip(by_weight, content_weights)],
        [plots.picture(image[0], "layers " + ", ".join(map(str, part))) for image, part in zip(by_layers, parts)],
    ],
    width=2.4,
)

# %% [markdown]
# What to see: with more weight on the content, the old colours and edges show through; with less, strokes run across them. In the second row, the first layer alone brings colours and no strokes. The
# deep layers alone bring a pattern, and leave stains of colours that neither picture has: a deep layer sees colours,
# but not all of them. So the style needs both ends.
#
# ### Where to start
#
# The loss does not know where you started. Does the picture?
#
# **Predict first:** which start will give the lowest loss after the same number of iterations?

# %% figure="starts"
pair = pairs[0]
loss = objective(pair.content, pair.style, model)
starts = {
    "content": pair.content,
    "style": pair.style,
    "clouds": clouds(),
    "noise": torch.rand(pair.content.shape, generator=torch.Generator().manual_seed(0)).to(pair.content),
}
finished = {name: paint(start, loss) for name, start in progress(list(starts.items()), "painting", "start")}
reached = {name: loss(image).item() for name, image in finished.items()}
plots.panels(
    [
        [plots.picture(start[0], name) for name, start in starts.items()],
        [plots.picture(image[0], f"loss {reached[name]:.2f}") for name, image in finished.items()],
    ],
    names=["start", "after 100 iterations"],
)

# %% [markdown]
# What to see: on the picture book, the object comes out of every start, out of noise too, since the content layer asks for it. With
# SqueezeNet and as many iterations, only the start from the content shows it clearly. The loss is not at its bottom after 100
# iterations: from clouds and noise it is higher, and where you come from can be seen. So start and number of iterations
# are choices like the weights. Whoever starts from the content gets most content.
#
# ### Plain descent, Adam and L-BFGS
#
# Gatys and others used L-BFGS, which learns how the slope changes from step to step. It asks for the loss many times in one
# iteration, so a fair comparison counts how often each optimiser **asked**, not its iterations.


# %%
def lbfgs(pixels):
    """Return L-BFGS, which asks for the loss a dozen times in an iteration and looks for the length of each step itself."""
    return torch.optim.LBFGS(pixels, max_iter=10, history_size=50, line_search_fn="strong_wolfe")


def descent(pair, make, budget=120):
    """Return the lowest loss found by then, after each time that the optimiser has asked for it."""
    loss, lowest = objective(pair.content, pair.style, model), []

    def counted(image):
        value = loss(image)
        lowest.append(min([value.item(), *lowest[-1:]]))
        return value

    image = canvas(pair.content)
    optimiser = make([image])
    while len(lowest) < budget:
        style_transfer_step(image, counted, optimiser)
    return lowest[:budget]


# %% figure="optimisers"
ways = {
    "plain descent": lambda pixels: torch.optim.SGD(pixels, lr=0.5),
    "Adam, 0.003": lambda pixels: torch.optim.Adam(pixels, lr=0.003),
    "Adam, 0.03": adam,
    "L-BFGS": lbfgs,
}
asked = [1, 2, 5, 10, 20, 40, 80, 120]
curves = {}
for name, make in progress(list(ways.items()), "painting", "optimiser"):
    lowest = descent(pairs[0], make)
    curves[name] = [lowest[number - 1] for number in asked]
plots.lines(asked, curves, xlabel="times the loss was asked for", ylabel="lowest loss", log_x=True, log_y=True)

# %% [markdown]
# What to see: plain descent and the slow Adam are behind all along. Adam with 0.03 falls from the first step on. L-BFGS gains
# nothing at first: it spends its first questions on finding a length for its steps. Then it catches up, and on the picture
# book it overtakes Adam, without a learning rate that you would have to choose. The price is memory: it keeps its last 50 steps
# and slopes, a hundred images in all, where Adam keeps two.
#
# ## 5.7 A pair of your own
#
# Make a folder `my_pair` beside this notebook and put two pictures into it, JPEG or PNG: `content` (what shall be shown) and `style`
# (how it shall be painted). In JupyterLab, open the folder in the file browser and drop the files there, or use its upload
# button; in Colab the cell asks for them. Choose on purpose: what size have the strokes of your style, and what size the things
# in your content? If your network is the picture book's, you may have a pair drawn for you: `own_pair(model, side, seed=...)`, with a
# seed of yours.
#
# The cell shows the picture while it grows. Stop it as soon as you have seen enough, change a weight, and run it again: paint
# your pair at least three times before you decide. The last picture is saved for the writeup, where question 7.9 is about it.

# %% local
own = own_pair(model, side)
if own:
    plots.live(
        growing([own], 150, 15, content_weight=1.0, style_weight=1.0, tv_weight=6e-4),
        then=lambda figure: save_figure(figure, "05_style_transfer-own"),
    )

# %% [markdown]
# ## 5.8 Which network paints?
#
# So far one network has painted: on the picture book, one that was trained **adversarially** (assignment 3). Here are three
# painters with the same layers, on the same pairs, from the same start: the robust network, the standard one, and one
# that has never been trained: its weights are random numbers. This section always uses the picture book.
#
# **Predict first:** Gram matrices of random features are Gram matrices, too. Will the untrained network paint at all?


# %%
def untrained(network, seed=0):
    """Return a copy of a network with random weights."""
    network = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)
    return network


# %% figure="networks"
robust, standard, sibling = (
    mirrored(load_model(name, device="cpu")) for name in ("picturebook-robust", "picturebook", "picturebook-seed1")
)
painters = {"robust": robust, "standard": standard, "untrained": untrained(robust)}
tasks = pairs if drawn else style_pairs(robust, 128)


def missing(image, style, judge):
    """Return the part of a style that an image lacks, as a network sees it: the mean over its style layers."""
    shares = layers_of(judge)[1]
    targets, weights = style_targets(style, judge, dict.fromkeys(shares, 1 / len(shares)))
    return style_loss(features_of(image, judge, max(shares)), list(shares), targets, weights).item()


def stray(image, style):
    """Return how far the colours of an image are from those of a style: the mean distance to the nearest one in it."""
    ours, theirs = (pictures[0].flatten(1).T for pictures in (image, style))
    return torch.cdist(ours, theirs[::8]).amin(dim=1).mean().item()


def shaken(network, images, layer=1):
    """Return by which share noise that you can hardly see changes the features of a layer."""
    noise = 0.05 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0)).to(images)
    calm, loud = (features_of(each, network, layer)[layer] for each in (images, images + noise))
    return ((loud - calm).norm() / calm.norm()).item()


rows, lacks, strays = [], {name: [] for name in painters}, {name: [] for name in painters}
for task in progress(tasks, "painting", "pair"):
    row = [plots.picture(task.content[0]), plots.picture(task.style[0])]
    for name, network in painters.items():
        image = painted(task, network)
        lacks[name].append(missing(image, task.style, sibling))
        strays[name].append(stray(image, task.style))
        row.append(plots.picture(image[0], f"missing {lacks[name][-1]:.2f}, stray {strays[name][-1]:.2f}"))
    rows.append(row)
grain = {name: shaken(network, torch.cat([task.content for task in tasks])) for name, network in painters.items()}
heads = ["content", "style", *(f"{name}, grain {share:.2f}" for name, share in grain.items())]
plots.panels(rows, heads=heads, width=2.1)

# %% [markdown]
# What to see: *missing* is the part of the style that the picture lacks in the eyes of a network that has not painted, a sibling
# of the standard one; *stray* is how far the colours are from the nearest colour of the style picture. The untrained network brings
# colours and fine grain, and keeps the outlines, for which it need not know any object. But it brings neither stones nor
# strokes, and misses far more than the two others. The standard network's pictures are nearly as good as the robust
# one's to the sibling, and you see the difference at once: it leaves stains in colours that the style does not have. The robust
# network strays less on every pair.
#
# Why? *Grain* is by how much the features of layer 1 change when you add noise that you can hardly see. It moves the
# standard network's about twice as much as the robust one's. A painter whose features answer to what you cannot see
# can satisfy the loss with changes that you cannot see, or that look wrong to you. Training against small changes has
# taught the robust one to leave them alone; so what it changes to please the loss, you see as well (Nakano 2019).
#
# ## 5.9 Three claims to judge
#
# Each claim below is partly or wholly wrong. Say what holds, what does not, and why, in up to 180 words each.
#
# ### Claim 1: the shuffled page
#
# Gina cuts the starry sky into its pixels, puts them together again in an order of chance, and writes: "A Gram matrix forgets
# where things are. So my shuffled sky has the same Gram matrices as the sky itself, at every layer, and as a style picture it does as
# well." Judge her reason and both conclusions. What exactly does a Gram matrix forget, and what does it keep? Name two pictures that
# look unlike and that have the same Gram matrices at a layer of your choice, or nearly.

# %% [markdown] question="q_gram" points=3 words=180
# ### BEGIN SOLUTION
# **Model answer.** A Gram matrix forgets the places of the **activations** of its layer: shuffle these, all channels together, and it
# stays as it is (section 5.3). It keeps how strongly each channel answers on the whole, and which channels answer at the same
# places. Gina shuffled **pixels**. A channel of a convolution looks at several pixels next to each other, a stroke or an edge
# for instance. In the shuffled picture there are no strokes any more, so the channels answer to other things and the Gram
# matrices change, in the first layer already, and more in deeper ones, which look at larger pieces. Only what sees one pixel at a
# time would be the same: a 1 x 1 convolution, or the colours. So as a style her picture gives the palette and grain of
# one pixel. Two unlike pictures with nearly the same matrices are the starry sky and the texture of section 5.3, where the stars are
# elsewhere; or a sky and its mirror image for a layer whose filters come in mirrored pairs; or any two arrangements of
# things that stand further apart than a filter sees.
#
# **Rubric.**
# - 1 point: what is forgotten: the places of the activations, all channels together; and kept: which channels are active, how
#   strongly, and which at the same places.
# - 1 point: shuffled pixels are no shuffled activations: filters see several neighbouring pixels, so the matrices change.
# - 1 point: two pictures that differ in where things are, with a reason why the layer cannot tell, such as the texture of section 5.3.
# ### END SOLUTION

# %% [markdown]
# ### Claim 2: the layer with the largest loss
#
# Hugo prints the squared distance of the Gram matrices at each layer, as the table before exercise 5.4 does, with all weights 1. The
# first layers show numbers many times larger than the last ones. He writes: "Deep down the two pictures have almost the same
# style already, so I leave the deep layers out. And the picture with the smaller total loss is the better one." Judge his reason and
# the plan, and say what he could compare instead.

# %% [markdown] question="q_layers" points=3 words=180
# ### BEGIN SOLUTION
# **Model answer.** The reason is wrong. How large a squared distance is at a layer depends on how large its activations
# happen to be (its square goes with their fourth power), on the number of channels and on how many of them a ReLU has
# silenced. None of this has to do with the two pictures. Divided by the size of what is wanted, the last layer of the table is
# not nearest but furthest. A loss can be compared with another one at the **same** layer, of the same target: it falls
# during the iterations, or one picture has less than another. With all weights 1, the optimiser serves the
# first layers alone, which look at a few pixels; leaving the deep ones out takes the large patterns away, as the textures of section
# 5.3 show. That the smaller total is the better picture does not follow either: the total depends on the weights and on what is in it,
# so it compares pictures only where both are the same, and even then it is what was minimised, not what you like. Instead: relative
# distances layer by layer, and the pictures themselves.
#
# **Rubric.**
# - 1 point: sizes at different layers have different scales (activations, channels, zeros), so they say nothing across layers.
# - 1 point: what can be compared: one layer with itself (during the iterations, between pictures), or distances divided by the size
#   of the target; **or** that the total compares only for equal weights and terms.
# - 1 point: what leaving the deep layers out does to the picture: strokes or stones of their size get lost, with a figure as evidence.
# ### END SOLUTION

# %% [markdown]
# ### Claim 3: more smoothing, better picture
#
# Ines writes: "Total variation removes noise and nothing else. In section 5.4 the picture came closer to the original when I
# raised the weight. So I take a weight a hundred times larger, and for the hatching style too." Judge her three sentences. What does
# total variation discourage, what does it not, and what picture has none at all? What will become of the hatching?

# %% [markdown] question="q_variation" points=3 words=180
# ### BEGIN SOLUTION
# **Model answer.** Total variation charges for every difference between neighbours, whether it is noise or an edge. With squares, one
# step of 0.8 costs eight times as much as a slope of eight steps of 0.1, so edges become slopes (section 5.4). What it does not
# discourage: slow changes, strong colours, anything broad. A flat picture has none at all, whatever its colour, so with a
# weight large enough the picture becomes one flat colour. The second sentence is an observation and holds for those weights: the deep
# layer says nothing about grain, so charging for grain takes away what nobody asked for, and the
# picture gets nearer to the original. It does not go on like that: the original has edges, and when the price of the edges is more
# than the content is worth, they go. Going on from three weights to one a hundred times larger is a guess.
# The hatching consists of nothing but edges between neighbours, so total variation and the style ask for opposite things: the lines get pale and
# broad, or vanish. A style of large soft strokes would suffer less.
#
# **Rubric.**
# - 1 point: it charges for all differences between neighbours, edges included, and large steps most; broad and strong colours cost
#   nothing; a flat picture has none.
# - 1 point: why a little helps (it removes what the layer does not see) **and** that this does not carry on to any weight.
# - 1 point: the hatching is made of differences between neighbours: style and total variation oppose each other, with what is then seen.
# ### END SOLUTION

# %% [markdown]
# ## Check yourself
#
# Six questions, as often as you like; nothing is recorded.

# %% local
# @title Quiz
from helpers.widgets import quiz

quiz("05_style_transfer")

# %% [markdown]
# ## Recap
#
# - Activations say what is where; a Gram matrix says which of them go together, and no longer where.
# - An image has no single description: what a layer does not see, the optimiser fills as it likes, and total variation decides.
# - Losses of different layers have different scales. Divide by the size of what is wanted before you add them up.
# - An optimiser of pixels needs zero_grad, a closure and a cut at 0 and 1; the start and the number of steps are part of the recipe.
# - Which network paints matters as much as how: training decides what its features answer to.
#
# ## Further reading
#
# - Gatys, Ecker, Bethge 2015, [arXiv:1508.06576](https://arxiv.org/abs/1508.06576): the method; section *Methods*, equations 1 to 7.
# - Gatys, Ecker, Bethge 2015, *Texture Synthesis Using Convolutional Neural Networks*,
#   [arXiv:1505.07376](https://arxiv.org/abs/1505.07376): Gram matrices alone.
# - Mahendran, Vedaldi 2015, *Understanding Deep Image Representations by Inverting Them*,
#   [arXiv:1412.0035](https://arxiv.org/abs/1412.0035): features alone, and total variation.
# - Johnson, Alahi, Fei-Fei 2016, *Perceptual Losses for Real-Time Style Transfer and Super-Resolution*,
#   [arXiv:1603.08155](https://arxiv.org/abs/1603.08155): a network that paints in one pass, trained with these losses.
# - Li, Wang, Liu, Hou 2017, *Demystifying Neural Style Transfer*, [arXiv:1701.01036](https://arxiv.org/abs/1701.01036): matching Gram
#   matrices as matching the statistics of activations.
# - Nakano 2019, *Adversarially Robust Neural Style Transfer*,
#   [doi:10.23915/distill.00019.4](https://doi.org/10.23915/distill.00019.4): why robust networks paint better.

# %% [markdown] mistakes="content_loss"
# = return weight * ((features - target) ** 2).sum()
#
# + return weight * ((features - target) ** 2).mean()
# You take the mean, which divides by the number of activations. The formula has a sum.
# ~ a mean over all entries
#
# + return ((features - target) ** 2).sum()
# The weight is not used: multiply the sum by it.
# ~ weight is not used
#
# + return weight * ((features - target) ** 2).sum() / 2
# You halve the loss, as the paper does. Here the weight is the only factor.
# ~ a factor of 1/2
#
# + return weight * (features - target).norm()
# You return the norm, the root of the sum of squares. Leave the root out.
# ~ leave the root out
#
# + return weight * (features - target).abs().sum()
# You add up absolute values. The differences are squared.
# ~ `abs`
#
# + return weight * ((features - target) ** 2).sum(dim=(1, 2, 3))
# You return a loss for each image. The sum runs over the images, too: sum() without dim.
# ~ the sum stops halfway
#
# + return weight * ((features - target) ** 2).sum() / len(features)
# You take the mean over the images of a batch. The sum runs over all of them.
# ~ mean over the images
#
# + return weight * ((features[0] - target[0]) ** 2).sum()
# You compare the first image only. The sum runs over all images of the batch.
# ~ first image alone
#
# + return ((weight * (features - target)) ** 2).sum()
# The weight is squared along with the difference. Multiply the sum by it.
# ~ weight is squared
#
# + return weight * (features - target).sum() ** 2
# You square the sum, in which differences of opposite signs cancel. Square first, then add up.
# ~ the square of the sum
#
# + return weight * (features**2 - target**2).sum()
# You take the difference of the squares, which may be negative. Take the square of the difference.
# ~ a difference of squares
#
# + return weight * ((features.detach() - target) ** 2).sum()
# You cut the way back to the pixels: no gradient arrives there. Leave detach() out.
# ~ cuts the way back
#
# + return weight * ((features - target) ** 2).sum().item()
# You return a plain number, which autograd cannot go back from. Return the tensor as it comes.
# ~ `.item()`
#
# + return weight * ((features.detach() - target) * (features - target)).sum()
# One of the two factors is detached, so that the slope is half of what it should be. Leave detach() out.
# ~ a part of the way back is cut
#
# + features -= target
# + return weight * (features**2).sum()
# You change the caller's features in place. Write features - target, which is a new tensor.
# ~ in place


# %% variant="content_loss"
from torch.nn import functional as F


def content_loss(features, target, weight):
    return weight * F.mse_loss(features, target, reduction="sum")


# %% variant="content_loss"
def content_loss(features, target, weight):
    away = features - target.detach()
    return weight * (away * away).flatten().sum()


# %% variant="content_loss"
def content_loss(features, target, weight):
    total = features.new_zeros(())
    for found, wanted in zip(features, target):
        total = total + torch.linalg.vector_norm(found - wanted) ** 2
    return total * weight


# %% variant="content_loss"
def content_loss(features, target, weight):
    away = (features - target).reshape(-1)
    return weight * torch.dot(away, away)


# %% variant="content_loss"
def content_loss(features, target, weight):
    return torch.einsum("nchw,nchw->", features - target, features - target).mul(weight)


# %% [markdown] mistakes="style_transfer_step"
# = optimiser.zero_grad()
# +
# You never wipe out the gradient: backward adds to what is there, and the steps go by a heap of old slopes. Call
# optimiser.zero_grad() first in the closure.
# ~ gradient of an earlier step
#
# = value = loss(image)
#
# + value = loss(image.detach().clone().requires_grad_())
# = value.backward(inputs=[image])
# + value.backward()
# You compute the loss of a copy, so the gradient ends up in the copy and the image never moves. Give loss the image
# itself.
# ~ loss is that of a copy
#
# = value = loss(image)
# + value = -loss(image)
# = return before.detach()
# + return -before.detach()
# You negate the loss, so the optimiser climbs. Let it go down.
# ~ goes up
#
# = value.backward(inputs=[image])
#
# + value.backward()
# backward() also wrote into .grad of the network's parameters. Say backward(inputs=[image]).
# ~ .grad
#
# + value.backward(inputs=[image])
# + optimiser.zero_grad()
# You wipe out the gradient after backward, so that the optimiser finds none. Call zero_grad before.
# ~ finds no gradient
#
# + value.backward(inputs=[image])
# + image.grad /= image.grad.norm()
# You normalise the gradient. The optimiser decides how far to go: leave the gradient as it is.
# ~ a normalised gradient
#
# + value.backward(inputs=[image])
# + image.grad.sign_()
# You keep the signs of the gradient alone. Leave the gradient as it is.
# ~ the sign of the gradient
#
# = before = optimiser.step(closure)
#
# + before = closure()
# + optimiser.step()
# You call step() without a closure. That serves Adam, but L-BFGS must be able to ask for the loss: step(closure).
# ~ without a closure
#
# + optimiser = torch.optim.SGD([image], lr=optimiser.param_groups[0]["lr"])
# + before = optimiser.step(closure)
# You make a new optimiser in each call. It has forgotten momentum and all else that it learned: use the one that was
# passed in.
# ~ another optimiser
#
# + before = optimiser.step(closure)
# + optimiser.step(closure)
# You make two steps. Make one.
# ~ two steps
#
# + with torch.no_grad():
# +     image.clamp_(0, 1)
# + before = optimiser.step(closure)
# = with torch.no_grad():
# = image.clamp_(0, 1)
# +
# You cut off before the step, so that its result leaves [0, 1]. Cut off after it.
# ~ nothing is cut off
#
# = def closure():
# = optimiser.zero_grad()
# = value = loss(image)
# + value = loss(image)
# + def closure():
# +     optimiser.zero_grad()
# You compute the loss once, outside of the closure. When L-BFGS asks again, it gets the old one. Compute it inside.
# ~ outside of the closure
#
# = with torch.no_grad():
# = image.clamp_(0, 1)
#
# + image = image.clamp(0, 1)
# Nothing is cut off in the caller's image: there is no clamp, or a name is bound to a clamped copy. Clamp in place after
# the step: image.clamp_(0, 1).
# ~ nothing is cut off in place
#
# + with torch.no_grad():
# +     image.sub_(image.min()).div_(image.max())
# You rescale the image to [0, 1], which changes its contrast in every step. Clamp moves the values outside alone.
# ~ rescaled
#
# + image.requires_grad_(False)
# + image.clamp_(0, 1)
# You switch requires_grad off and never on again, so that the next step fails. Use with torch.no_grad():.
# ~ no gradient any more
#
# + with torch.no_grad():
# +     image.clamp_(-1, 1)
# You cut off at -1 and 1. A pixel is in [0, 1].
# ~ a pixel is in [0, 1]
#
# = return before.detach()
#
# + return before
# The loss still carries its graph, which keeps all activations of the network alive. Return it detached, or a float.
# ~ still carries the graph
#
# + return loss(image).detach()
# You return the loss after the step. The one before it comes for nothing: step returns it.
# ~ after the step
#
# + return image
# You return the image, which the caller has anyway. Return the loss.
# ~ something other than the loss


# %% variant="style_transfer_step"
def style_transfer_step(image, loss, optimiser):
    values = []

    def closure():
        image.grad = None
        with torch.enable_grad():
            values.append(loss(image))
        image.grad = torch.autograd.grad(values[-1], image)[0].clone()
        return values[-1]

    optimiser.step(closure)
    image.data.clamp_(0, 1)
    return values[0].item()


# %% variant="style_transfer_step"
def style_transfer_step(image, loss, optimiser):
    def closure():
        optimiser.zero_grad(set_to_none=False)
        value = loss(image)
        value.backward(inputs=image)
        return value

    before = float(optimiser.step(closure))
    image.data = image.data.clamp(min=0, max=1)
    return before


# %% variant="style_transfer_step"
class Closure:
    """The same as a class; a function is shorter."""

    def __init__(self, image, loss, optimiser):
        self.image, self.loss, self.optimiser = image, loss, optimiser

    def __call__(self):
        self.optimiser.zero_grad()
        value = self.loss(self.image)
        torch.autograd.backward(value, inputs=[self.image])
        return value


@torch.no_grad()
def style_transfer_step(image, loss, optimiser):
    with torch.enable_grad():
        before = optimiser.step(Closure(image, loss, optimiser))
    image[image < 0] = 0
    image[image > 1] = 1
    return before.detach().clone()


# %% variant="style_transfer_step"
def style_transfer_step(image, loss, optimiser):
    before = None

    def closure():
        nonlocal before
        if image.grad is not None:
            image.grad.zero_()
        value = loss(image)
        value.backward(inputs=[image])
        before = value.item() if before is None else before
        return value.item()

    optimiser.step(closure)
    with torch.no_grad():
        image.copy_(image.clip(0, 1))
    return before


# %% [markdown] mistakes="gram_matrix"
# = flat = features.reshape(count, channels, height * width)
#
# + flat = features.reshape(count, height * width, channels).transpose(1, 2)
# view or reshape to (N, H * W, C) reads the numbers in another order and mixes channels and places. Reshape to (N, C,
# H * W), and use transpose to move an axis.
# ~ another order
#
# + flat = features.reshape(count, channels, height * width)
# + flat = flat - flat.mean(dim=2, keepdim=True)
# You subtract the mean of each channel, which gives covariances. A Gram matrix keeps it.
# ~ mean of each channel
#
# + flat = features.reshape(count, channels, height * width)
# + flat = flat / flat.norm(dim=2, keepdim=True)
# You scale each channel to length 1, which gives cosines. Leave the channels as they are.
# ~ scaled to length 1
#
# + flat = features.reshape(count, channels, height * width).abs()
# You take absolute values first. Activations count with their sign.
# ~ `abs`
#
# + flat = features.reshape(count, channels, height * width).relu()
# You apply a ReLU first. Activations count with their sign.
# ~ a ReLU
#
# + flat = features.detach().reshape(count, channels, height * width)
# The values are right, but you cut the way back to the pixels: no gradient arrives there. Leave detach() out.
# ~ cuts the way back
#
# = gram = flat @ flat.transpose(1, 2)
#
# + gram = flat.transpose(1, 2) @ flat
# You sum over the channels and get a matrix of places. The sum must run over the places: flat @ flat.transpose(1, 2).
# ~ other way round
#
# + gram = torch.einsum("ncp,ndp->cd", flat, flat)
# You sum over the images as well and get one matrix for all. Each image has its own.
# ~ axis of the images
#
# + gram = torch.einsum("ncp,ndp->cd", flat, flat).expand(count, -1, -1)
# You sum over the images as well and give the same matrix to all. Each image has its own.
# ~ a sum over the batch
#
# + gram = flat.reshape(count * channels, -1) @ flat.reshape(count * channels, -1).T
# + gram = gram[None]
# You join images and channels by view(N * C, H * W), and so multiply channels of one image with those of another. It
# only fits a single image. Keep the axis of the images.
# ~ joins images and channels
#
# + gram = flat @ flat.detach().transpose(1, 2)
# One of the two factors is detached, so that the slope is wrong. Leave detach() out.
# ~ a part of the way back is cut
#
# = return gram / (channels * height * width) if normalize else gram
#
# + return gram
# You never normalise. Divide by C * H * W where normalize is true.
# ~ not divided
#
# + return gram / (channels * height * width)
# You always normalise. Divide only where normalize is true.
# ~ `normalize` is not used
#
# + return gram if normalize else gram / (channels * height * width)
# You normalise the other way round: divide where normalize is true, and only there.
# ~ the other way round
#
# + return gram / (height * width) if normalize else gram
# You divide by the number of places alone. Divide by C * H * W.
# ~ H * W alone
#
# + return gram / channels if normalize else gram
# You divide by the number of channels alone. Divide by C * H * W.
# ~ C alone
#
# + return gram / features.numel() if normalize else gram
# You divide by numel(), which counts the images, too. Divide by C * H * W.
# ~ number of images
#
# + return gram / (channels * gram.numel()) if normalize else gram
# You divide by the number of entries of the Gram matrix. Divide by that of the features: C * H * W.
# ~ By what
#
# = flat = features.reshape(count, channels, height * width)
# + flat = features.view(count, channels, height * width)
# + if normalize:
# +     flat /= (channels * height * width) ** 0.5
# = return gram / (channels * height * width) if normalize else gram
# + return gram
# You scale the caller's features in place (/=). Divide into a new tensor: flat = flat / ...
# ~ in place


# %% variant="gram_matrix"
def gram_matrix(features, normalize=True):
    gram = torch.einsum("nchw,ndhw->ncd", features, features)
    return gram / features[0].numel() if normalize else gram


# %% variant="gram_matrix"
def gram_matrix(features, normalize=True):
    grams = []
    for maps in features:
        flat = maps.flatten(1)
        grams.append(flat.mm(flat.t()))
    gram = torch.stack(grams)
    if normalize:
        gram = gram.div(features.shape[1] * features.shape[2] * features.shape[3])
    return gram


# %% variant="gram_matrix"
def gram_matrix(features, normalize=True):
    flat = features.flatten(2)
    scale = flat[0].numel() if normalize else 1
    return torch.bmm(flat / scale, flat.permute(0, 2, 1))


# %% variant="gram_matrix"
def gram_matrix(features, normalize=True):
    channels = features.shape[1]
    rows = [(features * features[:, k : k + 1]).sum(dim=(2, 3)) for k in range(channels)]
    gram = torch.stack(rows, dim=1)
    gram /= channels * features[0, 0].numel() if normalize else 1.0
    return gram


# %% variant="gram_matrix"
def gram_matrix(features, normalize=True):
    count, channels, height, width = features.size()
    places = features.permute(0, 2, 3, 1).reshape(count, height * width, channels)
    gram = places.transpose(1, 2).matmul(places)
    return gram * (1 / (channels * height * width)) ** bool(normalize)


# %% [markdown] mistakes="style_loss"
# = total = 0.0
# = for layer, target, weight in zip(layers, targets, weights):
# + total = 0.0
# + while layers:
# +     layer, target, weight = layers.pop(0), targets.pop(0), weights.pop(0)
# You empty the caller's lists (pop). Go through them with zip.
# ~ a list is changed
#
# = for layer, target, weight in zip(layers, targets, weights):
#
# + for layer, (target, weight) in enumerate(zip(targets, weights)):
# You use the first layers of the network: features[i] in place of features[layers[i]].
# ~ the first layers
#
# + for layer, target, weight in zip(sorted(layers), targets, weights):
# You put the layers in order, and their targets and weights stay where they were. Take all three as they come.
# ~ put in order
#
# + for layer, target, weight in zip(layers, targets, weights[::-1]):
# You pair weights and layers the other way round. weights[i] belongs to layers[i].
# ~ paired the other way round
#
# = total = total + weight * ((gram_matrix(features[layer]) - target) ** 2).sum()
#
# + total = total + ((gram_matrix(features[layer]) - target) ** 2).sum()
# The weights are not used: multiply the sum of each layer by its own.
# ~ weights are not used
#
# + total = total + weight * ((gram_matrix(features[layer]) - target) ** 2).mean()
# You take the mean over the entries of the matrix. The formula has a sum.
# ~ a mean over the entries
#
# + total = total + weight * ((gram_matrix(features[layer], False) - target) ** 2).sum()
# You compare Gram matrices that are not normalised with targets that are. Leave normalize true.
# ~ not normalised
#
# + total = total + weight * (gram_matrix(features[layer]) - target).abs().sum()
# You add up absolute values. The differences are squared.
# ~ `abs`
#
# + total = total + weight * (gram_matrix(features[layer]) - target).norm()
# You take the norm of the difference, the root of the sum of squares. Leave the root out.
# ~ leave the root out
#
# + total = total + ((weight * (gram_matrix(features[layer]) - target)) ** 2).sum()
# Each weight is squared along with the difference. Multiply the sum by it.
# ~ weights are squared
#
# + total = weight * ((gram_matrix(features[layer]) - target) ** 2).sum()
# Each layer overwrites the sum, so that only the last one counts. Add up: total = total + ...
# ~ only the last layer
#
# + total = total + weight * ((gram_matrix(features[layer]) - target) ** 2).sum() / 4
# You divide by 4, as the paper does. Here the weight is the only factor.
# ~ the paper's factor
#
# + total = total + weight * ((gram_matrix(features[layer]) - target) ** 2).sum() / len(target)
# You take the mean over the images of a batch. The sum runs over all of them.
# ~ mean over the images
#
# + total = total + weight * ((gram_matrix(features[layer].detach()) - target) ** 2).sum()
# You cut the way back to the pixels: no gradient arrives there. Leave detach() out.
# ~ cuts the way back
#
# + distance = gram_matrix(features[layer]) - target
# + total = total + weight * (distance * distance.detach()).sum()
# One of the two factors is detached, so that the slope is half of what it should be. Leave detach() out.
# ~ a part of the way back is cut
#
# = return total
#
# +     return total
# You return inside the loop, after the first layer. Return when the loop is over.
# ~ only the first layer
#
# + return total / len(layers)
# You take the mean over the layers. The formula has a sum.
# ~ mean over the layers
#
# + return total.item()
# You return a plain number, which autograd cannot go back from. Return the tensor as it comes.
# ~ `.item()`


# %% variant="style_loss"
def style_loss(features, layers, targets, weights):
    return sum(
        weight * (gram_matrix(features[layer]) - target).pow(2).sum()
        for layer, target, weight in zip(layers, targets, weights)
    )


# %% variant="style_loss"
from torch.nn import functional as F


def style_loss(features, layers, targets, weights):
    losses = []
    for i in range(len(layers)):
        losses.append(weights[i] * F.mse_loss(gram_matrix(features[layers[i]]), targets[i], reduction="sum"))
    return torch.stack(losses).sum()


# %% variant="style_loss"
def style_loss(features, layers, targets, weights):
    total = torch.zeros((), dtype=features[0].dtype, device=features[0].device)
    for i, layer in enumerate(layers):
        grams = gram_matrix(features[layer], normalize=True)
        total += weights[i] * torch.linalg.matrix_norm(grams - targets[i]).square().sum()
    return total


# %% variant="style_loss"
def style_loss(features, layers, targets, weights):
    """No gram_matrix: the product of each two channels, written out."""
    total = 0
    for layer, target, weight in zip(layers, targets, weights):
        maps = features[layer]
        grams = torch.einsum("ncp,ndp->ncd", maps.flatten(2), maps.flatten(2)) / maps[0].numel()
        away = (grams - target).flatten()
        total = total + weight * (away @ away)
    return total


# %% [markdown] mistakes="total_variation_loss"
# = below = images[..., 1:, :] - images[..., :-1, :]
# = beside = images[..., :, 1:] - images[..., :, :-1]
#
# + below = images - images.roll(1, dims=2)
# + beside = images - images.roll(1, dims=3)
# roll brings in at one side what leaves at the other, so that opposite borders count as neighbours. Subtract slices.
# ~ opposite borders
#
# + below = images[..., 1:, :-1] - images[..., :-1, :-1]
# + beside = images[..., :-1, 1:] - images[..., :-1, :-1]
# You cut both differences to (H - 1, W - 1), and lose the last row or column of pairs of each. Add up each by itself.
# ~ a row and a column of pairs
#
# + below = images[..., 2:, :] - images[..., :-2, :]
# + beside = images[..., :, 2:] - images[..., :, :-2]
# You compare pixels that are two places apart. Neighbours are one apart.
# ~ two places apart
#
# + images = images.mean(dim=1, keepdim=True)
# + below = images[..., 1:, :] - images[..., :-1, :]
# + beside = images[..., :, 1:] - images[..., :, :-1]
# You make the picture grey first. Each channel has its own pairs.
# ~ channels are mixed
#
# + below = images[..., 1:, :] - images[..., :-1, :]
# + beside = images[..., :, 1:] - images[..., :, :-1].detach()
# One of two neighbours is detached, so that half of the slope is lost. Leave detach() out.
# ~ a part of the way back is cut
#
# + images = images.detach()
# + below = images[..., 1:, :] - images[..., :-1, :]
# + beside = images[..., :, 1:] - images[..., :, :-1]
# You cut the way back to the pixels: no gradient arrives there. Leave detach() out.
# ~ cuts the way back
#
# + beside = images[..., :, 1:] - images[..., :, :-1]
# + below = images[..., 1:, :]
# + below -= images[..., :-1, :].clone()
# You change the caller's images in place: a slice is a view. Write a - b, which is a new tensor.
# ~ in place
#
# = return weight * ((below**2).sum() + (beside**2).sum())
#
# + return weight * (below.abs().sum() + beside.abs().sum())
# You add up absolute values. The differences are squared.
# ~ `abs`
#
# + return weight * (below**2).sum()
# You compare pixels below each other only. Those beside each other count, too.
# ~ only pixels below
#
# + return weight * (beside**2).sum()
# You compare pixels beside each other only. Those below each other count, too.
# ~ only pixels beside
#
# + return weight * ((below**2).mean() + (beside**2).mean())
# You take the mean over the pairs. The formula has a sum.
# ~ a mean over the pairs
#
# + return (below**2).sum() + (beside**2).sum()
# The weight is not used: multiply the sum by it.
# ~ weight is not used
#
# + return weight * (below[..., :-1] ** 2 + beside[..., :-1, :] ** 2 + 1e-30).sqrt().sum()
# You take the root of both differences together. Add up the squares.
# ~ a root
#
# + return weight * (below.sum() ** 2 + beside.sum() ** 2)
# You square the sums, in which differences of opposite signs cancel. Square first, then add up.
# ~ the square of the sum
#
# + return weight * ((below**2).sum() + (beside**2).sum()) / len(images)
# You take the mean over the images of a batch. The sum runs over all of them.
# ~ mean over the images
#
# + return weight * ((below**2).sum(dim=(1, 2, 3)) + (beside**2).sum(dim=(1, 2, 3)))
# You return a loss for each image. The sum runs over the images, too: sum() without dim.
# ~ the sum stops halfway
#
# + across = images[:, 1:] - images[:, :-1]
# + return weight * ((below**2).sum() + (beside**2).sum() + (across**2).sum())
# You compare the colour channels with each other, too. Neighbours are pixels of one channel.
# ~ of one channel
#
# + return weight * ((below**2).sum() + (beside**2).sum()) / 2
# You halve the loss. The weight is the only factor.
# ~ a factor of 1/2
#
# + return (weight * ((below**2).sum() + (beside**2).sum())).item()
# You return a plain number, which autograd cannot go back from. Return the tensor as it comes.
# ~ `.item()`


# %% variant="total_variation_loss"
def total_variation_loss(images, weight):
    return weight * (images.diff(dim=2).square().sum() + images.diff(dim=-1).square().sum())


# %% variant="total_variation_loss"
from torch.nn import functional as F


def total_variation_loss(images, weight):
    down = F.mse_loss(images[:, :, 1:], images[:, :, :-1], reduction="sum")
    right = F.mse_loss(images[:, :, :, 1:], images[:, :, :, :-1], reduction="sum")
    return (down + right) * weight


# %% variant="total_variation_loss"
def total_variation_loss(images, weight):
    """roll, without the pair that it makes of opposite borders."""
    down = (images.roll(-1, dims=2) - images)[:, :, :-1]
    right = (images.roll(-1, dims=3) - images)[..., :-1]
    return weight * torch.cat([down.flatten(), right.flatten()]).pow(2).sum()


# %% variant="total_variation_loss"
def total_variation_loss(images, weight):
    """A convolution for each direction."""
    single = images.flatten(0, 1)[:, None]
    kernel = torch.tensor([1.0, -1.0], dtype=images.dtype, device=images.device)
    down = torch.nn.functional.conv2d(single, kernel.view(1, 1, 2, 1))
    right = torch.nn.functional.conv2d(single, kernel.view(1, 1, 1, 2))
    return weight * (down**2).sum() + weight * (right**2).sum()


# %% variant="total_variation_loss"
def total_variation_loss(images, weight):
    height, width = images.shape[2:]
    total = images.new_zeros(())
    for row in range(height - 1):
        total = total + ((images[:, :, row + 1] - images[:, :, row]) ** 2).sum()
    for column in range(width - 1):
        total = total + ((images[..., column + 1] - images[..., column]) ** 2).sum()
    return total * weight
