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
# # 1 Saliency maps
#
# You turn the question "which pixels matter to this network?" into one backward pass, and you learn when to believe
# the answer.
#
# **You will**
#
# - **compute** the saliency maps of a whole batch with a single backward pass, and know when that is allowed;
# - **compare** what you differentiate, how you draw it and how you smooth it, and find the object from the map alone;
# - **doubt** the result: measure it against masks, and against maps that have never seen a network.
#
# **Time** about 3 hours, 70 minutes of it for the exercises. **Points** 16 for four exercises, 12 for four questions.
# **Prerequisites** PyTorch tensors and `autograd`, convolutional networks, softmax.
# **Paper** K. Simonyan, A. Vedaldi, A. Zisserman, *Deep Inside Convolutional Networks: Visualising Image
# Classification Models and Saliency Maps*, 2014, [arXiv:1312.6034](https://arxiv.org/abs/1312.6034).
#
# | symbol | meaning | shape |
# |---|---|---|
# | $x$ | image, values in [0, 1] | (3, H, W) |
# | $y$ | label: the class you ask about | a number |
# | $s_c(x)$ | score of class $c$, before any softmax | a number |
# | $p_c(x)$ | probability of class $c$: softmax of the scores | a number |
# | $g = \partial s_y / \partial x$ | gradient of the score | (3, H, W) |
# | $M$ | saliency map | (H, W) |

# %% setup
import copy
import math

import torch
from IPython.display import display
from torch import nn
from torch.nn import functional as F

from helpers import graphcut, plots
from helpers.checks import saliency as checks
from helpers.models import load_model
from helpers.pictures import example_pictures, mistakes, own_pictures, picture_book
from helpers.progress import progress
from helpers.widgets import between, explore
from helpers.writeup import save_figure

model = load_model()
pictures = example_pictures(model, 5)
with torch.no_grad():
    probabilities = model(pictures.images).softmax(dim=1)
    predictions = probabilities.argmax(dim=1)
print(f"{model.name}: {len(model.classes)} classes, images of {tuple(pictures.images.shape[1:])}")
for name, row, prediction in zip(pictures.names, probabilities, predictions):
    print(f"  label {name:18} prediction {model.classes[prediction]:18} probability {row[prediction]:.3f}")

# %% [markdown]
# The model takes **pixels**: float tensors (N, 3, H, W) with values in [0, 1]. The normalisation it was trained with is
# its first layer, so a gradient below is a gradient with respect to pixels. It is frozen and in eval mode.
#
# ## 1.1 A gradient answers a question about a small change
#
# How much does the score of a class change when one pixel changes a little? That number is a partial derivative, and
# the gradient holds one for every pixel and channel.
#
# Take a model that you can differentiate by hand: a linear scorer. Each class has a row of weights, and its score is
#
# $$s_y(x) = w_y \cdot x + b_y \qquad\Rightarrow\qquad \frac{\partial s_y}{\partial x} = w_y .$$
#
# The gradient **is** the weight row, whatever the image. Below, an "image" of four pixels, and two classes.

# %% example
image = torch.tensor([0.2, 0.9, 0.5, 0.0])
weights = torch.tensor([[2.0, -1.0, 0.0, 1.0], [0.0, 3.0, -4.0, 0.5]])
bias = torch.tensor([0.1, -0.3])

pixels = image.clone().requires_grad_()  # a tensor of our own: the caller's image stays as it is
scores = weights @ pixels + bias
for label in (0, 1):
    (gradient,) = torch.autograd.grad(scores[label], pixels, retain_graph=True)
    print(f"class {label}: score {scores[label].item():+.2f}   gradient {gradient.tolist()}")

# %% [markdown]
# Read the second line: brightening pixel 1 by 0.01 raises the score of class 1 by 0.03, and brightening pixel 2 by 0.01
# lowers it by 0.04. Pixel 0 has no say in class 1, bright or not.
#
# A deep network is no linear scorer, but near one image it behaves like one (paper, section 3, equation 3):
#
# $$s_y(x + d) \approx s_y(x) + g \cdot d \qquad \text{for a small change } d .$$
#
# How small is small? Walk from the first picture along its gradient, and compare the score with this prediction.

# %% example
image, label = pictures.images[:1], predictions[0]
pixels = image.clone().requires_grad_()
score = model(pixels)[0, label]
(gradient,) = torch.autograd.grad(score, pixels)
print("length of step    predicted change    real change    ratio")
for length in (0.001, 0.01, 0.1, 1.0, 10.0):
    step = length * gradient / gradient.norm()
    predicted = (gradient * step).sum().item()
    with torch.no_grad():
        real = (model(image + step)[0, label] - score).item()
    print(f"{length:14.3f}    {predicted:16.4f}    {real:11.4f}    {real / predicted:5.2f}")

# %% [markdown]
# The ratio is near 1 for tiny steps and leaves it soon: a gradient speaks about small changes only. Keep this table in
# mind for the questions at the end.
#
# ## 1.2 One backward pass for a whole batch
#
# For N images you need N gradients, $\partial s_{y_i}(x_i) / \partial x_i$. PyTorch differentiates one number at a
# time. The trick is to add the N scores up and differentiate the sum:
#
# $$\frac{\partial}{\partial x_i} \sum_j s_{y_j}(x_j) = \frac{\partial s_{y_i}(x_i)}{\partial x_i},
# \qquad \text{because } s_{y_j}(x_j) \text{ does not contain } x_i \text{ for } j \neq i .$$
#
# Everything hangs on that "because". Convolutions, linear layers, ReLU and pooling treat each image on its own.
# **BatchNorm in training mode does not**: it subtracts the mean of the batch, so the score of one image depends on all
# the others. The next cell measures the leak: how far does the score of image 0 depend on the pixels of image 1?

# %% example
torch.manual_seed(0)
mixed = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)
).double()
batch, batch_labels = torch.rand(6, 3, 10, 10).double(), torch.tensor([0, 1, 2, 3, 0, 1])


def gradient_of_sum(images, labels):
    pixels = images.clone().requires_grad_()
    own = mixed(pixels).gather(1, labels[:, None])
    return torch.autograd.grad(own.sum(), pixels)[0]


for mode in ("eval", "train"):
    mixed.train(mode == "train")
    pixels = batch.clone().requires_grad_()
    (leak,) = torch.autograd.grad(mixed(pixels)[0, 0], pixels)
    whole = gradient_of_sum(batch, batch_labels)
    halves = torch.cat([gradient_of_sum(batch[:3], batch_labels[:3]), gradient_of_sum(batch[3:], batch_labels[3:])])
    print(f"{mode:5} mode: |d score 0 / d image 1| = {leak[1].norm():.1e}    ", end="")
    print(f"one batch of 6 against two of 3: relative difference {(whole - halves).norm() / whole.norm():.1e}")

# %% [markdown]
# In eval mode the leak is exactly zero, and the sum trick is exact, up to rounding. In training mode the "map of image 0"
# contains what image 0 does to five other scores. Nothing warns you: shapes and pictures look normal.
#
# One more tool. `gather` picks one number per row, the score of each image's own label. Indexing with `scores[:, labels]`
# looks alike and does something else.

# %% example
scores = torch.tensor([[10.0, 11.0, 12.0], [20.0, 21.0, 22.0]])
labels = torch.tensor([2, 0])
print("gather:           ", scores.gather(1, labels[:, None]).tolist())
print("scores[:, labels]:", scores[:, labels].tolist())

# %% [markdown]
# ### Exercise 1.1: saliency maps
#
# **Given** a batch of images, a label for each, and a model. **Return** one map for each image. **Rule:** the saliency
# of a pixel is the steepest slope of the score of the image's own label among the three channels, up or down:
#
# $$M_{hw} = \max_{c} \left| \frac{\partial s_y}{\partial x_{chw}} \right| .$$
#
# The score is the unnormalised one. One backward pass serves the whole batch.
#
# <details>
# <summary>The gradient is None, or "One of the differentiated Tensors appears to not have been used in the graph"</summary>
#
# You must give the model the very tensor you differentiate with respect to. Make it first, then ask for its gradient:
# `images.detach().clone().requires_grad_()`. In the other order, `requires_grad_().clone()`, the clone is no leaf and
# gets no `.grad`.
#
# </details>
#
# <details>
# <summary>"grad can be implicitly created only for scalar outputs"</summary>
#
# You have N scores. Read section 1.2 again: which single number has all N gradients in it?
#
# </details>
#
# <details>
# <summary>The check says that the parameters' .grad changed</summary>
#
# `.backward()` fills `.grad` of every tensor in the graph that requires a gradient, the weights of a trainable network
# included. `torch.autograd.grad(output, input)` returns the gradient you ask for and writes nowhere. So does
# `.backward(inputs=[pixels])`, which writes into `pixels.grad` alone.
#
# </details>


# %% exercise="compute_saliency_maps" minutes=20 difficulty=2
def compute_saliency_maps(images, labels, model):
    """Return the class saliency map of each image (Simonyan et al. 2014, section 3.1).

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 1, float32 or float64.
        labels: (N,) int64 tensor, the class whose score is explained for each image.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.

    Returns:
        (N, H, W) tensor, detached, of the images' dtype and device: the maximum over the channels of
        |d score of the own label / d pixel|, in score units per pixel unit; not normalised.

    Leaves images, labels and the model (parameters, mode, hooks, .grad) as they were.
    """
    ### BEGIN SOLUTION
    pixels = images.detach().clone().requires_grad_()
    scores = model(pixels)
    own = scores.gather(1, labels[:, None])
    (gradient,) = torch.autograd.grad(own.sum(), pixels)
    return gradient.abs().amax(dim=1)
    ### END SOLUTION


# %% check="compute_saliency_maps" points=4
checks.compute_saliency_maps(compute_saliency_maps)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of, other_problems, problem
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of

compute_saliency_maps = Watched(compute_saliency_maps)


def twice_and_left_as_found():
    images, labels, model = problem(105, 2, trainable=True)
    compute_saliency_maps(images, labels, model)
    maps = compute_saliency_maps(images, labels, model)
    return maps, left_of(maps, images=images, labels=labels), state_of(model), compute_saliency_maps.left_torch


emit("three images", lambda: compute_saliency_maps(*problem(101, 3)))
emit(
    "one image after the other, on three networks",
    lambda: [compute_saliency_maps(*given) for given in other_problems(102, 1)],
)
emit(
    "float32, a trainable network",
    lambda: compute_saliency_maps(*problem(104, 4, (7, 10), classes=4, dtype=torch.float32, trainable=True)),
)
emit("the images' dtype", lambda: in_both_dtypes(compute_saliency_maps, lambda dtype: problem(106, 1, dtype=dtype)))
emit("a second call, everything left as found", twice_and_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# **Predict first:** will the brightest pixels fill the object, or sit on some of its parts?

# %% figure="maps"
maps = compute_saliency_maps(pictures.images, predictions, model)
figure = plots.panels(
    [
        [plots.picture(image, model.classes[label]) for image, label in zip(pictures.images, predictions)],
        [plots.unsigned(saliency_map) for saliency_map in maps],
        [plots.overlay(image, saliency_map) for image, saliency_map in zip(pictures.images, maps)],
    ],
    names=["picture", "saliency", "overlay"],
)
save_figure(figure, "01_saliency-maps")

# %% [markdown]
# What to see: the bright pixels gather on the object, more on some parts than on others, and they are grainy. Between two
# neighbouring pixels the map may jump from nearly zero to its maximum. Each map has a scale of its own; the colour bar
# below it tells how large the slopes are. (The fine grid on the maps of an ImageNet network is its first layer: a
# convolution that moves by two pixels visits some pixels more often than others.)
#
# ## 1.3 Ask about another label
#
# The map depends on the image, the network **and the label**. You may ask about any label, the wrong ones too: "which
# pixels would change the score of *this* class?"
#
# **Predict first:** does the map of a class that is not in the picture light up somewhere else, or nowhere?


# %% example
def labels_in_order(image):
    """Return the labels of all classes, the one with the largest score first."""
    with torch.no_grad():
        return model(image[None])[0].argsort(descending=True)


# %% figure="labels"
rows = []
for image in pictures.images[[0, 4]]:
    order = labels_in_order(image)
    asked = order[[0, 1, len(order) // 2, len(order) - 1]]
    maps = compute_saliency_maps(image.expand(4, -1, -1, -1), asked, model)
    top = plots.robust_top(maps)
    rows.append([plots.picture(image), *(plots.unsigned(m, model.classes[c], top) for m, c in zip(maps, asked))])
plots.panels(rows, heads=["picture", "best score", "second best", "middle", "worst"], title="One picture, four labels")

# %% [markdown]
# What to see: the maps of one row share one scale. Absent classes have maps too. On the picture book they are about as
# bright as that of the right one; on SqueezeNet they get darker with the rank, and nearly black for the worst, since it
# ends in a ReLU for each class, which passes no slope where its input is negative (assignment 2, section 2.3). Those that
# you can see light up much the same region. The parts that speak **for** one class speak **against** another, and the
# absolute value hides which of the two. A saliency map says *where* the network is sensitive. It is a weak witness for
# *which class* it sees there. Assignment 2 has a method that separates classes better.
#
# Wrong predictions are where you want an explanation most. The next figure takes pictures that the model gets wrong, and
# asks once about the true label $y$, once about the predicted label $\hat y$. The last column is the slope of
# $s_{\hat y} - s_y$: where it is red, more light pushes towards the mistake; where it is blue, away from it.

# %% figure="mistakes"
wrong = mistakes(model, 4)
with torch.no_grad():
    mistaken = model(wrong.images).argmax(dim=1)
true_maps = compute_saliency_maps(wrong.images, wrong.labels, model)
mistaken_maps = compute_saliency_maps(wrong.images, mistaken, model)
pixels = wrong.images.clone().requires_grad_()
scores = model(pixels)
contrast = (scores.gather(1, mistaken[:, None]) - scores.gather(1, wrong.labels[:, None])).sum()
(towards,) = torch.autograd.grad(contrast, pixels)
plots.panels(
    [
        [
            plots.picture(wrong.images[i]),
            plots.unsigned(true_maps[i], wrong.names[i]),
            plots.unsigned(mistaken_maps[i], model.classes[mistaken[i]]),
            plots.signed(towards[i]),
        ]
        for i in range(len(wrong))
    ],
    heads=["picture", "true label", "predicted label", "towards the mistake"],
)

# %% [markdown]
# What to see: the maps of the true and of the predicted label lie on much the same pixels, and neither tells the mistake.
# In the last column red and blue lie side by side on the object. On the photographs the slopes of the two scores nearly
# cancel besides (read the scale). So "which pixels made the mistake" has no answer here that a person could use.
#
# ## 1.4 Score, probability or log-probability?
#
# The paper differentiates the score $s_y$. Why not the probability, which is what you read off in the end? With the softmax
#
# $$p_y = \frac{e^{s_y}}{\sum_c e^{s_c}}, \qquad
# \frac{\partial \log p_y}{\partial x} = g_y - \sum_c p_c\, g_c, \qquad
# \frac{\partial p_y}{\partial x} = p_y \Big( g_y - \sum_c p_c\, g_c \Big),$$
#
# where $g_c = \partial s_c / \partial x$ is the gradient of the score of class $c$. Three things follow.
#
# - The score asks about class $y$ alone. The other two ask about $y$ **against its rivals**: a pixel that raises all scores
#   alike has gradient zero.
# - When the network is sure of $y$, the mean $\sum_c p_c\, g_c$ is nearly $g_y$, and both differences vanish. This is
#   saturation: there is little left to win.
# - When the network is sure of something else, $p_y$ is tiny, and so is the gradient of the probability. The
#   log-probability does not have the factor $p_y$ and keeps its size.
#
# The negative log-probability is the cross-entropy loss, so "the gradient of the loss" is the middle formula, negated.
#
# ### Exercise 1.2: three quantities to differentiate
#
# **Given** images, labels, a model and one of three words. **Return** the signed gradient of that quantity, all three
# channels. **Rule:** softmax over the classes where it is asked for, and an error for any other word: a typing error must
# not pass for a score.
#
# <details>
# <summary>The check says that p_y was taken for a fixed factor</summary>
#
# $p_y\, g_y$ is not the gradient of $p_y$: the denominator of the softmax depends on the pixels too. Let autograd do it:
# compute the probabilities from the scores, pick the own one, and differentiate that.
#
# </details>
#
# <details>
# <summary>Alone and among others, one image gets two different gradients</summary>
#
# Over which axis does your softmax run? Scores are (N, classes), and the probabilities of **one image** add up to 1.
#
# </details>


# %% exercise="score_gradient" minutes=15 difficulty=1
def score_gradient(images, labels, model, of="score"):
    """Return the signed gradient of one output number of each image (Simonyan et al. 2014, sections 2 and 3.1).

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 1, float32 or float64.
        labels: (N,) int64 tensor, the class asked about for each image.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        of: "score", the unnormalised score of the label; "probability", its softmax probability over the classes;
            or "log_probability", the natural logarithm of that.

    Returns:
        (N, 3, H, W) new tensor, detached, of the images' dtype and device: d quantity / d pixel, with its sign.

    Raises:
        ValueError: `of` is another word.

    Leaves images, labels and the model (parameters, mode, hooks, .grad) as they were.
    """
    ### BEGIN SOLUTION
    pixels = images.detach().clone().requires_grad_()
    values = model(pixels)
    if of == "probability":
        values = values.softmax(dim=1)
    elif of == "log_probability":
        values = values.log_softmax(dim=1)
    elif of != "score":
        raise ValueError(f"found of={of!r}, wanted 'score', 'probability' or 'log_probability'")
    own = values.gather(1, labels[:, None])
    return torch.autograd.grad(own.sum(), pixels)[0]
    ### END SOLUTION


# %% check="score_gradient" points=4
checks.score_gradient(score_gradient)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of, other_problems, problem
from helpers.checks.state import Watched
from helpers.inside.emit import Named, emit, state_of

score_gradient = Watched(score_gradient)
WORDS = ("score", "probability", "log_probability")


def error_for_another_word():
    try:
        score_gradient(*problem(116, 1), "logits")
    except ValueError:
        return 0
    except Exception:
        return 1
    return 2


def everything_left_as_found():
    images, labels, model = problem(117, 2, trainable=True)
    first = score_gradient(images, labels, model, "log_probability")
    score_gradient(images, labels, model, "probability")
    return first, left_of(first, images=images, labels=labels), state_of(model), score_gradient.left_torch


def in_each_dtype(of):
    return in_both_dtypes(lambda *given: score_gradient(*given, of), lambda dtype: problem(118, 1, dtype=dtype))


emit(
    "the score, named and by default",
    lambda: [score_gradient(*problem(111, 3)), *(score_gradient(*given, "score") for given in other_problems(112, 1))],
)
emit(
    "the probability, also of a network that is sure",
    lambda: [
        score_gradient(*problem(113, 3), "probability"),
        score_gradient(*problem(114, 1, (7, 10), dtype=torch.float32, trainable=True), "probability"),
        *(score_gradient(*given, "probability") for given in other_problems(119, 1)),
    ],
)
emit(
    "the log-probability, also of a network that is sure, and an error for another word",
    lambda: [
        score_gradient(*problem(115, 3), "log_probability"),
        score_gradient(*problem(116, 1, (6, 9), classes=3), "log_probability"),
        *(score_gradient(*given, "log_probability") for given in other_problems(119, 1)),
        Named({"the error for another word": error_for_another_word()}),
    ],
)
emit("the images' dtype", lambda: [in_each_dtype(of) for of in WORDS])
emit("everything left as found", everything_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# **Predict first:** for a picture that the network is sure of, which of the three maps is the smallest?

# %% figure="quantities"
sure = probabilities.gather(1, predictions[:, None])[:, 0].argmax()
image = pictures.images[sure : sure + 1]
order = labels_in_order(image[0])
rows = []
for label in order[:3]:
    gradients = [score_gradient(image, label[None], model, of)[0] for of in ("score", "probability", "log_probability")]
    shown = f"{model.classes[label]}, p = {probabilities[sure, label]:.2g}"
    rows.append([plots.picture(image[0], shown), *map(plots.signed, gradients)])
figure = plots.panels(
    rows, heads=["picture", "score", "probability", "log probability"], names=["best", "second", "third"]
)
save_figure(figure, "01_saliency-quantities")

# %% [markdown]
# What to see: the numbers under the maps. In the first row the score has the steepest slopes by far; probability and
# log-probability agree with each other and are nearly flat, because $p_y$ is close to 1. In the other rows the slopes of
# the probability vanish, while those of the log-probability have the size of the score's. In **every** row the last two
# columns are the same picture up to its scale: $\partial p_y / \partial x = p_y\, \partial \log p_y / \partial x$.
#
# ## 1.5 One gradient, many pictures
#
# Between a gradient (3, H, W) and a picture of it lie choices. Each is defensible, and each can mislead.
#
# | style | what you keep | what you lose |
# |---|---|---|
# | signed, channel mean | brighter or darker | channels of opposite sign cancel |
# | rectified, $\max(g, 0)$ | where more light helps | where less light helps |
# | absolute, channel mean | overall sensitivity | the sign |
# | absolute, channel max | the paper's map $M$ | the sign, and two channels |
# | smoothed | shapes that eyes like | it is the gradient no more: details are made up |
# | thresholded | a region | how large the values are |

# %% figure="styles"
image, label = pictures.images[:1], predictions[:1]
gradient = score_gradient(image, label, model)[0]
saliency_map = gradient.abs().amax(dim=0)
side = 2 * (image.shape[-1] // 42) + 1
blurred = F.avg_pool2d(saliency_map[None, None], side, stride=1, padding=side // 2, count_include_pad=False)[0, 0]
kept = saliency_map >= saliency_map.flatten().quantile(0.9)
plots.panels(
    [
        [
            plots.picture(image[0], model.classes[label[0]]),
            plots.signed(gradient, "signed, channel mean"),
            plots.unsigned(gradient.clamp(min=0).amax(dim=0), "rectified, channel max"),
            plots.unsigned(gradient.abs().mean(dim=0), "absolute, channel mean"),
        ],
        [
            plots.unsigned(saliency_map, "absolute, channel max"),
            plots.unsigned(blurred, f"smoothed, {side} x {side}"),
            plots.unsigned(kept.float(), "thresholded, top 10 %"),
            plots.overlay(image[0], blurred, "overlay, smoothed"),
        ],
    ]
)

# %% [markdown]
# What to see: eight pictures of **one** gradient. The smoothed overlay is the one that people believe most readily, and
# it is the furthest from what was computed. When you show a map, say which of these it is.
#
# ## 1.6 SmoothGrad
#
# Why are gradients grainy? One reason, as Smilkov and others suppose: a ReLU network is piecewise linear, so that a tiny
# step may cross into another linear piece with another slope. This tells why the map changes from image to image. That it
# jumps from pixel to pixel has other reasons as well: strides and max pooling treat neighbouring pixels unlike.
# SmoothGrad asks many noisy copies of the image, and averages **the gradients** (not the images, and not their absolute
# values):
#
# $$\hat g = \frac{1}{S} \sum_{k=1}^{S} \frac{\partial s_y}{\partial x}\Big|_{x + \varepsilon_k},
# \qquad \varepsilon_k \sim \mathcal N(0, \sigma^2) .$$
#
# Here $\varepsilon_k$ is the $k$-th sample of noise, $\sigma$ its strength in pixel units, and $S$ the number of samples.
# Unlike the smoothing of section 1.5, this changes the question, not the picture: how does the score react on average
# *near* this image?
#
# ### Exercise 1.3: SmoothGrad
#
# **Given** images, labels, a model, and the noise, S samples for the whole batch. **Return** the mean gradient of the score,
# signed, three channels. **Rule:** add each sample to the clean images; do not clamp; draw no noise of your own, so that
# your result can be repeated. You may call `score_gradient`.
#
# <details>
# <summary>"The slope where the noise has piled up"</summary>
#
# `images = images + sample` inside the loop makes the second copy noisier than the first. Give the sum a name of its own.
#
# </details>
#
# <details>
# <summary>Images, labels or samples are paired wrongly</summary>
#
# In one big batch of S x N images the samples come first: (S, N, 3, H, W) flattened is all N images with noise 1, then all
# N images with noise 2. Which of `labels.repeat(S)` and `labels.repeat_interleave(S)` has this order? A loop over the
# samples needs neither.
#
# </details>


# %% exercise="smooth_grad" minutes=15 difficulty=1
def smooth_grad(images, labels, model, noise):
    """Return the mean gradient of the score over noisy copies of each image (Smilkov et al. 2017, section 2.2).

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 1, float32 or float64.
        labels: (N,) int64 tensor, the class asked about for each image.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        noise: (S, N, 3, H, W) tensor of the images' dtype, in pixel units: S >= 1 samples for each image.

    Returns:
        (N, 3, H, W) new tensor, detached: the mean over the S samples of d score of the own label / d pixel,
        taken at images + noise[k]. The noisy images are not clamped, and the sign is kept.

    Leaves images, labels, noise and the model as they were.
    """
    ### BEGIN SOLUTION
    total = torch.zeros_like(images)
    for sample in noise:
        total += score_gradient(images + sample, labels, model)
    return total / len(noise)
    ### END SOLUTION


# %% check="smooth_grad" points=4
checks.smooth_grad(smooth_grad)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.networks import with_forward_hooks
from helpers.checks.problems import left_of, problem
from helpers.checks.state import Watched
from helpers.inside.emit import Named, emit, state_of

score_gradient, smooth_grad = map(Watched, (score_gradient, smooth_grad))


def noisy_problem(seed, samples, *options, inside=True, **more):
    images, labels, model = problem(seed, *options, **more)
    if inside:  # each noisy image lies between the image and mid grey
        noise = (0.5 - images) * torch.rand(samples, *images.shape, dtype=images.dtype)
    else:
        noise = 0.5 * torch.randn(samples, *images.shape, dtype=images.dtype)
    return images, labels, model, noise


def by_own_gradient(images, labels, model, noise):
    """What the answer to exercise 1.2 gives: a mistake in there should not cost marks in here again."""
    try:
        at_noise = [score_gradient(images + sample, labels, model) for sample in noise]
        return sum(at_noise) / len(noise), score_gradient(images.clone(), labels, model)
    except Exception:
        return torch.zeros(1), torch.zeros(1)


def answer(*options, **more):
    return smooth_grad(*noisy_problem(*options, **more)), by_own_gradient(*noisy_problem(*options, **more))


def one_after_the_other():
    """The same image, other noise, and another network of the same size; last, a network that is sure."""
    images, labels, model, noise = noisy_problem(126, 2, 1)
    *_, another, other_noise = noisy_problem(127, 2, 1)
    smooth_grad(images, labels, model, noise)
    smooth_grad(images, labels, another, noise)
    again = images, labels, another, other_noise
    return smooth_grad(*again), by_own_gradient(*again), smooth_grad(*noisy_problem(128, 1, 1, gain=30))


def in_the_dtype_of_the_images():
    """Right is the images' dtype, or that of the student's own score_gradient."""
    facts = []
    for dtype in (torch.float64, torch.float32):
        given = noisy_problem(125, 2, 1, dtype=dtype)
        facts.append(smooth_grad(*given).dtype in (dtype, by_own_gradient(*given)[1].dtype))
    return *answer(125, 2, 1, dtype=torch.float32), Named({"the result's dtype": facts})


def everything_left_as_found():
    images, labels, model, noise = noisy_problem(124, 3, 2)
    with_forward_hooks(model)
    smooth_grad(images, labels, model, noise)
    smooth = smooth_grad(images, labels, model, noise)
    left = left_of(smooth, images=images, labels=labels, noise=noise)
    own = by_own_gradient(*noisy_problem(124, 3, 2))
    return smooth, own, left, state_of(model), smooth_grad.left_torch


emit("three images, four samples", lambda: answer(121, 4, 3))
emit("one image, one sample", lambda: answer(122, 1, 1, (8, 6), classes=7))
emit("noise that leaves [0, 1]", lambda: answer(123, 5, 2, (7, 10), inside=False))
emit("other noise, another network of the same size", one_after_the_other)
emit("the images' dtype", in_the_dtype_of_the_images)
emit("everything left as found", everything_left_as_found)
### END HIDDEN TESTS

# %% judge="smooth_grad"
from helpers.course.marks.compare import close


def judge(part, got, want, given):
    """Accept the right mean, or the mean of the student's own score_gradient where that depends on the image."""
    if len(got) != len(want):
        return False
    smooth, own_mean, own_clean, *rest = got
    by_own = close(smooth, own_mean) and not close(own_mean, own_clean)
    return (close(smooth, want[0]) or by_own) and all(map(close, rest, want[3:]))


# %% [markdown]
# **Predict first:** with more and more noise, does the map get better and better?

# %% figure="smoothgrad"
strengths = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
unit = torch.randn(16, *pictures.images[:3].shape, generator=torch.Generator().manual_seed(0)).to(pictures.images)
columns = []
for sigma in progress(strengths, "averaging", "strength"):
    mean = smooth_grad(pictures.images[:3], predictions[:3], model, sigma * unit)
    columns.append([plots.unsigned(gradient.abs().amax(dim=0)) for gradient in mean])
plots.panels(
    [[plots.picture(image), *row] for image, row in zip(pictures.images[:3], zip(*columns))],
    heads=["picture", *(f"sigma {sigma:g}" for sigma in strengths)],
    title="SmoothGrad, 16 samples",
)

# %% [markdown]
# What to see: a little noise removes grain, and lines appear that the plain gradient did not show. The slopes shrink, as the
# numbers tell: those that changed sign from sample to sample have cancelled. With strong noise the copies look like nothing
# the network was trained on, and the map moves off the object or dissolves. How much noise helps depends on the network:
# one that saw noise in training, as the picture-book network did, bears more of it.
#
# ### Play with it
#
# The first number of *other noise* stands for one set of samples, the next for another. Say beforehand what you expect, then
# move one slider at a time: arrow keys do, once you have clicked it. At `sigma` 0.1, from how many samples on does other noise
# change the map less than you can see? Do you need more samples or fewer when `sigma` is larger?


# %% figure="play-smoothgrad"
def smoothed(picture, label, sigma, samples, other_noise):
    image = pictures.images[picture][None]
    chosen = labels_in_order(image[0])[label][None]
    unit = torch.randn(samples, *image.shape, generator=torch.Generator().manual_seed(other_noise)).to(image)
    gradient = smooth_grad(image, chosen, model, sigma * unit)[0]
    return plots.strip(
        [
            plots.picture(image[0], model.classes[chosen]),
            plots.picture(image[0] + sigma * unit[0, 0], "the first noisy copy"),
            plots.unsigned(gradient.abs().amax(dim=0), f"mean of {samples}"),
        ]
    )


explore(
    smoothed,
    picture={name: number for number, name in enumerate(pictures.names)},
    label={"best score": 0, "second best": 1, "third best": 2, "worst": -1},
    sigma=between(0.0, 0.4, at=0.1, step=0.02),
    samples=between(1, 16, at=4),
    other_noise=between(0, 9),
)

# %% [markdown]
# <details>
# <summary>What you may have found</summary>
#
# On the picture book, at `sigma` 0.1, the maps of two sets of noise have a rank correlation (section 1.11) of 0.79 with one
# sample, 0.85 with four and 0.91 with sixteen, in the median of five pictures and four sets. More noise needs **more** samples:
# at `sigma` 0.2 it is 0.45 with one and 0.68 with sixteen, which is less than what one sample reaches at 0.04 (0.85). So a
# smooth map may owe its shape to the noise that happened to be drawn. To find out, draw other noise.
#
# </details>
#
# ## 1.7 Make the picture darker
#
# Multiply the input by a factor between 0.01 and 1. The object stays the same, the labels too. Does the map?

# %% figure="scale"
factors = (0.01, 0.05, 0.2, 0.5, 1.0)
image, label = pictures.images[:1], predictions[:1]
darker = torch.cat([factor * image for factor in factors])
maps = compute_saliency_maps(darker, label.expand(len(factors)), model)
with torch.no_grad():
    p = model(darker).softmax(dim=1)
plots.panels(
    [
        [plots.picture(x, f"{model.classes[row.argmax()]}\np = {row.max():.2f}") for x, row in zip(darker, p)],
        [plots.unsigned(saliency_map) for saliency_map in maps],
    ],
    heads=[f"x {factor:g}" for factor in factors],
    names=["prediction", f"map of {model.classes[label[0]]}"],
)

# %% [markdown]
# What to see: at 0.01 the picture is black to your eyes, yet the map is not zero. The network still answers, and every answer
# has a slope: this is nearly the map of a black picture. (Nearly: on the hay, SqueezeNet's map has a line at the height of
# the horizon. A network need not see what you do.) As the object comes into sight the map moves onto it, and there is a factor
# at which the slopes are steepest, near which the prediction changes. A ReLU network without biases would not mind the
# factor: its scores would be proportional to it, and its gradient the same for all of them. What moves the map here are the
# biases, and the mean that the first layer subtracts.
#
# ## 1.8 From the map to the object
#
# Nobody told the network where the object is: it was trained on labels alone. If the map is bright on the object, you can
# find the object from the map (paper, section 3.2, weakly supervised localisation). To measure how well, you need to know the
# truth. The picture book is drawn, and its masks are exact, so this section always uses it.

# %% example
book = load_model("picturebook", device="cpu")
scenes = picture_book(40, seed=7)
print(f"{len(scenes)} scenes; the object covers {scenes.masks.float().mean():.0%} of a picture on average")


def overlap(box, other):
    """Return the intersection over union of two boxes (x0, y0, x1, y1)."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (box, other)]
    return shared / (sum(areas) - shared)


print("two boxes, 4 x 4, one moved by 2:", overlap((0, 0, 4, 4), (2, 0, 6, 4)))

# %% [markdown]
# A found region $A$ and the true one $B$ are compared by **intersection over union**, $|A \cap B| / |A \cup B|$: 1 when they
# are equal, 0 when they are apart. Two equal boxes moved by half their width score only 1/3.
#
# ### Exercise 1.4: a box around the brightest pixels
#
# **Given** a map and a fraction. **Return** the smallest box that holds all pixels at or above a threshold. **Rule:** the
# threshold is the value of the $k$-th brightest pixel, $k$ = fraction times the number of pixels, rounded up. Boxes are
# half open, as slices in Python: `saliency_map[y0:y1, x0:x1]` is the inside.
#
# <details>
# <summary>The check says that rows and columns are swapped</summary>
#
# A map has shape (H, W): the first index is the row, which is $y$. A box gives $x$ first.
#
# </details>
#
# <details>
# <summary>My box is one pixel too small</summary>
#
# Half open: the last column that is kept is x1 - 1. A single bright pixel at row 4, column 8 has the box (8, 4, 9, 5).
#
# </details>
#
# <details>
# <summary>My box is nearly the whole picture</summary>
#
# Which side of the threshold do you keep, and how many pixels are on it? `sort` counts from the smallest unless you ask for
# `descending=True`.
#
# </details>


# %% exercise="saliency_box" minutes=20 difficulty=2
def saliency_box(saliency_map, fraction):
    """Return the smallest box that holds the brightest pixels of a map (after Simonyan et al. 2014, section 3.2).

    Args:
        saliency_map: (H, W) float tensor.
        fraction: the share of the pixels to keep, 0 < fraction <= 1.

    Returns:
        (x0, y0, x1, y1), four whole numbers, half open, x along the columns and y along the rows: the smallest box
        holding every pixel whose value is at least the k-th largest one, k = ceil(fraction * H * W). Pixels that tie
        with the threshold are kept.

    Leaves the map as it was.
    """
    ### BEGIN SOLUTION
    keep = math.ceil(fraction * saliency_map.numel())
    threshold = saliency_map.flatten().sort(descending=True).values[keep - 1]
    rows, columns = torch.nonzero(saliency_map >= threshold, as_tuple=True)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
    ### END SOLUTION


# %% check="saliency_box" points=4
checks.saliency_box(saliency_box)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit

saliency_box = Watched(saliency_box)


def blob(seed, height, width, row, column, noise=0.05):
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.arange(height).double()[:, None], torch.arange(width).double()
    bump = torch.exp(-((rows - row) ** 2) / 8 - (columns - column) ** 2 / 20)
    return bump + noise * torch.rand(height, width, generator=generator, dtype=torch.float64)


def scattered(seed, height, width, levels=None):
    generator = torch.Generator().manual_seed(seed)
    if levels is None:
        return torch.rand(height, width, generator=generator, dtype=torch.float64)
    return torch.randint(levels, (height, width), generator=generator).double()


def with_values(height, width, ground, *bright):
    """A map of one value, but for some pixels (row, column, value)."""
    result = torch.full((height, width), ground, dtype=torch.float64)
    for row, column, value in bright:
        result[row, column] = value
    return result


def twice_and_left_as_found():
    saliency_map = scattered(136, 8, 12)
    saliency_box(saliency_map, 0.5)
    box = saliency_box(saliency_map, 0.0625)
    return box, left_of(saliency_map=saliency_map), saliency_box.left_torch


emit(
    "a bright spot",
    lambda: [
        saliency_box(blob(131, 16, 24, 4, 17), 0.0625),
        saliency_box(blob(132, 32, 16, 25, 4), 0.125),
        saliency_box(blob(133, 20, 20, 8, 8), 0.25),
    ],
)
emit(
    "scattered pixels, float32, negative values",
    lambda: [
        saliency_box(blob(134, 16, 16, 0, 15).float(), 0.03125),
        saliency_box(scattered(138, 8, 5), 0.9),
        saliency_box(scattered(146, 8, 12) - 0.75, 0.0625),
        saliency_box(with_values(6, 7, -4.0, (1, 2, -1.0), (4, 3, -2.0), (2, 5, -9.0)), 0.04),
    ],
)
emit(
    "rounding up",
    lambda: [
        saliency_box(scattered(131, 8, 5), 0.115),
        saliency_box(scattered(132, 6, 11), 0.05),
        saliency_box(scattered(135, 8, 5), 0.126),
        saliency_box(scattered(139, 9, 7), 0.001),
    ],
)
emit(
    "ties, and values that nearly tie",
    lambda: [
        *(saliency_box(scattered(seed, 7, 9, levels=40), 0.03125) for seed in (140, 141, 142, 143, 144, 145)),
        saliency_box(with_values(9, 11, 0.0, (2, 3, 2.0), (4, 8, 1.0), (7, 1, 1.0), (5, 5, 1.0)), 2 / 99),
        *(
            saliency_box(
                with_values(9, 11, 0.0, (2, 3, 1.0), (4, 8, 0.3), (7, 1, 0.3 - gap), (5, 9, 0.3 - gap)), 2 / 99
            )
            for gap in (1e-9, 5e-4)
        ),
    ],
)
emit("a second call, everything left as found", twice_and_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# The brightest pixels sit on some parts of the object, so a box around them is a crude answer. The paper goes one step
# further and cuts the object out by its colours: the brightest 5 % of the map show the colours of the object, the darkest
# 30 % those of the background, and every pixel joins the side that its own colour and its neighbours vote for. The cheapest
# such labelling is a **minimum cut** in a graph with one node for each pixel, and by the theorem of Ford and Fulkerson a
# maximum flow finds it. `helpers/graphcut.py` does this in a page: read `segment` and `minimum_cut`.

# %% figure="objects"
chosen = scenes[:5]
maps = compute_saliency_maps(chosen.images, chosen.labels, book)
rows = []
for image, saliency_map, mask in zip(chosen.images, maps, chosen.masks):
    box, true_box = saliency_box(saliency_map, 0.05), saliency_box(mask.float(), 0.001)
    found = graphcut.segment(image, saliency_map)
    score = graphcut.intersection_over_union(found, mask)
    rows.append(
        [
            plots.unsigned(saliency_map),
            plots.outline(image, f"IoU {overlap(box, true_box):.2f}", boxes=[box, true_box]),
            plots.outline(image, f"IoU {score:.2f}", masks=[found, mask]),
        ]
    )
figure = plots.panels(
    [list(row) for row in zip(*rows)], names=["saliency", "box", "graph cut"], title="Orange: found. Blue: true."
)
save_figure(figure, "01_saliency-objects")

# %% [markdown]
# **Predict first:** which fraction gives the best boxes: 1 %, 5 % or 30 % of the pixels?

# %% figure="localisation"
maps = compute_saliency_maps(scenes.images, scenes.labels, book)
true_boxes = [saliency_box(mask.float(), 0.001) for mask in scenes.masks]
side = scenes.images.shape[-1]
middle = (side // 4, side // 4, 3 * side // 4, 3 * side // 4)


def overlaps(boxes):
    return list(map(overlap, boxes, true_boxes))


boxes = {
    f"top {100 * fraction:g} %": overlaps([saliency_box(m, fraction) for m in maps])
    for fraction in (0.005, 0.01, 0.02, 0.05, 0.1, 0.3)
}
found = [graphcut.segment(image, m) for image, m in progress(list(zip(scenes.images, maps)), "cutting", "scene")]
brightest = [m >= m.flatten().sort(descending=True).values[mask.sum()] for m, mask in zip(maps, scenes.masks)]


def ious(masks):
    return list(map(graphcut.intersection_over_union, masks, scenes.masks))


places = torch.linspace(-1, 1, side) ** 2
blob = torch.exp(-2 * (places[:, None] + places))
from_blob = [graphcut.segment(image, blob) for image in progress(scenes.images, "cutting", "scene")]

plots.bars(
    {
        "box against true box": boxes | {"middle of the picture": overlaps([middle] * len(scenes))},
        "mask against true mask": {
            "brightest pixels": ious(brightest),
            "graph cut": ious(found),
            "graph cut from a blob": ious(from_blob),
        },
    },
    ylabel=f"mean IoU on {len(scenes)} scenes, with its 95 % bootstrap interval. Grey: without any network",
    highlight=["graph cut", "brightest pixels", *boxes],
)

# %% [markdown]
# What to see: the box is a compromise. A small fraction misses parts of the object, a large one catches every stray bright
# pixel of the background, since one pixel is enough to move a side. The graph cut uses what the box ignores: colours, and
# the edges where they change. It asks the map for no more than a hint, so little that a blob in the middle of the picture,
# which knows nothing of the network, gets it most of the way. Section 1.11 comes back to that.
#
# ### Play with it
#
# The bars are means. Take one scene, and move the fraction until its box is as good as it gets; then the next scene. Is the best
# fraction the same for all, and how much is lost by one fraction for everybody? When the box jumps, which pixel has moved it?


# %% figure="play-box"
maps_to_box = compute_saliency_maps(scenes.images, scenes.labels, book)


def boxed(scene, fraction):
    saliency_map = maps_to_box[scene]
    box, true_box = saliency_box(saliency_map, fraction), saliency_box(scenes.masks[scene].float(), 0.001)
    image = scenes.images[scene]
    return plots.strip(
        [
            plots.unsigned(saliency_map, f"its top {100 * fraction:.2g} %"),
            plots.outline(image, f"IoU {overlap(box, true_box):.2f}", boxes=[box, true_box]),
        ],
        width=2.6,
    )


explore(
    boxed,
    scene={f"{name} {number}": number for number, name in enumerate(scenes.names[:12])},
    fraction=between(0.002, 0.5, at=0.05, log=True),
)

# %% [markdown]
# <details>
# <summary>What you may have found</summary>
#
# No: among these twelve scenes the best fraction lies anywhere from 0.6 % to 11 %. With a fraction of its own each, the mean
# IoU is 0.82; the best fraction for everybody, 4.5 %, gives 0.71, and five of the twelve lose more than 0.1 by it. You could
# choose each scene's own only since you knew the true box. On a picture without a mask you must take the one for everybody, and
# to tell how good that is, choose it on some scenes and measure on others.
#
# </details>
#
# ## 1.9 Captum agrees
#
# Captum is the attribution library of PyTorch. Its `Saliency` returns $|g|$ with all three channels, so the channel maximum
# is left to you. An independent implementation that agrees is worth more than a nice picture.

# %% example
try:
    from captum.attr import Saliency
except ImportError:
    print("Captum is not installed, so there is nothing to compare with; `pip install captum` brings it.")
else:
    theirs = Saliency(model).attribute(pictures.images.clone().requires_grad_(), target=predictions)
    theirs = theirs.amax(dim=1).detach()
    ours = compute_saliency_maps(pictures.images, predictions, model)
    print(f"relative difference between Captum's maps and yours: {((theirs - ours).norm() / theirs.norm()).item():.1e}")

# %% [markdown]
# ## 1.10 Ten examples
#
# Two or three chosen pictures prove little. Here are ten that nobody has chosen. After them come ten of yours.

# %% figure="ten"
ten = example_pictures(model, 10)
with torch.no_grad():
    answers = model(ten.images).argmax(dim=1)
maps = compute_saliency_maps(ten.images, answers, model)
shown = [
    plots.picture(image, model.classes[answer] if answer == label else f"{model.classes[answer]}\n(not {name})")
    for image, answer, label, name in zip(ten.images, answers, ten.labels, ten.names)
]
drawn = [plots.unsigned(saliency_map) for saliency_map in maps]
plots.panels([shown[:5], drawn[:5], shown[5:], drawn[5:]])

# %% [markdown]
# What to see: count for yourself on how many of the ten the brightest region is the object, and on how many a part of the
# background is as bright. A picture chosen for a page like this one is seldom the worst of ten.
#
# ### Ten pictures of your own
#
# Put ten pictures into a folder `my_pictures` beside this notebook (in Colab, the cell asks for them), among them some
# that you expect to be hard: an object at the border, two objects, a drawing, a thing that the network has no class for.
# If your network is the picture book's, scenes do: `picture_book(10, seed=...)` with a seed of yours, the numbers of
# your birthday for instance, in place of `own_pictures(model)`.
#
# Before you run the cell, write down for each picture what the network will say, and where its map will be bright. Then
# report: how often was your guess of the **answer** right, how often your guess of the **place**? Name one picture whose
# map surprised you, with what you see in it. Give one explanation of the surprise, and an experiment that could show the
# explanation to be wrong.

# %% local
own = own_pictures(model)
if own:
    own_maps = compute_saliency_maps(own.images, own.labels, model)
    own_shown = [
        plots.picture(x, f"{name}:\n{model.classes[c]}") for x, name, c in zip(own.images, own.names, own.labels)
    ]
    own_drawn = list(map(plots.unsigned, own_maps))
    rows = [row[i : i + 5] for i in range(0, len(own), 5) for row in (own_shown, own_drawn)]
    display(plots.panels(rows))

# %% [markdown] question="q_own" points=3 words=150
# ### BEGIN SOLUTION
# **Model answer.** (One of many.) Ten photographs from my kitchen and my street, SqueezeNet. I had guessed seven of
# the ten answers and six of the ten places. The surprise: a cup on a newspaper. The network says "cup" with a large
# probability, and the brightest pixels lie on a headline at the side. My explanation: the map shows steep slopes and not
# evidence, and letters have strong edges, to which early layers answer whatever the class. If so, the headline must be
# bright as well in the map of another class, and covering it must lower the score of "cup" less than covering the handle
# does, by a patch of the same size and colour. If covering the headline lowers the score more, my explanation is wrong,
# and the network uses newspapers to recognise cups.
#
# **Rubric.**
# - 1 point: ten pictures, with both counts: guesses of the answer **and** of the place that came true.
# - 1 point: one picture with what its map shows, told so that a reader can look for it, **and** an explanation that speaks
#   of slopes, of the class asked for, or of what the network was trained on.
# - 1 point: an experiment with a control, **and** the outcome that would speak against the explanation.
# ### END SOLUTION

# %% [markdown]
# ## 1.11 Doubt
#
# "The map is bright on the object, so the network looks at the object." Before you believe it, ask how bright a map would be
# there that **has never seen a network**. Two such maps:
#
# - a **blob** in the middle of the picture, since that is where people put objects;
# - the **edges** of the picture, by the Sobel filter: slopes of the brightness, not of any score.
#
# Three measures, each averaged over 100 scenes of the picture book: does the brightest pixel hit the object (**pointing**),
# which share of the map lies on it (**energy**), and how well do the brightest pixels match the mask, when you take as many as
# the object has (**IoU**)?
#
# **Predict first:** by how much will the saliency map win?

# %% example
trial = picture_book(100, seed=8)


def edge_map(images):
    """Return the strength of the edges (N, H, W): the length of the Sobel gradient of the brightness."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    brightness = F.pad(images.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    return F.conv2d(brightness, torch.stack([across, across.T])[:, None]).norm(dim=1)


def middle_blob(images):
    """Return a Gaussian in the middle of each picture, (N, H, W)."""
    height, width = images.shape[-2:]
    rows, columns = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    return torch.exp(-2 * (rows**2 + columns**2)).expand(len(images), height, width)


def measures(maps, masks):
    """Return pointing, energy and IoU of maps (N, H, W) against masks (N, H, W), a list of N numbers each."""
    pointing, energy, iou = [], [], []
    for values, mask in zip(maps, masks):
        brightest = values >= values.flatten().sort(descending=True).values[mask.sum() - 1]
        pointing.append(mask.flatten()[values.argmax()].item())
        energy.append((values[mask].sum() / values.sum()).item())
        iou.append(graphcut.intersection_over_union(brightest, mask))
    return {"pointing": pointing, "energy": energy, "IoU": iou}


# %% figure="doubt"
edges, blob = edge_map(trial.images), middle_blob(trial.images)
chance = torch.Generator().manual_seed(0)
samples = 0.1 * torch.randn(8, *trial.images.shape, generator=chance)
contenders = {
    "noise": torch.rand(trial.masks.shape, generator=chance),
    "blob in the middle": blob,
    "edges": edges,
    "edges x blob": edges * blob,
    "saliency": compute_saliency_maps(trial.images, trial.labels, book),
    "SmoothGrad": smooth_grad(trial.images, trial.labels, book, samples).abs().amax(dim=1),
}
results = {name: measures(maps, trial.masks) for name, maps in contenders.items()}
plots.bars(
    {measure: {name: result[measure] for name, result in results.items()} for measure in ("pointing", "energy", "IoU")},
    ylabel="mean over 100 scenes, with its 95 % bootstrap interval",
    title="Grey: maps that have never seen a network",
    highlight=["saliency", "SmoothGrad"],
    size=(9, 3),
)

# %% [markdown]
# What to see: noise shows what chance gives. The blob and the edges, which know nothing about the network, come far above it,
# and their product comes close to saliency in IoU and **beats it in energy**. The thin lines are intervals: with 100 other
# scenes, the mean would mostly lie in there. Where two of them overlap widely, do not rank. So a high number, or a convincing picture, is
# no evidence for the network until you know what such a baseline gets. Nor is a mask the truth about the network: it says
# where the object is, not what the network uses. A faithful map of a network that reads the background would score badly
# here, and rightly so.
#
# What would be evidence? Change **what the network computes**, and the map must change: give layers random weights, or
# train on other labels (Adebayo and others, below, do both). Plant a cue yourself, and the map must find it. Assignment 6
# does all three. Mind the words "what it computes". Two networks with other weights that give the same scores for all images should have the same
# maps; and a score may change for all classes alike, and its map with it, while no probability changes (Srinivas and
# Fleuret, below).
#
# ### A planted cue
#
# The network `picturebook-stamped` was trained on a book in which every page of a sailboat carries a small stamp, and
# boats sail through the pages of other classes as well. It has learned the stamp, and calls any scene with a stamp a
# sailboat. So here you know what an answer rests on. `book` has never seen a stamp, and names these scenes as if there
# were none.
#
# **Predict first:** the stamp covers 3 % of a picture. Which share of the map of *sailboat* will lie on it?

# %% figure="cue"
with_stamp = picture_book(50, seed=9, stamp=True)
stamps = (with_stamp.images != picture_book(50, seed=9).images).any(dim=1)
sailboat = torch.full((50,), book.classes.index("sailboat"))
on_stamp, rows = {}, [[plots.picture(image, name) for image, name in zip(with_stamp.images[:5], with_stamp.names)]]
for name, network in {"standard": book, "stamped": load_model("picturebook-stamped", device="cpu")}.items():
    maps = compute_saliency_maps(with_stamp.images, sailboat, network)
    on_stamp[name] = measures(maps, stamps)
    with torch.no_grad():
        called = (network(with_stamp.images).argmax(dim=1) == sailboat).float().mean()
    pointing, energy = (sum(on_stamp[name][measure]) / 50 for measure in ("pointing", "energy"))
    print(
        f"{name:9} says sailboat {called:.0%}   brightest pixel on the stamp {pointing:.0%}   energy on it {energy:.2f}"
    )
    rows.append([plots.unsigned(saliency_map) for saliency_map in maps[:5]])
plots.panels(rows, names=["picture", *on_stamp], title="The map of sailboat")

# %% [markdown]
# What to see: the map of the stamped network finds the cue, with its brightest pixel in every scene, and a third of its
# energy lies on 3 % of the picture. Nobody who looked at the pictures alone would have guessed so; a map on the object
# would have been wrong here. But look at the standard network. To it the stamp is nothing, and its brightest pixel lies
# there in half of the scenes, perhaps since a stamp is full of hard edges. So a bright place is a **question** to the
# network. What answers it is a comparison, here with a network that cannot know the cue.
#
# ### Random weights
#
# Now take the knowledge away. Give the last layer of `book` new random weights, then the last two, and so on, until
# nothing is left of the training, and compare each map with the original by their **rank correlation**: 1 if both order the
# pixels alike, whatever their scale. A map that does not change would explain nothing that was learned.
#
# **Predict first:** how alike are the maps once every layer is random?

# %% figure="redrawn"
some = trial[:30]
before = compute_saliency_maps(some.images, some.labels, book)
depth = sum(isinstance(module, (nn.Conv2d, nn.Linear)) for module in book.modules())


def redrawn(count, seed):
    """Return a copy of `book` whose last `count` layers have new random weights."""
    network = copy.deepcopy(book)
    layers = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers[depth - count :]:
            layer.reset_parameters()
    return network


def rank_correlation(maps, others):
    """Return the mean of the rank correlations (Spearman's) of maps and others, (N, H, W) both."""
    ranks = [each.flatten(1).argsort(dim=1).argsort(dim=1).float() for each in (maps, others)]
    return F.cosine_similarity(*(rank - rank.mean(dim=1, keepdim=True) for rank in ranks)).mean().item()


def alike(count, seed):
    return rank_correlation(before, compute_saliency_maps(some.images, some.labels, redrawn(count, seed)))


counts = range(depth + 1)
controls = {
    "the map of another label": compute_saliency_maps(some.images, (some.labels + 3) % 10, book),
    "the edges of the picture": edge_map(some.images),
    "the map of another scene": before.roll(1, dims=0),
}
curves = {"the network, redrawn": [[alike(count, seed) for count in counts] for seed in (0, 1, 2)]}
curves |= {name: [rank_correlation(before, maps)] * len(counts) for name, maps in controls.items()}
plots.lines(
    counts, curves, xlabel="layers with new random weights, from the last", ylabel="rank correlation with the map"
)

# %% [markdown]
# What to see: the map changes with the weights, as it must. But read the curve against its controls. A network whose last
# layer is random has not one answer left, and its map is as like the original as that of another label: 0.8. With half of
# the layers gone it is still above 0.7. Only when all are random has the map come down to where the edges of the picture
# are, and the map of *another scene*, which shares no more with it than that objects stand in the middle. So most of what
# such a map shows is known to the first layers. "It changes" is a low bar; ask by how much, and compared with what.
#
# ### Another network, the same scenes
#
# Here is a network that computes something else. It has the same layers as `book`, and was trained **adversarially**: on
# pictures that an attack had made hard for it (assignment 3). Both name these scenes right. Ask both the same question.
#
# **Predict first:** will the maps of the robust network be the same, fainter, or in other places?

# %% figure="robust"
robust = load_model("picturebook-robust", device="cpu")
five = trial[:5]
maps_of = {
    name: compute_saliency_maps(trial.images, trial.labels, network)
    for name, network in {"standard": book, "robust": robust}.items()
}
for name, maps in maps_of.items():
    found = {measure: sum(values) / len(trial) for measure, values in measures(maps, trial.masks).items()}
    print(
        f"{name:9}", "   ".join(f"{measure} {value:.2f}" for measure, value in found.items()), "   mean of 100 scenes"
    )
plots.panels(
    [
        list(map(plots.picture, five.images, five.names)),
        *([plots.unsigned(m) for m in maps[:5]] for maps in maps_of.values()),
    ],
    names=["picture", *maps_of],
)

# %% [markdown]
# What to see: the two networks name the same scenes right, and their maps differ. The robust network's leave out the small
# things beside the object: look at the flower, where the standard one is brightest on a ring of the background. On the
# object they are grainy, too. The printed means say the same in a smaller voice: a little more energy on the object, a
# little higher IoU, and for pointing the bootstrap intervals overlap (0.78 to 0.91 against 0.85 to 0.96). So the map does
# change with the network, as it should, and part of what looked like a property of the method was a property of the
# **training**. With larger networks the difference is more striking (Tsipras and others 2019). It makes no map more
# faithful: each shows the slopes of its own network. And these are two networks, one of each kind.
#
# ## 1.12 Three claims to judge
#
# Each claim below is partly or wholly wrong. Say what holds, what does not, and why, in 3 to 6 sentences each.
#
# ### Claim 1: the sum trick is an approximation (3 points)
#
# Ada computes the maps of 32 images in one batch, and then again one image at a time. For her network, the two results
# differ by 20 % on average. She writes: "Adding the scores up is an approximation, and its error grows with the batch. I will
# use batches of 4 from now on." Judge her explanation and her remedy, and name a measurement that would settle it.

# %% [markdown] question="q_batch" points=3
# ### BEGIN SOLUTION
# **Model answer.** The trick is exact, for any batch size, as long as the score of image $i$ is computed from image $i$ alone:
# then the other terms of the sum have derivative zero with respect to $x_i$. Rounding in float32 gives differences of a small
# fraction of a per cent, not 20 %. So in her network something mixes the images or is random: most likely BatchNorm
# in training mode, whose mean and variance come from the batch (Dropout left on is the other candidate; then even two
# identical calls differ). Batches of 4 cure nothing: they mix four images, and one image at a time is not the truth
# either, since BatchNorm then normalises with the statistics of that single image. The remedy is `model.eval()`. To settle it,
# measure $\partial s_0 / \partial x_1$ in a batch: it is exactly zero in eval mode, and is not in training mode.
#
# **Rubric.**
# - 1 point: the trick is exact if, and only if, no score depends on another image of the batch; 20 % is no rounding error.
# - 1 point: names a mechanism that mixes images or is random: BatchNorm (or Dropout) in training mode.
# - 1 point: `eval()` instead of smaller batches, **and** a measurement that could prove it wrong (the derivative of one
#   score with respect to another image; the comparison repeated in eval mode; the same call twice for Dropout).
# ### END SOLUTION

# %% [markdown]
# ### Claim 2: all increasing functions of the score give one picture (3 points)
#
# Ben draws maps of a picture whose label has $p_y = 0.999$, each scaled to its own maximum. He writes: "Probability and
# log-probability give the same picture. That had to be so, as the logarithm is increasing. Softmax is increasing in the score
# as well, so the score gives this picture too, and one may draw any of the three. Only, the gradient of the
# probability is so faint here that the pixels of this picture hardly matter to the network." Judge the argument for the
# logarithm, the argument for the softmax, and the last sentence.

# %% [markdown] question="q_quantity" points=3
# ### BEGIN SOLUTION
# **Model answer.** For the logarithm Ben is right: $\log p_y$ is a function of the single number $p_y$, so by the chain rule
# $\partial p_y / \partial x = p_y\, \partial \log p_y / \partial x$, one positive factor for the whole picture. For the
# softmax he is wrong: $p_y$ is a function of **all** scores, not of $s_y$ alone. Its gradient is $p_y (g_y - \sum_c p_c g_c)$,
# and the subtracted mean changes the direction: a pixel that raises all scores alike is bright in the map of the score and
# dark in the other two. The last sentence mistakes saturation for unimportance: with $p_y$ near 1, $\sum_c p_c g_c \approx g_y$,
# so a *small* change of any pixel can neither raise nor lower the probability much, while the score, and a large change such
# as covering the object, tell another story.
#
# **Rubric.**
# - 1 point: probability and log-probability differ by the factor $p_y$ per image, so the scaled pictures agree.
# - 1 point: the softmax depends on all scores; the gradient has a second term (formula or words), so the score's picture
#   differs in general.
# - 1 point: a faint gradient at $p_y \approx 1$ is saturation, a statement about small changes, and no statement that the
#   pixels do not matter.
# ### END SOLUTION

# %% [markdown]
# ### Claim 3: a hit rate and what follows from it (3 points)
#
# A report says: "On 100 pictures, the brightest pixel of our saliency map lies on the object in 90. Hence (a) the network
# decides by looking at the object, and (b) painting over the brightest pixels will lower the score." Judge (a) and (b), and
# propose an experiment for each, with what you would compare it to.

# %% [markdown] question="q_evidence" points=3
# ### BEGIN SOLUTION
# **Model answer.** (a) does not follow. A blob in the middle or an edge filter hits the object in about three quarters of the
# pictures and has never seen the network, so most of the 90 comes from how pictures are made. And the map shows where the
# score is *sensitive*: lying on the object is no proof that the decision rests on it, and for a network that reads the
# background a faithful map would miss. Experiments: compare with such baselines on the same pictures; randomise the weights
# and see whether the hit rate falls; plant a cue in the training pictures and see whether the map finds it. (b) does not
# follow either. The gradient describes infinitesimal changes, and painting over is a large one; the absolute value has
# dropped the sign, so a change at a bright pixel may raise the score as well. Experiment: paint over the $k$ brightest pixels,
# and, as a control, $k$ random ones or $k$ pixels elsewhere on the object, with several fill colours, and compare the drops.
#
# **Rubric.**
# - 1 point: the hit rate must be compared with maps that ignore the network (or: a map on the object does not show that the
#   decision rests on it), so (a) does not follow.
# - 1 point: (b) does not follow, with a reason: local slopes against a large change, or the lost sign, or saturation.
# - 1 point: an experiment for each, with a control to compare with.
# ### END SOLUTION

# %% [markdown]
# ## Check yourself
#
# Ten questions on the paper behind this page, as often as you like; nothing is recorded.

# %% local
# @title Quiz
from helpers.widgets import quiz

quiz("01_saliency")

# %% [markdown]
# ## Recap
#
# - A saliency map is $\max_c |\partial s_y / \partial x|$: how steeply the score reacts to a **small** change of a pixel, up or
#   down.
# - One backward pass through the **sum** of the scores gives all maps of a batch, if no score depends on another image: eval mode.
# - Score, probability and log-probability ask different questions. Say which one you drew, and how.
# - SmoothGrad averages the question over a neighbourhood; blurring only the picture.
# - A map is a hint at the object, good enough for a graph cut. It is evidence about the network only against baselines.
#
# ## Further reading
#
# - Simonyan, Vedaldi, Zisserman 2014, [arXiv:1312.6034](https://arxiv.org/abs/1312.6034): section 2 on why the unnormalised
#   score, section 3.1 on saliency, section 3.2 on graph cut.
# - Smilkov, Thorat, Kim, Viégas, Wattenberg 2017, *SmoothGrad: removing noise by adding noise*,
#   [arXiv:1706.03825](https://arxiv.org/abs/1706.03825): section 2.2 on the method, section 3 on noise in training.
# - Srinivas, Fleuret 2021, *Rethinking the Role of Gradient-Based Attribution Methods for Model Interpretability*,
#   [arXiv:2006.09128](https://arxiv.org/abs/2006.09128): why the gradient of the score can be changed at will without changing
#   a single probability.
# - Adebayo and others 2018, *Sanity Checks for Saliency Maps*, [arXiv:1810.03292](https://arxiv.org/abs/1810.03292): section 3,
#   and the edge detector in section 5.
# - Tsipras and others 2019, *Robustness May Be at Odds with Accuracy*, [arXiv:1805.12152](https://arxiv.org/abs/1805.12152):
#   what a robust network's gradients look like.
# - Boykov, Jolly 2001, *Interactive Graph Cuts for Optimal Boundary & Region Segmentation of Objects in N-D Images*: the graph
#   of section 1.8.

# %% [markdown] mistakes="compute_saliency_maps"
# = pixels = images.detach().clone().requires_grad_()
#
# + model.train()
# + pixels = images.detach().clone().requires_grad_()
# You put the model into training mode: Dropout and BatchNorm then bring chance and the other images into every map,
# and BatchNorm's statistics change. Leave the model in eval mode.
# ~ `model.train()`
#
# + for parameter in model.parameters():
# +     parameter.requires_grad_(False)
# + pixels = images.detach().clone().requires_grad_()
# You froze the caller's model: its parameters no longer require gradients. Take torch.autograd.grad with respect to
# the pixels; the parameters need no change.
# ~ requires_grad
#
# + pixels = images.requires_grad_()
# = (gradient,) = torch.autograd.grad(own.sum(), pixels)
# + own.sum().backward(inputs=[images])
# + gradient = images.grad
# You switch the caller's images to requires_grad and read images.grad: on a second call the gradients pile up, and
# the caller's tensor is changed. Work on images.detach().clone().requires_grad_().
# ~ pile up
#
# = pixels = images.detach().clone().requires_grad_()
# + pixels = model.normalise(images).detach().requires_grad_()
# = scores = model(pixels)
# + scores = model.network(pixels)
# You take the slopes at the normalised image: they are those at the pixels times `std`, and each channel has a unit of
# its own. Differentiate at the pixels, and let `model` normalise them.
# ~ slope at the normalised image
#
# = own = scores.gather(1, labels[:, None])
#
# + own = scores[:, labels[0]]
# You ask every image about the label of the first one. Pair image i with label i, by gather or by
# scores[torch.arange(N), labels].
# ~ label of image 0
#
# + own = scores.softmax(dim=1).gather(1, labels[:, None])
# You differentiate the softmax probability, which flattens out where the network is sure. Differentiate the raw
# score: no softmax before the gradient.
# ~ softmax
#
# + own = F.cross_entropy(scores, labels, reduction="sum")
# You differentiate the cross-entropy loss. It contains the scores of all classes, and vanishes where the network is
# sure. Differentiate the raw score of the label.
# ~ cross-entropy
#
# + own = F.cross_entropy(scores, labels)
# You differentiate the cross-entropy loss averaged over the batch. Differentiate the raw scores of the labels,
# added up: then no image's map depends on how many others there are.
# ~ averaged over the batch
#
# + own = scores.amax(dim=1)
# You explain the class with the largest score and never use the labels. Take the score of the label that was asked
# for: it may be wrong, and that is often the interesting case.
# ~ labels are not used
#
# + own = scores
# You differentiate the sum of all scores, so your map is the same for every label. Pick the score of each image's
# own label before you add up.
# ~ `scores.sum()`
#
# + own = scores[:, labels]
# scores[:, labels] pairs every image with every label of the batch, so each map mixes several classes. Pair image i
# with label i alone, by gather or by scores[torch.arange(N), labels].
# ~ `scores[:, labels]`
#
# = (gradient,) = torch.autograd.grad(own.sum(), pixels)
#
# + (gradient,) = torch.autograd.grad(own.mean(), pixels)
# Your maps are divided by the number of images: the mean of the scores was differentiated. Differentiate their sum,
# so that a map does not depend on the size of the batch.
# ~ mean over the batch of 3
#
# + (gradient,) = torch.autograd.grad(own.sum(), pixels, create_graph=True)
# Your maps still require gradients, as with create_graph=True, and keep the whole network's graph in memory. Return a
# detached tensor.
# ~ `create_graph=True`
#
# + own.sum().backward()
# + gradient = pixels.grad
# .backward() also wrote into .grad of the model's parameters. Ask for the gradient at the pixels alone:
# torch.autograd.grad(total, pixels), or backward(inputs=[pixels]).
# ~ inputs=[pixels]
#
# + model.zero_grad()
# + own.sum().backward()
# + gradient = pixels.grad
# model.zero_grad() threw the caller's gradients away, and .backward() wrote others. Ask for the gradient at the
# pixels alone with torch.autograd.grad: then there is nothing to zero.
# ~ `zero_grad()`
#
# = return gradient.abs().amax(dim=1)
#
# + return gradient.amax(dim=1)
# Your map is the largest signed slope: a strong negative slope counts as nothing. Take the absolute value of the
# gradient first, then the maximum over the channels.
# ~ sign is kept
#
# + return gradient.amax(dim=1).abs()
# You take the maximum over the channels first and the absolute value afterwards, which loses strong negative
# slopes. Swap the two: absolute value, then maximum.
# ~ absolute value after max
#
# + return gradient.abs().mean(dim=1)
# You average over the three channels. The contract asks for their maximum: replace mean by amax.
# ~ `mean`
#
# + return gradient.abs().sum(dim=1)
# You add the three channels up. The contract asks for their maximum: replace sum by amax.
# ~ `sum`
#
# + return gradient.clamp(min=0).amax(dim=1)
# You set negative slopes to 0, so that a pixel which lowers the score counts as nothing. Take absolute values.
# ~ negative slopes are set to 0
#
# + return gradient.sum(dim=1).abs()
# You add the slopes of the three channels up before you take the absolute value, so that slopes of opposite sign
# cancel. Take absolute values first, then the maximum.
# ~ take abs, then max
#
# + return gradient.abs().amax(dim=1).clamp(0, 1)
# You cut the map off at 1. A slope may be steeper than that: return the values as they are.
# ~ cut off at 1
#
# + maps = gradient.abs().amax(dim=1)
# + low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
# + return (maps - low) / (high - low)
# You stretched each map to [0, 1]. Return the values as they are: only raw maps can be compared between labels, and the
# plots do their own scaling.
# ~ shifted and scaled
#
# + return gradient.abs().amax(dim=1).float()
# You return float32, whatever the images are. Return the images' dtype: leave `.float()` out, and make new tensors with
# dtype=images.dtype.
# ~ torch.float32 tensor
#
# + return gradient.norm(dim=1)
# You take the Euclidean norm over the three channels. The contract asks for the largest absolute value among them.
# ~ `norm`
#
# + return (gradient * images).abs().amax(dim=1)
# You multiplied the gradient by the image, which is another method (gradient times input). The saliency map is made
# of the gradient alone.
# ~ gradient times image
#
# + maps = gradient.abs().amax(dim=1)
# + return maps / maps.amax(dim=(1, 2), keepdim=True)
# You scaled each map to end at 1. Return the values as they are: only raw maps can be compared between labels, and
# the plots do their own scaling.
# ~ normalisation
#
# + return gradient.abs()
# You return three channels for each image. The map has one value for each pixel: take the maximum over dim 1.
# ~ one axis too many
#
# + return gradient.abs().amax(dim=1).squeeze()
# A squeeze without dim drops the batch axis of a single image. Return (N, H, W) for N = 1 too: leave squeeze out,
# or say which axis goes.
# ~ `.squeeze()`
#
# + return gradient.abs().amax(dim=1).numpy()
# You return a NumPy array. Return a torch tensor, so that the next step can stay on the images' device.
# ~ NumPy


# %% mutant="compute_saliency_maps" says="Your maps come from an earlier call: they are kept by the kind of the network and the size of the images, though the network, the images and the labels are others. Compute them anew in every call." visible="kept from an earlier call"
KEPT = {}


def compute_saliency_maps(images, labels, model):
    place = type(model), images.shape
    if place not in KEPT:
        pixels = images.detach().clone().requires_grad_()
        own = model(pixels).gather(1, labels[:, None])
        KEPT[place] = torch.autograd.grad(own.sum(), pixels)[0].abs().amax(dim=1)
    return KEPT[place]


# %% variant="compute_saliency_maps"
def compute_saliency_maps(images, labels, model):
    pixels = images.clone().requires_grad_()
    model(pixels)[torch.arange(len(images)), labels].sum().backward(inputs=[pixels])
    return pixels.grad.abs().max(dim=1).values


# %% variant="compute_saliency_maps"
def compute_saliency_maps(images, labels, model):
    pixels = torch.tensor(images.tolist(), dtype=images.dtype, device=images.device, requires_grad=True)
    own = model(pixels).gather(1, labels.view(-1, 1)).squeeze(1)
    own.backward(gradient=torch.ones_like(own), inputs=[pixels])
    return torch.max(torch.abs(pixels.grad), 1)[0]


# %% variant="compute_saliency_maps"
def compute_saliency_maps(images, labels, model):
    maps = []
    for image, label in zip(images, labels):
        pixels = image[None].detach().clone().requires_grad_(True)
        gradient = torch.autograd.grad(model(pixels)[0, label], pixels)[0]
        maps.append(gradient[0].abs().max(0)[0])
    return torch.stack(maps)


# %% variant="compute_saliency_maps"
def compute_saliency_maps(images, labels, model):
    def score(image, label):
        return model(image[None])[0].gather(0, label[None]).sum()

    gradients = torch.func.vmap(torch.func.grad(score))(images, labels)
    return gradients.abs().amax(1).detach()


# %% variant="compute_saliency_maps"
def compute_saliency_maps(images, labels, model):
    pixels = images.detach().requires_grad_()
    scores = model(pixels)
    chosen = F.one_hot(labels, scores.shape[1])
    (gradient,) = torch.autograd.grad((scores * chosen).sum(), [pixels])
    red, green, blue = gradient.abs().unbind(1)
    return torch.maximum(torch.maximum(red, green), blue)


# %% variant="compute_saliency_maps"
def compute_saliency_maps(images, labels, model):
    pixels = images.detach().clone()
    pixels.requires_grad = True
    negative = F.nll_loss(model(pixels), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(negative, pixels, grad_outputs=torch.ones_like(negative))
    return gradient.abs().amax(-3)


# %% variant="compute_saliency_maps"
import copy


def compute_saliency_maps(images, labels, model):
    model = copy.deepcopy(model)
    pixels = images.detach().clone().requires_grad_()
    for score in [model(pixels)[i, label] for i, label in enumerate(labels)]:
        score.backward()
    return torch.from_numpy(abs(pixels.grad.cpu().numpy()).max(axis=1)).to(images)


# %% variant="compute_saliency_maps"
def compute_saliency_maps(images, labels, model):
    pixels = images.detach().clone().requires_grad_()
    own = torch.stack([scores[label] for scores, label in zip(model(pixels), labels)])
    (gradient,) = torch.autograd.grad(own.sum(), pixels, create_graph=True)
    return torch.maximum(gradient, -gradient).detach().max(dim=1)[0]


# %% [markdown] mistakes="score_gradient"
# = pixels = images.detach().clone().requires_grad_()
# + pixels = images.requires_grad_()
# = return torch.autograd.grad(own.sum(), pixels)[0]
# + own.sum().backward(inputs=[images])
# + return images.grad
# You return images.grad of the caller's own tensor: the next call adds to it, and the result you returned changes
# with it. Work on images.detach().clone().requires_grad_().
# ~ pile up
#
# = pixels = images.detach().clone().requires_grad_()
# + pixels = model.normalise(images).detach().requires_grad_()
# = values = model(pixels)
# + values = model.network(pixels)
# You take the slopes at the normalised image: they are those at the pixels times `std`. Differentiate at the pixels,
# and let `model` normalise them.
# ~ slope at the normalised image
#
# = values = values.log_softmax(dim=1)
#
# + values = values.softmax(dim=1).clamp(min=1e-4).log()
# You keep the probability above a bound before you take its logarithm, so that a label that the network finds
# improbable has no slope at all. Use log_softmax, which needs no bound.
# ~ kept above a bound
#
# + values = (values.softmax(dim=1) + 1e-8).log()
# You add a small number to the probability before you take its logarithm, and where the network is sure of something
# else this number wins. Use log_softmax, which needs none.
# ~ kept above a bound
#
# + values = values.softmax(dim=1).log10()
# Your logarithm has base 10: all slopes are 0.434 times those wanted. Take the natural one, by log_softmax.
# ~ 0.434 times
#
# = values = values.softmax(dim=1)
#
# + values = values.sigmoid()
# You take the sigmoid of each score by itself. The probability is a softmax: the scores of all classes stand in its
# denominator.
# ~ `sigmoid` of one score
#
# + values = values * values.softmax(dim=1).detach()
# You multiply the gradient of the score by p_y, as if p_y were a fixed factor. The denominator of the softmax
# depends on the pixels too: differentiate the probability itself.
# ~ denominator
#
# + values = values.softmax(dim=0)
# = values = values.log_softmax(dim=1)
# + values = values.log_softmax(dim=0)
# Your softmax runs over the images of the batch (dim 0). Run it over the classes (dim 1): the probabilities of one
# image add up to 1.
# ~ dim=0
#
# = values = values.log_softmax(dim=1)
# + return torch.autograd.grad(F.cross_entropy(values, labels, reduction="sum"), pixels)[0]
# For the log-probability you differentiate the cross-entropy loss, which has the opposite sign. Negate it, or use
# log_softmax.
# ~ opposite sign
#
# = elif of != "score":
# = raise ValueError(f"found of={of!r}, wanted 'score', 'probability' or 'log_probability'")
# +
# A word you do not know passes without an error, and the caller takes the result for what was asked. Test for the
# three words and raise ValueError for any other.
# ~ ValueError
#
# = pixels = images.detach().clone().requires_grad_()
# + assert of in ("score", "probability", "log_probability")
# + pixels = images.detach().clone().requires_grad_()
# You test the word by an assert, which raises AssertionError. Raise ValueError: nobody can turn that off.
# ~ an `assert`
#
# = own = values.gather(1, labels[:, None])
#
# + own = model(pixels).gather(1, labels[:, None])
# The word in `of` makes no difference: you always differentiate the score. Apply the softmax, or its logarithm, to
# the scores where it is asked for.
# ~ `of` is not told apart
#
# + own = values.amax(dim=1)
# You explain the class with the largest score and never use the labels. Pick the value of the label that was asked
# for.
# ~ labels are not used
#
# = return torch.autograd.grad(own.sum(), pixels)[0]
#
# + return torch.autograd.grad(own.sum(), pixels)[0].float()
# You return float32, whatever the images are. Return the images' dtype: leave `.float()` out.
# ~ torch.float32 tensor
#
# + return torch.autograd.grad(own.sum(), pixels)[0].abs()
# You return absolute values. This function keeps the sign: it tells brighter from darker.
# ~ `abs`
#
# + return torch.autograd.grad(own.sum(), pixels)[0].amax(dim=1)
# You return one value for each pixel, (N, H, W). This function keeps the three channels: (N, 3, H, W).
# ~ one axis too few
#
# + return torch.autograd.grad(own.mean(), pixels)[0]
# Your gradients are divided by the number of images: the mean over the batch was differentiated. Differentiate the
# sum.
# ~ mean over the batch of 3
#
# + own.sum().backward()
# + return pixels.grad
# .backward() also wrote into .grad of the model's parameters. Ask for the gradient at the pixels alone:
# torch.autograd.grad(total, pixels), or backward(inputs=[pixels]).
# ~ inputs=[pixels]


# %% variant="score_gradient"
def score_gradient(images, labels, model, of="score"):
    transform = {
        "score": lambda scores: scores,
        "probability": lambda scores: F.softmax(scores, dim=-1),
        "log_probability": lambda scores: F.log_softmax(scores, dim=-1),
    }
    if of not in transform:
        raise ValueError("of must be score, probability or log_probability")
    pixels = images.clone().requires_grad_()
    transform[of](model(pixels))[range(len(labels)), labels].sum().backward(inputs=[pixels])
    return pixels.grad


# %% variant="score_gradient"
def score_gradient(images, labels, model, of="score"):
    pixels = images.detach().clone().requires_grad_()
    scores = model(pixels)
    own = scores.gather(1, labels[:, None]).squeeze(1)
    if of == "score":
        target = own
    elif of == "log_probability":
        target = -F.cross_entropy(scores, labels, reduction="none")
    elif of == "probability":
        target = torch.exp(own - torch.logsumexp(scores, dim=1))
    else:
        raise ValueError(of)
    return torch.autograd.grad(target, pixels, grad_outputs=torch.ones_like(target))[0]


# %% variant="score_gradient"
def score_gradient(images, labels, model, of="score"):
    if of not in {"score", "probability", "log_probability"}:
        raise ValueError(f"unknown quantity {of}")
    gradients = []
    for image, label in zip(images, labels):
        pixels = image.detach().clone().unsqueeze(0).requires_grad_()
        value = model(pixels)[0]
        if of != "score":
            value = torch.softmax(value, dim=0)
        value = value[label].log() if of == "log_probability" else value[label]
        gradients.append(torch.autograd.grad(value, pixels)[0])
    return torch.cat(gradients)


# %% variant="score_gradient"
def score_gradient(images, labels, model, of="score"):
    """The formulas of section 1.4, from the gradients of all scores."""
    if of not in ["score", "probability", "log_probability"]:
        raise ValueError("of")
    pixels = images.detach().clone().requires_grad_()
    scores = model(pixels)
    each = torch.stack(
        [torch.autograd.grad(scores[:, c].sum(), pixels, retain_graph=True)[0] for c in range(scores.shape[1])], dim=1
    )
    p = scores.detach().softmax(dim=1)
    rows = torch.arange(len(labels))
    own = each[rows, labels]
    if of == "score":
        return own
    against = own - torch.einsum("nc,nc...->n...", p, each)
    return against if of == "log_probability" else p[rows, labels].view(-1, 1, 1, 1) * against


# %% variant="score_gradient"
def score_gradient(images, labels, model, of="score"):
    words = ("score", "probability", "log_probability")
    try:
        number = words.index(of)
    except ValueError as error:
        raise ValueError(f"of must be one of {words}") from error

    def value(image, label):
        scores = model(image[None])
        return [scores, scores.softmax(1), scores.log_softmax(1)][number][0].gather(0, label[None]).sum()

    return torch.func.vmap(torch.func.grad(value))(images, labels).detach()


# %% [markdown] mistakes="smooth_grad"
# = for sample in noise:
#
# + for sample in torch.randn_like(noise) * noise.std():
# You draw noise of your own. Use the noise that is passed in: then the result can be repeated, and the caller
# chooses its strength.
# ~ `torch.randn`
#
# + noisy = images.clone()
# + for sample in noise:
# = total += score_gradient(images + sample, labels, model)
# + noisy += sample
# + total += score_gradient(noisy, labels, model)
# Your noise piles up: each sample is added to the noisy image of the one before. Start from the clean images for
# every sample, and write images + sample, not images += sample.
# ~ piled up
#
# = total += score_gradient(images + sample, labels, model)
#
# + images += sample
# + total += score_gradient(images, labels, model)
# images += sample changes the caller's images, and the noise piles up from sample to sample. Write images + sample,
# which makes a new tensor.
# ~ piled up
#
# + total += score_gradient(images, labels, model)
# The noise is never added: you average equal gradients at the clean images. Take each gradient at images + sample.
# ~ never added
#
# + total += score_gradient((images + sample).clamp(0, 1), labels, model)
# You clamp the noisy images to [0, 1], which the contract rules out: near black and white the noise would be cut
# off on one side. Leave clamp out.
# ~ `clamp`
#
# + total += score_gradient(images + sample, labels, model).abs()
# You average absolute gradients. SmoothGrad averages the signed ones, so that slopes which change their sign from
# sample to sample cancel: leave abs out.
# ~ `abs`
#
# + total += score_gradient(images + sample, labels, model) ** 2
# You average the squares of the gradients, which is another method. Average the gradients themselves.
# ~ square
#
# + return score_gradient(images + sample, labels, model)
# You return inside the loop, after the first sample. Add all samples up first; return when the loop is over.
# ~ `return` inside the loop
#
# + total += score_gradient(images - sample, labels, model)
# You subtract the noise. Add it: the samples need not lie evenly around 0.
# ~ noise is subtracted
#
# + sizes = images.amax(dim=(1, 2, 3), keepdim=True) - images.amin(dim=(1, 2, 3), keepdim=True)
# + total += score_gradient(images + sample * sizes, labels, model)
# You multiply the noise by the range of each image, as the paper gives its strength. Here `noise` is in pixel units
# already: add it as it is.
# ~ in pixel units already
#
# + total += (score_gradient(images + sample, labels, model) + score_gradient(images - sample, labels, model)) / 2
# You use each sample twice, with both signs. Take the gradient at images + sample alone.
# ~ with both signs
#
# = total = torch.zeros_like(images)
#
# + total = score_gradient(images, labels, model)
# You begin the sum with the gradient at the clean image, which is no sample. Begin with zeros.
# ~ takes in the slope at the clean image
#
# + total = torch.zeros(images.shape)
# You add up in float32, whatever the images are. Make the sum with zeros_like(images), or with dtype=images.dtype.
# ~ torch.float32 tensor
#
# = return total / len(noise)
#
# + return total / max(1, len(noise) - 1)
# You divide by one less than the number of samples. That is for a variance; a mean divides by their number.
# ~ one less than the number of samples
#
# + return total.abs() / len(noise)
# You return the size of the mean gradient. This function keeps the sign; it is dropped when a map is drawn.
# ~ keeps the sign
#
# + return torch.stack([score_gradient(images + sample, labels, model) for sample in noise]).median(dim=0).values
# You take the median over the samples. SmoothGrad is their mean.
# ~ `median`
#
# + return score_gradient((images + noise).mean(dim=0), labels, model)
# You average the noisy images and take one gradient at their mean, where the noise has cancelled. Take a gradient
# for each sample, then average the gradients.
# ~ mean is taken before the gradient
#
# + return total
# You add the gradients up and do not divide by the number of samples. Return the mean, or twice the samples give
# twice the map.
# ~ not divided by their number
#
# + return total / len(images)
# You divide by the number of images instead of the number of samples. The first axis of noise counts the samples.
# ~ not by the 5 samples
#
# + return (total / len(noise)).abs().amax(dim=1)
# You return one value for each pixel, (N, H, W). Keep the three channels and the sign; the maximum over channels is
# taken when the map is drawn.
# ~ one axis too few


# %% mutant="smooth_grad" says="In your batch of S x N images the labels are in the wrong order: repeat_interleave repeats each label S times in a row, and the images come sample by sample. Use labels.repeat(S)." visible="labels.repeat(S)"
def smooth_grad(images, labels, model, noise):
    noisy = (images + noise).flatten(0, 1)
    return score_gradient(noisy, labels.repeat_interleave(len(noise)), model).view_as(noise).mean(dim=0)


# %% variant="smooth_grad"
def smooth_grad(images, labels, model, noise):
    noisy = (images + noise).flatten(0, 1)
    return score_gradient(noisy, labels.repeat(len(noise)), model).view_as(noise).mean(dim=0)


# %% variant="smooth_grad"
def smooth_grad(images, labels, model, noise):
    mean = torch.zeros_like(images)
    for k, sample in enumerate(noise, start=1):
        mean = mean + (score_gradient(images + sample, labels, model, of="score") - mean) / k
    return mean


# %% variant="smooth_grad"
def smooth_grad(images, labels, model, noise):
    pixels = images.detach().clone().requires_grad_()
    total = sum(model(pixels + sample).gather(1, labels[:, None]).sum() for sample in noise)
    return torch.autograd.grad(total / len(noise), pixels)[0]


# %% variant="smooth_grad"
def smooth_grad(images, labels, model, noise):
    each = torch.func.vmap(lambda sample: torch.func.grad(
        lambda x: model(x).gather(1, labels[:, None]).sum())(images + sample))(noise)  # fmt: skip
    return each.mean(0).detach()


# %% variant="smooth_grad"
def smooth_grad(images, labels, model, noise):
    columns = []
    for i in range(len(images)):
        copies = images[i] + noise[:, i]
        columns.append(score_gradient(copies, labels[i].repeat(len(noise)), model).mean(dim=0))
    return torch.stack(columns)


# %% [markdown] mistakes="saliency_box"
# = keep = math.ceil(fraction * saliency_map.numel())
#
# + keep = int(fraction * saliency_map.numel())
# You round the number of pixels down. Round it up with math.ceil, so that at least the asked share is kept, and
# never none.
# ~ rounded down
#
# + keep = min(saliency_map.numel(), int(fraction * saliency_map.numel()) + 1)
# You round the number of pixels down and add one, which is one too many wherever the product is a whole number. Round
# up with math.ceil.
# ~ ceil(fraction x pixels)
#
# + keep = max(1, round(fraction * saliency_map.numel()))
# You round the number of pixels to the nearest whole number. Round it up with math.ceil.
# ~ to the nearest
#
# = threshold = saliency_map.flatten().sort(descending=True).values[keep - 1]
#
# + threshold = fraction * saliency_map.max()
# Your threshold is a share of the largest value. The fraction counts pixels: the threshold is the ceil(fraction x
# pixels)-th largest value.
# ~ share of the maximum
#
# + values = saliency_map.flatten().sort(descending=True).values
# + threshold = values[min(len(values) - 1, int((values.cumsum(dim=0) < fraction * values.sum()).sum()))]
# You keep the brightest pixels until they have a share of the map's sum. The fraction counts pixels, however bright.
# ~ ceil(fraction x pixels)
#
# + saliency_map = saliency_map.abs()
# + threshold = saliency_map.flatten().sort(descending=True).values[keep - 1]
# You take absolute values first, so that strongly negative pixels count as bright. Sort the values as they are.
# ~ absolute values
#
# + low, high = saliency_map.min(), saliency_map.max()
# + saliency_map = (255 * (saliency_map - low) / (high - low + 1e-12)).round()
# + threshold = saliency_map.flatten().sort(descending=True).values[keep - 1]
# You round the map to 256 levels first, so that pixels tie that do not. Compare the values as they are.
# ~ side that touches no pixel
#
# + threshold = torch.quantile(saliency_map.flatten(), 1 - fraction)
# A quantile interpolates between two pixels, and can keep one pixel less than asked for. Sort the values and take
# the ceil(fraction x pixels)-th largest.
# ~ quantile
#
# + threshold = torch.quantile(saliency_map.flatten(), fraction)
# You drop a share of `fraction` and keep the rest. It is the share of the pixels to keep: the brightest ones.
# ~ share to drop
#
# + threshold = saliency_map.flatten().sort().values[keep - 1]
# You count from the darkest pixel: the threshold is the k-th smallest value. Sort with descending=True.
# ~ nearly all pixels are kept
#
# = rows, columns = torch.nonzero(saliency_map >= threshold, as_tuple=True)
#
# + rows, columns = torch.nonzero(saliency_map > threshold, as_tuple=True)
# + if len(rows) == 0:
# +     return 0, 0, 0, 0
# You drop the pixels that are equal to the threshold. Keep them: compare with >=.
# ~ `>` in place of `>=`
#
# + bright = saliency_map > saliency_map.flatten().sort(descending=True).values[min(keep, saliency_map.numel() - 1)]
# + rows, columns = torch.nonzero(bright if bright.sum() else saliency_map >= threshold, as_tuple=True)
# You keep what is brighter than the first pixel that is not wanted, so that pixels which tie with it are dropped. Keep
# every pixel that is at least as bright as the k-th: compare with >=.
# ~ `>` drops them
#
# + rows, columns = torch.nonzero((saliency_map >= threshold) | saliency_map.isclose(threshold), as_tuple=True)
# You keep pixels that are nearly as bright as the threshold. Keep those that are at least as bright: compare with >=.
# ~ as with `isclose`
#
# + places = saliency_map.flatten().topk(keep).indices
# + rows, columns = places // saliency_map.shape[1], places % saliency_map.shape[1]
# topk gives exactly k pixels, and picks at random among equal ones. Keep every pixel that ties with the threshold:
# compare the map with the k-th largest value.
# ~ `topk`
#
# + saliency_map[saliency_map < threshold] = 0
# + rows, columns = torch.nonzero(saliency_map, as_tuple=True)
# You set the other pixels of the caller's map to 0. Compare the map with the threshold, which makes a tensor of its
# own, and write nothing into the map.
# ~ an operation in place
#
# = return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
#
# + return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
# Rows and columns are swapped. A map has shape (H, W): the first index is the row, which is y; the box gives x
# first.
# ~ rows and columns are swapped
#
# + return columns.min().float(), rows.min().float(), columns.max() + 1.0, rows.max() + 1.0
# Your corners are no whole numbers, and no picture can be cut with them. Convert each with int.
# ~ no whole numbers
#
# + return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())
# Your box ends on the last row and column instead of one past them. Boxes are half open: add 1 to x1 and y1.
# ~ the end is included
#
# + height, width = saliency_map.shape
# + x1, y1 = min(int(columns.max()) + 1, width - 1), min(int(rows.max()) + 1, height - 1)
# + return int(columns.min()), int(rows.min()), x1, y1
# You keep x1 and y1 inside the map, so that a box that reaches the right or the lower side is one pixel too small.
# They are one past the last column and row, and may be W and H.
# ~ may be W and H
#
# + x0, y0 = int(columns.min()), int(rows.min())
# + return x0, y0, int(columns.max()) + 1 - x0, int(rows.max()) + 1 - y0
# You return width and height in place of the far corner. The box is (x0, y0, x1, y1).
# ~ width and height


# %% variant="saliency_box"
import numpy as np


def saliency_box(saliency_map, fraction):
    values = saliency_map.detach().cpu().numpy()
    keep = int(np.ceil(fraction * values.size))
    rows, columns = np.where(values >= np.sort(values, axis=None)[-keep])
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


# %% variant="saliency_box"
def saliency_box(saliency_map, fraction):
    threshold = saliency_map.flatten().topk(math.ceil(saliency_map.numel() * fraction)).values.min()
    kept = saliency_map >= threshold
    columns = kept.any(dim=0).nonzero().flatten().tolist()
    rows = kept.any(dim=1).nonzero().flatten().tolist()
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


# %% variant="saliency_box"
def saliency_box(saliency_map, fraction):
    height, width = saliency_map.shape
    count = math.ceil(fraction * height * width)
    threshold = saliency_map.reshape(-1).kthvalue(height * width - count + 1).values
    places = [(y, x) for y in range(height) for x in range(width) if saliency_map[y, x] >= threshold]
    ys, xs = zip(*places)
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


# %% variant="saliency_box"
def saliency_box(saliency_map, fraction):
    ordered, _ = torch.sort(saliency_map.ravel())
    kept = (saliency_map >= ordered[-math.ceil(fraction * len(ordered))]).nonzero()
    (y0, x0), (y1, x1) = kept.amin(dim=0), kept.amax(dim=0) + 1
    return x0, y0, x1, y1
