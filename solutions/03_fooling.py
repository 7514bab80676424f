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
# # 3 Fooling images
#
# You change a picture so little that you hardly see it, and so deliberately that a network names it something else.
# Then you measure how little is enough, and train a network that is harder to fool.
#
# **You will**
#
# - **fool** a network: towards a class of your choice by gradient ascent, away from the right class by FGSM and PGD;
# - **measure** robustness: accuracy against the size of the change, on a standard and a robust network, and on one that
#   the attack has never seen;
# - **defend**: write one step of adversarial training, and see what it buys and what it costs.
#
# **Time** about 3 hours, 75 minutes of it for the exercises. **Points** 17 for four exercises, 12 for four questions.
# **Prerequisites** assignment 1, sections 1.1 to 1.4 (the gradient of a score; cross-entropy). **Papers** C. Szegedy
# and others, *Intriguing properties of neural networks*, 2014, [arXiv:1312.6199](https://arxiv.org/abs/1312.6199). I.
# Goodfellow, J. Shlens, C. Szegedy, *Explaining and Harnessing Adversarial Examples*, 2015,
# [arXiv:1412.6572](https://arxiv.org/abs/1412.6572). A. Madry and others, *Towards Deep Learning Models Resistant to
# Adversarial Attacks*, 2018, [arXiv:1706.06083](https://arxiv.org/abs/1706.06083).
#
# | symbol | meaning | shape |
# |---|---|---|
# | $x$, $\tilde x$ | image, values in [0, 1]; the attacked image | (3, H, W) |
# | $d$ | change of the image, in the same units: 1/255 is one grey level of a saved picture | (3, H, W) |
# | $y$ | label | a number |
# | $t$ | target: the class that the network shall see | a number |
# | $s_c(x)$ | score of class $c$, before any softmax | a number |
# | $L(x, y)$ | cross-entropy, $-\log$ of the softmax probability of $y$ | a number |
# | $g$ | gradient at the pixels, of $s_t$ or of $L$ | (3, H, W) |
# | $\Vert d \Vert_2$, $\Vert d \Vert_\infty$ | length of the change; its largest value without sign | a number |
# | $\eta$, $\varepsilon$ | learning rate: the length of a step; the largest change allowed for any value | numbers |
# | $\alpha$ | step of PGD: by how much each value moves; not the channel weight $\alpha_k$ of assignment 2 | a number |

# %% setup
import torch
from torch import nn
from torch.nn import functional as F

from helpers import plots
from helpers.checks import fooling as checks
from helpers.models import load_model
from helpers.pictures import example_pictures, picture_book
from helpers.progress import progress
from helpers.widgets import between, explore
from helpers.writeup import save_figure

model = load_model()
pictures = example_pictures(model, 10)


def picture_of(name):
    """Return the picture of that class, (1, 3, H, W)."""
    return pictures.images[pictures.names.index(name)][None]


def predict(images, network):
    """Return the predicted class of each image, (N,)."""
    with torch.no_grad():
        return network(images).argmax(dim=1)


def verdict(image, network):
    """Return what the network says about an image (1, 3, H, W): its prediction, with the probability."""
    with torch.no_grad():
        probabilities = network(image).softmax(dim=1)[0]
    return f"{network.classes[probabilities.argmax()]} {probabilities.max():.2f}"


predictions = predict(pictures.images, model)
if "stingray" in model.classes:  # two photographs that the network names right
    right = [name for name, correct in zip(pictures.names, predictions == pictures.labels) if correct]
    pairs = [(name, "stingray") for name in right[:2]]
else:
    pairs = [("house", "mushroom"), ("flower", "tree"), ("cat", "flower")]
print(f"{model.name}: {len(model.classes)} classes, images of {tuple(pictures.images.shape[1:])}")
for name, wanted in pairs:
    print(f"  picture of {name}: the network says {verdict(picture_of(name), model)}. It shall say {wanted}.")

# %% [markdown]
# ## 3.1 Many small changes add up
#
# Why should a network be fooled by a change that you hardly see? Take a model that you can compute by hand: a linear
# scorer with weights $w$, one for each of $n$ pixel values. A change $d$ adds $w \cdot d$ to its score,
#
# $$s(x + d) = w \cdot x + w \cdot d ,$$
#
# and how much that can be depends on how you limit the change.
#
# - **A limited length**, $\Vert d \Vert_2 \le \eta$: best is a step along the weights,
#   $d = \eta\, w / \Vert w \Vert_2$. It wins $\eta\, \Vert w \Vert_2$.
# - **A limit for every value**, $\Vert d \Vert_\infty \le \varepsilon$: best is the full $\varepsilon$ everywhere, up
#   where the weight is positive and down where it is negative, $d = \varepsilon\, \mathrm{sign}(w)$. It wins
#   $\varepsilon\, \Vert w \Vert_1 = \varepsilon \sum_i |w_i|$.
#
# Check both by hand, on four pixels.

# %% example
weights = torch.tensor([2.0, -1.0, 0.0, 1.0])
changes = {
    "length 0.1, along the weights": 0.1 * weights / weights.norm(),
    "length 0.1, on one pixel alone": torch.tensor([0.1, 0.0, 0.0, 0.0]),
    "at most 0.05 each, by sign": 0.05 * weights.sign(),
    "at most 0.05 each, all up": torch.full((4,), 0.05),
}
for name, change in changes.items():
    print(f"{name:32} d = {[round(value, 3) for value in change.tolist()]}   score {(weights @ change).item():+.3f}")

# %% [markdown]
# Now let the number of pixels grow, and change every value by a single grey level, 1/255. One change follows the signs
# of the weights, the other is as large and has random signs (the size of what it wins, on average over 50 draws). The
# score itself grows with the number of pixels, too. Its **spread** is its standard deviation over 50 pictures of noise,
# and the last two columns give each gain as a share of it.

# %% example
generator = torch.Generator().manual_seed(0)
print("values in the image    by sign of w    by random signs    spread of the score    shares of the spread")
for n in (4, 100, 3 * 64 * 64, 3 * 224 * 224):
    weights = torch.randn(n, generator=generator)
    signs = torch.randn(50, n, generator=generator).sign()
    deliberate, random = (weights.sign() @ weights / 255).item(), (signs @ weights / 255).abs().mean().item()
    spread = (torch.rand(50, n, generator=generator) @ weights).std().item()
    print(f"{n:19}    {deliberate:12.2f}    {random:15.3f}    {spread:19.1f}", end="")
    print(f"    {deliberate / spread:9.2f} {random / spread:10.3f}")

# %% [markdown]
# The deliberate change wins in proportion to $n$ (for weights of one typical size), since every value helps a little.
# The random one wins in proportion to $\sqrt n$, since its contributions cancel. A picture has many values, so a change
# far below what you can see can move a score far, **if every value moves the right way**. The gradient knows the right
# way (Goodfellow and others, section 3).
#
# Do not read from this that larger pictures are easier to fool because the gain is larger: the score has grown as well.
# What is left is the ratio of the two changes, and the share of the spread: both grow in proportion to $\sqrt n$, for
# pictures of noise. In a photograph neighbours are alike, so a score can spread more, and a network is trained to
# keep its scores in one range. How much of $\sqrt n$ survives depends on the weights it has learned: this is the
# objection of Tanay and Griffin (2016, [arXiv:1608.07690](https://arxiv.org/abs/1608.07690)). The arithmetic shows that
# a small change **can** do much. Whether it does, you measure.
#
# ## 3.2 Climb the score of another class
#
# A network is not linear, but near one image its scores nearly are, and $\partial s_t / \partial x$ takes the place of
# $w$. So take a small step along it, look at the slope again, take the next step:
#
# $$x \leftarrow \mathrm{clip}_{[0, 1]}\Big( x + \eta\, \frac{g}{\Vert g \Vert_2} \Big), \qquad
# g = \frac{\partial s_t}{\partial x} .$$
#
# The gradient is divided by its length, so a step has length $\eta$, wherever the slope is steep or flat. The clip
# keeps the image an image: no value may leave [0, 1]. Stop as soon as the network says $t$.
#
# Note what is climbed: the raw score $s_t$. The gradients of $p_t$ and of $\log p_t$ have one direction, another one
# than $g$: they also push the rivals down (assignment 1, section 1.4). They fool as well. Here the rule is the raw
# score, so that every step can be compared.
#
# ### Exercise 3.1: a fooling image
#
# **Given** one image, a target class, a model, a learning rate and the largest number of updates. **Return** the first
# image of the walk that the model predicts as the target. **Rule:** test before you step. An image that is predicted as
# the target already comes back as a copy; if the target is not reached, the last image comes back.
#
# <details>
# <summary>"NoneType has no attribute 'norm'", or the gradient is None in the second step</summary>
#
# `.grad` is filled for leaves alone. After `x = x + ...`, `x` is the result of an operation, not a leaf. Start every
# step from a new leaf, `x.detach().clone().requires_grad_()`, and ask for `torch.autograd.grad(score, leaf)`.
#
# </details>
#
# <details>
# <summary>The check says that gradients pile up</summary>
#
# `.backward()` **adds** to `.grad`. The second step then follows the sum of two gradients. A new leaf for every step
# has no past.
#
# </details>
#
# <details>
# <summary>The check says that the result still requires a gradient</summary>
#
# `image + learning_rate * gradient` belongs to the graph if `image` does. Compute the new image from detached tensors.
#
# </details>
#
# <details>
# <summary>More than ... calls of the model, and no end</summary>
#
# Some targets are never reached. Count the updates: `for _ in range(max_iterations)`.
#
# </details>


# %% exercise="make_fooling_image" minutes=25 difficulty=2
def make_fooling_image(image, target, model, learning_rate, max_iterations):
    """Return an image near the given one that the model predicts as the target (after Szegedy et al. 2014, section 4).

    Args:
        image: (1, 3, H, W) float tensor, values in [0, 1]; float32 or float64.
        target: the class that the model shall predict, a whole number.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        learning_rate: the length of one step, in pixel units.
        max_iterations: the largest number of steps, at least 1.

    Returns:
        (1, 3, H, W) new tensor, detached, of the image's dtype and device: the first of image, x_1, x_2, ... that is
        predicted as the target, or the last one, after max_iterations steps, where none is. Each step is
        x <- clamp(x + learning_rate * g / ||g||, 0, 1) with g = d score of the target / dx and ||g|| its L2 norm over
        all values. If the untouched image is predicted as the target, a copy of it comes back.

    Leaves image and model (parameters, mode, hooks, .grad) as they were. What happens where g = 0 is not defined.
    """
    ### BEGIN SOLUTION
    x = image.detach().clone()
    for _ in range(max_iterations):
        pixels = x.clone().requires_grad_()
        scores = model(pixels)[0]
        if scores.argmax() == target:
            break
        (gradient,) = torch.autograd.grad(scores[target], pixels)
        x = (x + learning_rate * gradient / gradient.norm()).clamp(0, 1)
    return x
    ### END SOLUTION


# %% check="make_fooling_image" points=6
checks.make_fooling_image(make_fooling_image)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.fooling import limited
from helpers.checks.named import Named
from helpers.checks.problems import alike, attack_problem, in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of
from helpers.models import load_model
from helpers.pictures import picture_book

make_fooling_image = Watched(make_fooling_image)


def problem(seed, *size, further=2, **options):
    """One image, and the class that stands `further` behind its prediction."""
    image, prediction, model = attack_problem(seed, 1, *size, **options)
    return image, int(prediction + further) % len(model.classes), model


def walked(image, target, model, learning_rate, iterations):
    with limited(model, 4 * (iterations + 2)):
        return make_fooling_image(image, target, model, learning_rate, iterations)


def first_steps(learning_rate, counts, *options, **more):
    return [walked(*problem(*options, **more), learning_rate, count) for count in counts]


def other_networks():
    """Networks that are easily mixed up, and one whose slopes are large."""
    return [walked(*each, 0.1, 2) for each in alike(problem, 303)] + first_steps(0.3, (1,), 302, (6, 8), gain=30)


def with_a_dtype(dtype):
    return *problem(309, dtype=dtype), 0.1, 2


def whole_way(learning_rate, *options, **more):
    image, target, model = problem(*options, **more)
    fooled = walked(image, target, model, learning_rate, 30).detach()
    return fooled, model(fooled).argmax(dim=1) == target


def nothing_to_do():
    image, target, model = problem(307, further=0)
    kept = image.clone()
    result = walked(image, target, model, 0.3, 4)
    values = result.detach().clone()
    result.detach().add_(1)
    return values, Named({"memory of its own": torch.equal(image, kept)})


def everything_left_as_found():
    image, target, model = problem(308, trainable=True)
    walked(image, target, model, 0.07, 2)
    fooled = walked(image, target, model, 0.07, 2)
    *given, frozen = problem(310)
    walked(*given, frozen, 0.07, 2)
    return fooled, left_of(fooled, image=image), state_of(model), state_of(frozen), make_fooling_image.left_torch


def in_the_picture_book(name, wanted):
    book, scenes = load_model("picturebook", device="cpu"), picture_book(10)
    image, target = scenes.images[scenes.names.index(name)][None], book.classes.index(wanted)
    fooled = walked(image, target, book, 0.25, 20).detach()
    step = (walked(image, target, book, 0.25, 1).detach() - image)[..., ::4, ::4]
    return step, book(fooled).argmax(dim=1) == target


emit("the first three steps, and sixty", lambda: [first_steps(0.07, (1, 2, 3), 301), first_steps(0.01, (60,), 301)])
emit("other networks", other_networks)
emit("up to the first success", lambda: [whole_way(0.3, 342), whole_way(0.2, 361, (8, 6), classes=7, further=3)])
emit("values near 0 and 1", lambda: first_steps(0.8, (1, 2, 4), 305, spread=3.0))
emit("an image predicted as the target already", nothing_to_do)
emit("the image's dtype", lambda: in_both_dtypes(walked, with_a_dtype))
emit("a second call, everything left as found", everything_left_as_found)
emit(
    "float32, in the picture book",
    lambda: [in_the_picture_book(*pair) for pair in (("house", "mushroom"), ("flower", "tree"), ("cat", "flower"))],
)
### END HIDDEN TESTS

# %% [markdown]
# **Predict first:** a picture and what the network says about it, after a handful of steps of length 0.25. Will you see
# the target in it? Will you see the change at all?

# %% figure="fooled"
rows = []
for name, wanted in progress(pairs, "fooling", "image"):
    image, target = picture_of(name), model.classes.index(wanted)
    fooled = make_fooling_image(image, target, model, 0.25, 100)
    change = fooled - image
    noise = torch.randn(change.shape, generator=torch.Generator().manual_seed(0)).to(change)
    noisy = (image + noise * change.norm() / noise.norm()).clamp(0, 1)
    rows.append(
        [
            plots.picture(image[0], verdict(image, model)),
            plots.picture(fooled[0], verdict(fooled, model)),
            plots.difference(change[0], f"length {change.norm():.2f}"),
            plots.difference(change[0], f"at most {255 * change.abs().max():.0f} of 255", times=10),
            plots.picture(noisy[0], verdict(noisy, model)),
        ]
    )
figure = plots.panels(rows, heads=["original", "fooled", "difference", "10 x difference", "random change"])
save_figure(figure, "03_fooling-fooled")

# %% [markdown]
# What to see: the difference is drawn around mid grey, so that darker and brighter both show; what would leave [0, 1]
# is cut off. At its true size you hardly see it. Ten times enlarged it is a grain, on the picture book with the outline
# of the object that **is** there, on the photographs in specks, most of them about the object, that draw no outline.
# Nothing in it looks like the target. The last column is the control: a random change of the same length leaves the
# answer alone. Not the size of the change fools the network, but its direction.
#
# ## 3.3 Does it survive being saved?
#
# A file holds 256 levels for each value, so saving moves every value by up to 1/510, this way or that. The walk stopped
# at the **first** image across the border between two classes, and may be just across. To be safe, go on for a while.
# The stop rule is in your function, so change what it is told: let the target start `margin` points behind. The slope
# of its score stays the same, and the walk ends when the target leads by `margin` (Carlini and Wagner 2017 call it the
# confidence).


# %% example
class Handicap(nn.Module):
    """A network in which the score of one class starts `margin` points behind."""

    def __init__(self, network, target, margin):
        super().__init__()
        self.network, self.target, self.margin = network, target, margin

    def forward(self, images):
        scores = self.network(images)
        behind = torch.zeros_like(scores)
        behind[:, self.target] = self.margin
        return scores - behind


def rounded(image, bits):
    """Return the image as a file with 2**bits levels for each value gives it back."""
    top = 2**bits - 1
    return (image * top).round() / top


# %% [markdown]
# Eight bits is what a PNG file has. Fewer bits stand for coarser treatment, such as strong compression.
#
# **Predict first:** which share of the fooling images still fools after rounding to 8 bits? To 4?

# %% figure="rounding"
bits = (3, 4, 5, 6, 7, 8)
count = len(model.classes)
tasks = [
    (image[None], (int(label) + shift) % count)
    for image, label in zip(pictures.images[:6], predictions)
    for shift in (count // 3, 2 * count // 3)
]
curves = {}
for margin in (0, 1, 4):
    fooled = [
        make_fooling_image(image, target, Handicap(model, target, margin), 0.25, 100)
        for image, target in progress(tasks, f"fooling with margin {margin}", "image")
    ]
    length = sum((x - image).norm() for x, (image, _) in zip(fooled, tasks)) / len(tasks)
    still = [
        sum(int(predict(rounded(x, b), model)) == target for x, (_, target) in zip(fooled, tasks)) / len(tasks)
        for b in bits
    ]
    curves[f"margin {margin}: change of length {length:.2f}"] = still
plots.lines(bits, curves, xlabel="bits for each value", ylabel=f"share of {len(tasks)} that still fools")

# %% [markdown]
# What to see: with margin 0 the images sit on the border. On the picture book, rounding to 5 bits is a change half as
# long as the deliberate one, and undoes some of them. Rounding to 4 bits is as long, and undoes half. A margin of 1
# costs a tenth more length and survives 4 bits. A margin of 4 costs half more and survives 3. Rounding acts like a
# random change: away from the border it has little say, even where it is as long as the deliberate one.
#
# A photograph has twelve times as many values, and SqueezeNet falls to a change that is shorter and spread over all of
# them. So rounding to 8 bits undoes one image of twelve already, and to 6 bits more than half. A margin of 1 survives 7
# bits, and of 4 survives 6, for less than a quarter more length.

# %% [markdown]
# ## 3.4 One step, every value: FGSM
#
# Now limit every value instead of the length: $\Vert d \Vert_\infty \le \varepsilon$. And give up the choice of a
# target: any wrong answer will do, so climb the loss of the label, $L(x, y) = -\log p_y$. Near $x$ the loss is nearly
# linear, and section 3.1 tells the best change of a linear function:
#
# $$\tilde x = \mathrm{clip}_{[0, 1]}\big( x + \varepsilon\, \mathrm{sign}(g) \big), \qquad g = \frac{\partial L(x, y)}{\partial x} .$$
#
# This is the **fast gradient sign method**, FGSM (Goodfellow and others, section 4): one backward pass for a whole
# batch. The sign throws the sizes of the slopes away, so every value moves by $\varepsilon$. It also makes the scale of
# the loss irrelevant: sum or mean over the batch, the signs are the same.
#
# ### Exercise 3.2: the fast gradient sign method
#
# **Given** images, labels, a model and $\varepsilon$. **Return** the attacked images. **Rule:** attack every image,
# also one that the model gets wrong already; use the labels that are passed in; clamp to [0, 1].
#
# <details>
# <summary>The check says that a softmax of a softmax is differentiated</summary>
#
# `F.cross_entropy` takes the raw scores: it applies the softmax and the logarithm itself.
#
# </details>
#
# <details>
# <summary>The check says that values move to where the score of the label falls</summary>
#
# The cross-entropy is $-s_y + \log \sum_c e^{s_c}$. Lowering $s_y$ is half of it; raising the rivals is the other half.
#
# </details>


# %% exercise="fgsm" minutes=10 difficulty=1
def fgsm(images, labels, model, epsilon):
    """Return the images moved one step up the loss, by the fast gradient sign method (Goodfellow et al. 2015, section 4).

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 1, float32 or float64.
        labels: (N,) int64 tensor, the class that each image is to be led away from.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        epsilon: by how much every value moves, in pixel units (8 / 255 is eight grey levels).

    Returns:
        (N, 3, H, W) new tensor, detached, of the images' dtype and device: clamp(images + epsilon * sign(g), 0, 1), g the
        gradient of the cross-entropy of each image's label. Every image is attacked, whatever is predicted for it.

    Leaves images, labels and model (parameters, mode, hooks, .grad) as they were.
    """
    ### BEGIN SOLUTION
    pixels = images.detach().clone().requires_grad_()
    loss = F.cross_entropy(model(pixels), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, pixels)
    return (images + epsilon * gradient.sign()).clamp(0, 1)
    ### END SOLUTION


# %% check="fgsm" points=3
checks.fgsm(fgsm)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import alike, attack_problem, in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of

fgsm = Watched(fgsm)


def sure_of_something_else(seed, *size, **options):
    """Two images, and labels to which a network that is sure gives next to no probability."""
    images, labels, model = attack_problem(seed, 3, *size, gain=30, **options)
    return images[1:], labels[1:], model


def other_networks():
    """Networks that are easily mixed up, and one that is sure."""
    given = [*alike(attack_problem, 312, 1), sure_of_something_else(318, (8, 6), classes=7)]
    return [fgsm(*each, 0.1) for each in given]


def no_step_at_all():
    images, labels, model = attack_problem(314, 2)
    result = fgsm(images, labels, model, 0.0)
    values = result.detach().clone()
    result.detach().add_(1)
    return values, images


def everything_left_as_found():
    images, labels, model = attack_problem(315, 2, trainable=True)
    fgsm(images, labels, model, 0.03)
    attacked = fgsm(images, labels, model, 0.03)
    *given, frozen = attack_problem(320, 2)
    fgsm(*given, frozen, 0.03)
    left = left_of(attacked, images=images, labels=labels), state_of(model), state_of(frozen)
    return attacked, left, fgsm.left_torch


emit("three images, right and wrong labels", lambda: fgsm(*attack_problem(311, 3), 0.03))
emit("other networks", other_networks)
emit(
    "float32, a trainable network",
    lambda: fgsm(*attack_problem(313, 1, (7, 10), dtype=torch.float32, trainable=True), 0.05),
)
emit("values near 0 and 1, and epsilon 0", lambda: [fgsm(*attack_problem(316, 4, spread=3.0), 0.3), no_step_at_all()])
emit("the images' dtype", lambda: in_both_dtypes(fgsm, lambda dtype: (*attack_problem(319, 1, dtype=dtype), 0.05)))
emit("a second call, everything left as found", everything_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# How good is the linear picture behind FGSM? It predicts that the loss grows by $\varepsilon\, \Vert g \Vert_1$.
# Compare this with the loss that is reached, and with changes of random signs, which are as large.
#
# **Predict first:** will the real loss be larger or smaller than predicted?

# %% figure="linear"
levels = (0, 1, 2, 4, 8, 16)
pixels = pictures.images.clone().requires_grad_()
loss = F.cross_entropy(model(pixels), predictions)
(gradient,) = torch.autograd.grad(loss, pixels)
signs = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0)).sign().to(pixels)


def mean_loss(images):
    with torch.no_grad():
        return F.cross_entropy(model(images), predictions).item()


plots.lines(
    levels,
    {
        "predicted: loss + epsilon x sum of |g|": [loss.item() + e / 255 * gradient.abs().sum().item() for e in levels],
        "FGSM": [
            mean_loss(fgsm(pictures.images, predictions, model, e / 255))
            for e in progress(levels, "attacking", "epsilon")
        ],
        "random signs": [mean_loss((pictures.images + e / 255 * signs).clamp(0, 1)) for e in levels],
    },
    xlabel="epsilon in grey levels of 255",
    ylabel=f"mean cross-entropy of {len(pictures)} pictures",
)

# %% [markdown]
# What to see: random signs do next to nothing. FGSM does a lot, and soon leaves the straight line, to one side or the
# other: the gradient speaks of small changes, and at the far end of one long step the slope is another, in size and in
# direction. The remedy is the one of section 3.2: many small steps.
#
# ## 3.5 Many small steps: PGD
#
# **Projected gradient descent** on the negative loss, PGD (Madry and others, section 2.1), repeats the step, and after
# each one brings the image back to where it may be:
#
# $$x_0 = x, \qquad x_{k+1} = \Pi\big( x_k + \alpha\, \mathrm{sign}(g_k) \big), \qquad
# g_k = \frac{\partial L(x_k, y)}{\partial x_k} .$$
#
# $\alpha$ is the length of one step for every value, and $\Pi$ the projection on the images allowed: each value goes to
# the nearest one in $[x - \varepsilon, x + \varepsilon]$ **and** in [0, 1]. The ball is around the original $x$, not
# around $x_k$. Projecting on a box is clamping, value by value, and the order of the two clamps does not matter here.
# Many implementations start at a random point of the ball; this one starts at the image, so that its result can be
# repeated.
#
# ### Exercise 3.3: projected gradient descent
#
# **Given** what FGSM is given, and a step and a number of iterations. **Return** the last image of the walk. **Rule:**
# project after every step; make all the steps, for every image, fooled or not. A step larger than $\varepsilon$ is
# allowed.
#
# <details>
# <summary>The check says that a value is too far from where it was</summary>
#
# `torch.clamp` takes tensors as bounds: `torch.clamp(x, images - epsilon, images + epsilon)`. The middle of the ball is
# the image that was passed in, so keep it: it is not `x`.
#
# </details>
#
# <details>
# <summary>May I call fgsm?</summary>
#
# Yes: what is one step of FGSM with `epsilon=step`? What remains to be done after it? Let `fgsm` pass its own check
# first.
#
# </details>


# %% exercise="pgd" minutes=20 difficulty=2
def pgd(images, labels, model, epsilon, step, iterations):
    """Return the images moved many small steps up the loss, inside a ball (Madry et al. 2018, section 2.1).

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 1, float32 or float64.
        labels: (N,) int64 tensor, the class that each image is to be led away from.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        epsilon: how far any value may get from where it was, in pixel units.
        step: by how much every value moves in one step, in pixel units; it may be larger than epsilon.
        iterations: the number of steps, at least 1.

    Returns:
        (N, 3, H, W) new tensor, detached, of the images' dtype and device: the last of x_0 = images,
        x_k+1 = projection of x_k + step * sign(g_k), g_k the gradient at x_k of the cross-entropy of each image's label.
        The projection clamps every value to [image - epsilon, image + epsilon] and to [0, 1], after every step. There
        is no random start and no early stop, and every image is attacked, whatever is predicted for it.

    Leaves images, labels and model (parameters, mode, hooks, .grad) as they were.
    """
    ### BEGIN SOLUTION
    x = images.detach().clone()
    for _ in range(iterations):
        pixels = x.clone().requires_grad_()
        loss = F.cross_entropy(model(pixels), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, pixels)
        x = x + step * gradient.sign()
        x = torch.clamp(x, images - epsilon, images + epsilon).clamp(0, 1)
    return x
    ### END SOLUTION


# %% check="pgd" points=4
checks.pgd(pgd)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.fooling import limited
from helpers.checks.named import Named
from helpers.checks.problems import SMALL, alike, attack_problem, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of

fgsm, pgd = Watched(fgsm), Watched(pgd)


def own_fgsm(images, labels, model, step):
    """Where the answer to exercise 3.2 goes: a mistake in there should not cost marks in here again."""
    try:
        return fgsm(images.clone(), labels.clone(), model, step)
    except Exception:
        return torch.zeros(1)


def walk(images, labels, model, epsilon, step):
    """Where the walk is after 0, 1, 2, 3 steps, where the student's fgsm goes from the first three, and epsilon."""
    with limited(model, 40 * len(images)):
        at = [
            images.clone(),
            *(pgd(images.clone(), labels.clone(), model, epsilon, step, count) for count in (1, 2, 3)),
        ]
    return at, [own_fgsm(x, labels, model, step) for x in at[:3]], float(epsilon)


def other_networks():
    """Networks that are easily mixed up, and one that is sure of something else."""
    images, labels, sure = attack_problem(323, 3, (7, 7), gain=30)
    given = [*alike(attack_problem, 322, 1, (8, 5), classes=7), (images[1:], labels[1:], sure)]
    return [walk(*each, 0.1, 0.06) for each in given]


def dtypes():
    """Walks in float64 and float32, and whether they are of that dtype, or else of that of the student's fgsm."""
    walks = [walk(*attack_problem(329, 1, SMALL, dtype=dtype), 0.1, 0.04) for dtype in (torch.float64, torch.float32)]
    known = [all(x.dtype in (at[0].dtype, towards[0].dtype) for x in at) for at, towards, _ in walks]
    return walks, Named({"the result's dtype": known})


def everything_left_as_found():
    images, labels, model = attack_problem(328, 2, SMALL, trainable=True)
    pgd(images, labels, model, 0.05, 0.02, 2)
    attacked = pgd(images, labels, model, 0.05, 0.02, 2)
    of_its_own = Named({"memory of its own": attacked.data_ptr() != images.data_ptr()})
    *given, frozen = attack_problem(330, 2, SMALL)
    pgd(*given, frozen, 0.05, 0.02, 2)
    left = left_of(attacked, images=images, labels=labels), of_its_own, state_of(model), state_of(frozen)
    return walk(images.detach(), labels, model, 0.05, 0.02), left, pgd.left_torch


def goes_on():
    """Whether the model is asked more often in forty steps than in ten, wherever they lead."""
    images, labels, model = attack_problem(331, 2, SMALL)
    calls = {10: 0, 40: 0}
    for count in calls:
        handle = model.normalise.register_forward_pre_hook(
            lambda *_, count=count: calls.update({count: calls[count] + 1})
        )
        pgd(images.clone(), labels.clone(), model, 0.9, 0.01, count)
        handle.remove()
    return calls[40] > 1.5 * calls[10]


emit(
    "three images, right and wrong labels, and many steps",
    lambda: [walk(*attack_problem(321, 3, SMALL), 0.05, 0.02), goes_on()],
)
emit("other networks", other_networks)
emit(
    "a step larger than epsilon, and epsilon 0",
    lambda: [walk(*attack_problem(324, 3, SMALL), 0.04, 0.1), walk(*attack_problem(326, 2, SMALL), 0.0, 0.03)],
)
emit("values near 0 and 1", lambda: walk(*attack_problem(333, 3, SMALL, spread=3.0), 0.25, 0.15))
emit("the images' dtype", dtypes)
emit("a second call, everything left as found", everything_left_as_found)
### END HIDDEN TESTS

# %% judge="pgd"
import numpy as np

from helpers.course.marks.compare import close


def judge(part, got, want, given):
    """Accept the right walk, or one that goes where the student's own fgsm goes, then back into ball and [0, 1]."""
    if len(got) != len(want):
        return False
    several = {"other networks": 4, "a step larger than epsilon, and epsilon 0": 2, "the images' dtype": 2}
    right, walks = [], several.get(part, 1)
    for start in range(0, 8 * walks, 8):
        at, towards, epsilon = got[start : start + 4], got[start + 4 : start + 7], got[start + 7]
        right.append(all(map(close, at, want[start : start + 4])) or follows(at, towards, float(epsilon)))
    return all(right) and all(map(close, got[8 * walks :], want[8 * walks :]))


def follows(at, towards, epsilon):
    if any(x.shape != at[0].shape for x in (*at, *towards)):
        return False
    both_ways = all((goal > x).any() and (goal < x).any() for x, goal in zip(at, towards))
    low, high = np.maximum(at[0] - epsilon, 0), np.minimum(at[0] + epsilon, 1)
    return both_ways and all(close(x, np.clip(goal, low, high)) for x, goal in zip(at[1:], towards))


# %% [markdown]
# One step and ten steps, side by side, with the same limit $\varepsilon$ for every value. Under each picture stands
# what the network says.
#
# **Predict first:** at which $\varepsilon$ does each attack succeed? At which do you begin to see it?

# %% figure="attacks"
levels = (0, 8, 16, 32) if len(model.classes) == 10 else (0, 0.1, 0.2, 1, 4)
rows = []
for name, _ in progress(pairs[:2], "attacking", "image"):
    image = picture_of(name)
    label = predict(image, model)
    one_step = [fgsm(image, label, model, e / 255) for e in levels]
    ten_steps = [pgd(image, label, model, e / 255, e / 4 / 255, 10) for e in levels]
    rows += [[plots.picture(x[0], verdict(x, model)) for x in attacked] for attacked in (one_step, ten_steps)]
plots.panels(rows, heads=[f"{e}/255" for e in levels], names=["FGSM", "PGD", "FGSM", "PGD"], width=1.6)

# %% [markdown]
# What to see: on the picture book PGD needs a smaller change than FGSM. On the photographs a fifth of a grey level is
# enough for both: so near the picture the network is nearly linear, and one step is as good as ten. With more room PGD
# goes on: in the end the network is as sure of the wrong answer as it was of the right one, or surer. FGSM may lose
# certainty again when its change gets too large: one long step overshoots.
#
# ## 3.6 A network that was trained for it
#
# From here on you work on the picture book, where six networks are at hand, which differ in how they were made.
#
# - `standard` was trained on pictures with a little noise.
# - `robust` has the same layers. At every step of its training it saw pictures that an attack had just made hard for
#   it, by changes of length up to 5 (section 3.8).
# - `seed 1` and `seed 2` differ from the standard network in their random **first weights**, and in nothing else: the
#   same layers, the same pictures in the same order.
# - `sibling` is the other way round: the same layers and the same first weights, other pictures. (Its sailboats all
#   carried a stamp, so it misses every sailboat without one.)
# - `ViT` is another architecture, a vision transformer.

# %% example
endings = {
    "standard": "",
    "robust": "-robust",
    "seed 1": "-seed1",
    "seed 2": "-seed2",
    "sibling": "-stamped",
    "ViT": "-vit",
}
book = {name: load_model(f"picturebook{ending}", device="cpu") for name, ending in endings.items()}
scenes = picture_book(30, seed=11)


def accuracy(images, labels, network):
    """Return the share of images that the network names as their label."""
    return (predict(images, network) == labels).float().mean().item()


for name, network in book.items():
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{name:10} {parameters:8} parameters   accuracy {accuracy(scenes.images, scenes.labels, network):.2f}")

# %% [markdown]
# The usual picture of robustness is accuracy against $\varepsilon$.
#
# **Predict first:** sketch the two curves of the standard network, under FGSM and under PGD.

# %% figure="accuracy"
levels = (0, 4, 8, 12, 16, 24, 32)
curves = {}
for name in ("standard", "robust"):
    network = book[name]
    one_step = [fgsm(scenes.images, scenes.labels, network, e / 255) for e in levels]
    many_steps = [
        pgd(scenes.images, scenes.labels, network, e / 255, e / 4 / 255, 10)
        for e in progress(levels, f"attacking {name}", "epsilon")
    ]
    curves[f"{name}, FGSM"] = [accuracy(images, scenes.labels, network) for images in one_step]
    curves[f"{name}, PGD"] = [accuracy(images, scenes.labels, network) for images in many_steps]
plots.lines(levels, curves, xlabel="epsilon in grey levels of 255", ylabel=f"accuracy on {len(scenes)} scenes")

# %% [markdown]
# What to see: without an attack the two networks are equal. Under PGD they are worlds apart up to 16/255; at 32/255
# both have fallen to 0. Now read the two curves of one network. Judged by FGSM, the standard network looks fairly
# robust at 16/255. It is not: the attack was weak. An attack that fails proves nothing, since a better one may succeed;
# each curve is an **upper bound** of the true robustness.
#
# ### Play with it
#
# The curves are means of 30 scenes. Here you have one scene, and $\varepsilon$ in your hand. Find the least $\varepsilon$
# (in grey levels) at which each attack fools each network: how many times more does the robust one bear? Then leave PGD for FGSM
# and go on: find a scene that FGSM fools at some $\varepsilon$ and **no longer** at a larger one. Does this happen with PGD?


# %% figure="play-epsilon"
def attacked_by(scene, network, attack, epsilon):
    image, label, chosen = scenes.images[scene][None], scenes.labels[scene][None], book[network]
    if attack == "FGSM":
        attacked = fgsm(image, label, chosen, epsilon / 255)
    else:
        attacked = pgd(image, label, chosen, epsilon / 255, epsilon / 4 / 255, 10)
    return plots.strip(
        [
            plots.picture(image[0], verdict(image, chosen)),
            plots.picture(attacked[0], verdict(attacked, chosen)),
            plots.difference((attacked - image)[0], f"difference,\nat most {epsilon:.3g} of 255"),
            plots.difference((attacked - image)[0], "10 x difference", times=10),
        ]
    )


explore(
    attacked_by,
    scene={f"{name} {number}": number for number, name in enumerate(scenes.names[:12])},
    network=["standard", "robust"],
    attack=["PGD", "FGSM"],
    epsilon=between(0.5, 64, at=8, log=True),
)

# %% [markdown]
# <details>
# <summary>What you may have found</summary>
#
# For the 30 scenes, PGD needs 9.5 grey levels on the standard network in the median (from 5 to 19), and 27 on the robust one
# (from 19 to 32): a factor of 2.8, from 1.4 to 4.8 by scene. On the standard network, FGSM needs 2.8 times as much as PGD, and
# leaves three scenes named right up to 64. The scene that FGSM fools and then lets go is *cat 10*. With PGD this happens in no
# scene. So an $\varepsilon$ at which FGSM fails does not even tell that it fails at all smaller ones.
#
# </details>
#
# ### What fools the robust network?
#
# It can be fooled too, by a larger change. Take the same pictures and the same targets for both networks. In the last
# column the walk goes on, by means of `Handicap`, until the target leads by 8 points.
#
# **Predict first:** what will the change look like that turns a house into a mushroom for the robust network?

# %% figure="robust"
drawn = picture_book(10)
rows = []
for name, wanted in progress((("house", "mushroom"), ("flower", "tree"), ("mushroom", "fish")), "fooling", "image"):
    image = drawn.images[drawn.names.index(name)][None]
    target = book["standard"].classes.index(wanted)
    row = [plots.picture(image[0], f"{name}: {wanted}?")]
    for network in (book["standard"], book["robust"]):
        fooled = make_fooling_image(image, target, network, 0.25, 100)
        row.append(plots.picture(fooled[0], verdict(fooled, network)))
        row.append(plots.difference(fooled[0] - image[0], f"length {(fooled - image).norm():.1f}", times=3))
    further = make_fooling_image(image, target, Handicap(book["robust"], target, 8), 0.5, 100)
    row.append(plots.picture(further[0], verdict(further, book["robust"])))
    rows.append(row)
plots.panels(
    rows, heads=["original", "standard", "3 x difference", "robust", "3 x difference", "robust, further"], width=1.6
)

# %% [markdown]
# What to see: the change for the robust network is three times as long, or more. It is no grain: it **means**
# something. The roof gets white spots and a stem below. The flower gets a trunk. The mushroom gets stripes and an eye.
# To raise the score of the robust network you have to draw some of the target. For the standard network, grain is
# enough.
#
# ## 3.7 Another network
#
# An attack needs the gradient, so it needs the network. Or does it? Attack each network by PGD, and show the attacked
# pictures to the others, which had no part in it. The first row is the control: as large a change, with random signs.
#
# **Predict first:** which attack will carry over to which network? Which network will be fooled by none but its own?

# %% figure="transfer"
epsilon = 32 / 255
signs = torch.randn(scenes.images.shape, generator=torch.Generator().manual_seed(0)).sign()
attacked = {"random signs": (scenes.images + epsilon * signs).clamp(0, 1)}
for name, network in progress(book.items(), "attacking", "network"):
    attacked[f"PGD on {name}"] = pgd(scenes.images, scenes.labels, network, epsilon, epsilon / 4, 10)
plots.matrix(
    [[accuracy(images, scenes.labels, network) for network in book.values()] for images in attacked.values()],
    rows=list(attacked),
    columns=list(book),
    title="Accuracy of each network at epsilon 32/255",
)

# %% [markdown]
# What to see: on the diagonal, each network under the attack made for it. Mind the number of scenes: 30 are few, and a 0.90
# could as well be 0.75 or 0.97. What is larger than that:
#
# - Standard network and sibling fall to each other's attacks as to their own. They started from the same first weights.
#   **Other first weights alone** keep a part of the scenes: of the attacks between `standard`, `seed 1` and `seed 2`, 0.43
#   to 0.90 are named right. The number depends on the pair, and on the direction. At 16/255 these attacks carry over to
#   none of the three (try it: `epsilon = 16 / 255`), while standard network and sibling still lose more than 60 % to
#   each other.
# - To the ViT the attacks made on these four hardly carry over, and its own carry over to nobody.
# - The attacks made on the robust network carry over to **all**: they draw something of another class, and that counts
#   everywhere. It is itself fooled by none but its own.
#
# So "networks that were built alike are fooled alike" holds for networks that share their start, and only in part for
# those that share the architecture. An attacker does not know the start.
#
# ## 3.8 Training against the attack
#
# If attacked pictures are hard, train on them. **Adversarial training** looks for weights $\theta$ that do well on the
# worst picture near each training picture (Madry and others, section 2):
#
# $$\min_\theta \; \mathbb{E}_{(x, y)} \Big[ \max_{\Vert d \Vert_\infty \le \varepsilon} L_\theta(x + d, y) \Big] .$$
#
# The maximum inside cannot be computed, so an attack stands in for it. One step of training is then: attack the batch
# with the network as it is now, and take an ordinary step on the attacked batch. Nothing has to be differentiated
# through the attack. By a theorem of Danskin, if the loss is smooth and there is one worst picture, and the attack has
# found exactly this one, the gradient there is the gradient of the maximum. A real attack finds a bad picture and not
# the worst, so that this is a reason for the recipe and no proof that it must work.
#
# Mind the two modes of a network. The attack shall meet the network as it will be used: in **eval** mode, where
# BatchNorm uses its running statistics. The update happens in **train** mode, as in every training, where BatchNorm
# uses the statistics of the batch, and updates the running ones.
#
# ### Exercise 3.4: one step of adversarial training
#
# **Given** a network in training, its optimiser, a batch with labels, and an attack: a function that is called as
# `attack(images, labels, model)` and returns the attacked images. **Return** the loss. **Rule:** attack once, in eval
# mode; one update, in train mode, of the mean cross-entropy of the attacked images, and of nothing else. This exercise
# is the one in which the model is **meant** to change.
#
# <details>
# <summary>The check says that gradients of an earlier step are still in .grad</summary>
#
# `loss.backward()` adds to what is there already. Where does `optimiser.zero_grad()` belong, so that nothing old is
# left and nothing new is lost?
#
# </details>
#
# <details>
# <summary>The running statistics were updated by no batch, or by two</summary>
#
# They are updated whenever the model is called in train mode. Call it once in that mode: for the loss.
#
# </details>


# %% exercise="adversarial_training_step" minutes=20 difficulty=2
def adversarial_training_step(model, optimiser, images, labels, attack):
    """Make one update of the model's parameters on attacked images (Madry et al. 2018, section 2).

    Args:
        model: a trainable network, images (N, 3, H, W) -> unnormalised scores (N, classes), in whichever mode.
        optimiser: a torch.optim.Optimizer of the model's parameters, whose .grad may hold gradients of earlier steps.
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 2.
        labels: (N,) int64 tensor.
        attack: a function (images, labels, model) -> attacked images (N, 3, H, W), detached.

    Returns:
        The mean cross-entropy of the attacked images, in train mode, with the parameters as they were before the
        update: a float, or a detached tensor without axes.

    Changes: the model's parameters and the optimiser's state, by one optimiser step down the gradient of that loss; the
    running statistics of BatchNorm layers, by one batch, the attacked one. The attack is called once, with the model in
    eval mode. Which mode the model is in afterwards, and what .grad holds, is up to you. Images and labels stay as they
    were.
    """
    ### BEGIN SOLUTION
    model.eval()
    attacked = attack(images, labels, model)
    model.train()
    loss = F.cross_entropy(model(attacked), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()
    ### END SOLUTION


# %% check="adversarial_training_step" points=4
checks.adversarial_training_step(adversarial_training_step)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.named import Named
from helpers.checks.networks import plain_network
from helpers.checks.problems import left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of

adversarial_training_step = Watched(adversarial_training_step)


class Shift:
    """An attack that goes by what the model says, and so by its mode; it counts its calls, and how it was called."""

    def __init__(self, seed):
        self.pattern = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.calls, self.in_train_mode, self.without_gradients = 0, 0, 0

    def __call__(self, images, labels, model):
        self.calls += 1
        self.in_train_mode += any(module.training for module in model.modules())
        self.without_gradients += not torch.is_grad_enabled()
        with torch.no_grad():
            sure = model(images).softmax(dim=1)[torch.arange(len(images)), labels]
        return (images + 0.4 * sure[:, None, None, None] * self.pattern).clamp(0, 1)


def problem(seed, count, optimiser=torch.optim.SGD, **options):
    torch.manual_seed(seed)
    model = plain_network(seed, **options)
    generator = torch.Generator().manual_seed(seed)
    classes = model[-1].out_features
    images = torch.rand(count, 3, 5, 7, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (count,), generator=generator)
    return model, optimiser(model.parameters(), lr=0.05), images, labels, Shift(seed)


def loss_of_one_step(*options, **more):
    loss = adversarial_training_step(*problem(*options, **more))
    return loss, Named({"the result's requires_grad": getattr(loss, "requires_grad", False)})


def model_after(steps, *options, **more):
    model, *rest = problem(*options, **more)
    for _ in range(steps):
        adversarial_training_step(model, *rest)
    return model


def parameters(model):
    return torch.cat([parameter.flatten() for parameter in model.parameters()])


KEPT = [f"the model's {part}" for part in ("structure", "hooks", "forward", "requires_grad")]


def statistics(model):
    return [model[1].running_mean, model[1].running_var, model[1].num_batches_tracked]


def the_attack_and_all_that_training_leaves():
    model, optimiser, images, labels, attack = problem(335, 3)
    adversarial_training_step(model, optimiser, images, labels, attack)
    met = {
        "calls of the attack": attack.calls,
        "the model's mode in the attack": attack.in_train_mode,
        "the attack without gradients": attack.without_gradients,
        "the parameters' dtype": parameters(model).dtype == images.dtype,
    }
    state = state_of(model)
    left = Named(met | {words: state[words] for words in KEPT}), left_of(images=images, labels=labels)
    return parameters(model), left, adversarial_training_step.left_torch


def after_three_steps_of_adam():
    model = model_after(3, 336, 5, torch.optim.Adam, classes=4)
    return parameters(model), statistics(model)


emit("the loss", lambda: [loss_of_one_step(331, 4), loss_of_one_step(332, 6, classes=5)])
emit("the parameters", lambda: [parameters(model_after(1, 331, 4)), parameters(model_after(1, 333, 2, classes=5))])
emit(
    "a network that is sure",
    lambda: [loss_of_one_step(337, 6, gain=30), parameters(model_after(1, 337, 6, gain=30))],
)
emit("the running statistics", lambda: statistics(model_after(1, 334, 4)))
emit("the attack, all else left as found", the_attack_and_all_that_training_leaves)
emit("three steps of another optimiser", after_three_steps_of_adam)
### END HIDDEN TESTS

# %% [markdown]
# Now use your step. Tiny networks of one architecture learn to tell four classes of the picture book apart, from 400
# pictures of 32 x 32 pixels: by ordinary steps (an attack that does nothing), or against FGSM with one of two
# $\varepsilon$. Then all face PGD. Two things keep the comparison fair. $\varepsilon$ rises over the first half of the
# training (a **warm-up**), since a network that knows nothing yet learns little from pictures that are made hard for it.
# And each training is run three times, from other first weights, so that you see how much is chance.
#
# **Predict first:** where does each training pay, and where does it cost?

# %% example
chosen = [book["standard"].classes.index(name) for name in ("cat", "flower", "car", "sailboat")]


def small_pictures(count, seed):
    """Return small pictures of the four classes, and labels 0 to 3."""
    labels = torch.arange(count) % 4
    return picture_book(count, seed, size=32, labels=[chosen[label] for label in labels]).images, labels


def block(before, after):
    return nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)


def train(lessons, epsilon, seed, epochs=24):
    """Return a tiny network trained by your steps, against FGSM whose epsilon rises over the first half of the epochs."""
    torch.manual_seed(seed)
    network = nn.Sequential(*block(3, 16), *block(16, 32), *block(32, 32), nn.Flatten(), nn.Linear(32 * 4 * 4, 4))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    images, labels = lessons
    for epoch in range(epochs):
        now = epsilon * min(1, 2 * (epoch + 1) / epochs)
        for batch in torch.randperm(len(images)).split(25):
            adversarial_training_step(
                network, optimiser, images[batch], labels[batch], lambda x, y, m, now=now: fgsm(x, y, m, now)
            )
    return network.eval()


# %% figure="training"
levels = (0, 2, 4, 8, 12, 16, 24)
lessons, (images, labels) = small_pictures(400, seed=1), small_pictures(100, seed=2)
curves, learned = {}, {}
runs = [(strength, seed) for strength in (0, 8, 16) for seed in (0, 1, 2)]
for strength, seed in progress(runs, "training", "network"):
    network = train(lessons, strength / 255, seed)
    attacked = [pgd(images, labels, network, e / 255, e / 4 / 255, 10) for e in levels]
    name = f"trained at {strength}/255" if strength else "ordinary training"
    curves.setdefault(name, []).append([accuracy(x, labels, network) for x in attacked])
    learned.setdefault(name, []).append(accuracy(*lessons, network))
for name, shares in learned.items():
    print(f"{name:20} right on its own 400 pictures: {', '.join(f'{share:.2f}' for share in shares)}")
plots.lines(
    levels,
    curves,
    xlabel="epsilon of PGD in grey levels of 255",
    ylabel="accuracy on 100 new pictures",
    title="Mean of three networks each; the band goes from the worst to the best",
)

# %% [markdown]
# What to see: ordinary training collapses at once. Training at 8/255 holds up to about half of its $\varepsilon$, keeps
# more than half of the pictures at 8/255, and next to none at 16/255. Training at 16/255 holds further out, and is at 0
# by 24/255 as well. On clean pictures all are equal within their bands: **here** robustness costs no accuracy. What it
# costs is time, since each step needs an attack first. On harder tasks it does cost accuracy (Tsipras and others 2019,
# below, give a reason why it must, on some).
#
# Why the warm-up and the line about the own 400 pictures? With half of the epochs and no warm-up, the network trained at
# 16/255 names 53 % of its **own** pictures right for one choice of first weights, and 83 % for another. Its curve then
# starts at 45 % or at 77 %, and you might read a price of robustness from it, where there is a training cut short. Before
# you compare two networks, look whether both have learned.
#
# ## 3.9 Four claims to judge
#
# Each claim below is partly or wholly wrong. Say what holds, what does not, and why, in up to 200 words each.
#
# ### Claim 1: the target must be in there
#
# Dora shows her fooling images. "The network says mushroom, with 0.4. So the change must have put something of a
# mushroom into the picture, and we are too blind to see it. Enlarged a hundred times it would show." Judge her
# conclusion, for the standard and for the robust network. What do the column *random change* in the figure of section
# 3.2 and the pictures below *What fools the robust network?* in section 3.6 contribute?

# %% [markdown] question="q_target" points=3 words=200
# ### BEGIN SOLUTION
# **Model answer.** For the standard network the conclusion does not follow. Its scores near the picture are nearly
# linear in some ten thousand values, so a change that moves every value a little the right way adds up to a large
# change of the score, without any shape (section 3.1). Enlarging it only scales it: the grain stays grain. The control
# shows that the *amount* of change is harmless: as long a random change leaves the answer alone. So what matters is the
# direction, and the direction is a property of this network's weights. Something is true in what she says: the change
# does raise exactly the patterns that this network counts as evidence for a mushroom, and such patterns may even be
# useful on real mushrooms; they need not be what people call a mushroom. For the robust network she is nearly right:
# spots, a stem and a trunk appear. There, small grain has been made worthless by training, and what is left to raise
# the score is to draw parts of the target.
#
# **Rubric.**
# - 1 point: no shape of the target is needed. One reason suffices: many tiny contributions add up along the gradient,
#   or the patterns that count for the network need not be those that people see.
# - 1 point: uses the control: a random change of the same length does nothing, **and** so it is the direction that
#   does it, not the size.
# - 1 point: tells the networks apart: for the robust one the change does show parts of the target, **and** says why.
# ### END SOLUTION

# %% [markdown]
# ### Claim 2: keep the weights secret
#
# A company writes: "Attackers need the gradient of our network. We publish neither weights nor architecture, and our
# service answers with the class alone. So our network cannot be fooled. The row of the ViT in your matrix proves it:
# its attacks fool no other network." Judge this with the whole matrix in section 3.7, and name one more way round the
# secret.

# %% [markdown] question="q_secret" points=3 words=200
# ### BEGIN SOLUTION
# **Model answer.** It is true that FGSM and PGD need a gradient, and that an attack made on one network may do nothing
# to another: those made on the ViT leave the others as they are, and those on the standard network hardly touch the
# ViT. But one row proves nothing about the next. An attacker may guess the architecture and train a substitute on
# similar pictures. The fair estimate of what he gets are the rows and columns of `seed 1` and `seed 2`: depending on the
# pair, 10 to 57 % of the pictures are fooled at 32/255. The sibling, which falls completely, shares the first
# weights, which he cannot know. And the attacks made on the robust network lower the accuracy of
# every other, the ViT included, compared with the control row. So even the architecture need not be guessed: a change
# that draws something of another class counts for all. Other ways round: train a substitute on the service's own
# answers, attack several substitutes at once, or steal the weights. Or walk along the border between two classes by
# many queries, for which the class alone suffices. Secrecy makes an attack dearer. Robustness would have to hold
# against an attacker who knows the network.
#
# **Rubric.**
# - 1 point: what holds: an attack can be harmless to a network it was not made for, read from the matrix **and**
#   compared with the control row.
# - 1 point: what does not: attacks do carry over, with a number from the matrix (between `standard`, `seed 1` and
#   `seed 2`, in part; or from the robust network to all) **and** a reason, or the substitute that an attacker can train.
#   The sibling's row alone earns it only if the answer says that it shares the first weights.
# - 1 point: one more way: queries, a substitute trained on the answers, several networks at once, or theft. "Security
#   must not rest on the secret" earns it too.
# ### END SOLUTION

# %% [markdown]
# ### Claim 3: a certificate from an attack
#
# A report says: "We attacked our network with PGD at $\varepsilon = 8/255$, 10 steps, on 30 pictures. 27 are still
# named right. Hence for at least 90 % of all pictures, nothing that changes each value by at most 8/255 can fool our
# network." Judge the word *hence*: name the gaps between the measurement and the claim, and say for each what would
# close it or make it smaller. Give a reason why PGD may find nothing where a change exists, or a sign by which you
# would notice.

# %% [markdown] question="q_bound" points=3 words=200
# ### BEGIN SOLUTION
# **Model answer.** The measurement is an upper bound, and the claim treats it as a lower one. PGD is a search: where it
# finds nothing, there may be something that it missed, as FGSM misses much of what PGD finds in section 3.6. More
# steps, several random starts, other losses and steps tuned to the network make the gap smaller; a proof (interval or
# linear bounds, randomised smoothing) would close it. The search can also fail for a bad reason: where the loss
# saturates or the network contains something that cannot be differentiated, such as rounding, gradients are zero or
# useless and the network looks robust without being so. Signs of this: PGD no better than FGSM, or accuracy that does
# not fall to 0 as $\varepsilon$ grows. Second gap: 30 pictures. With 27 of 30 the share among all pictures may well be
# 75 or 97 %; more pictures help, and they must come from where the network will be used. Third: what the report rightly
# limits itself to, a change of each value, says nothing of other changes, such as rotations, patches or blur.
#
# **Rubric.**
# - 1 point: an attack gives an upper bound: its failure does not show that no change exists, **and** a remedy: a
#   stronger attack (more steps, restarts), or a proof.
# - 1 point: a reason beyond "a stronger attack may exist": gradients that are zero, masked or useless (a saturated
#   loss, rounding in the network), or a walk that ends on a lower top. A sign earns it too: PGD no better than FGSM, or
#   accuracy that does not fall to 0.
# - 1 point: a gap of another kind: 30 pictures are few (a margin in numbers or words), or pictures from elsewhere.
# ### END SOLUTION

# %% [markdown]
# ### Claim 4: the cure for all of it
#
# A colleague has trained a network with your `adversarial_training_step` and FGSM at $\varepsilon = 8/255$. He reports
# 95 % accuracy under FGSM at 8/255 and says: "Training with the attack makes a network immune to it. So from now on we
# train every network like this, and fooling images are history." Judge the evidence, the immunity and the advice. Name
# two measurements that you would make before you agree. What does the training cost?

# %% [markdown] question="q_defence" points=3 words=200
# ### BEGIN SOLUTION
# **Model answer.** The evidence: he tests with the attack that he trained against. A network can learn to beat FGSM
# alone, by bending its loss near the picture so that one long step goes astray (known as catastrophic overfitting, or
# gradient masking), and PGD with the same $\varepsilon$ then succeeds. The immunity: even where the training works, it
# helps up to about the $\varepsilon$ used in training and fades beyond, as the curves of section 3.8 show, and it was
# for one kind of change: each value by a little. A long change of few values, a patch, a rotation were not in it. The
# advice: it costs time. A step takes about twice as long with FGSM, and $k + 1$ times with $k$ steps of PGD, and more
# steps may be needed. In section 3.8 it cost no accuracy on clean pictures; on harder tasks it usually does, so this is
# to be measured, with both networks trained to the end. It is nevertheless one of the few defences that have stood up
# to stronger attacks. Before agreeing: clean accuracy, accuracy against $\varepsilon$ under PGD with many
# steps and restarts, another norm, an attack transferred from another network.
#
# **Rubric.**
# - 1 point: testing with the attack of the training proves little. One reason suffices: FGSM may be beaten without
#   robustness, or a stronger attack such as PGD may succeed.
# - 1 point: limits of what is won: up to about the $\varepsilon$ of the training, **and** for this kind of change only.
# - 1 point: the price (time; or accuracy on clean pictures as something to be measured, or known of harder tasks) **and**
#   at least two measurements that could change the verdict. "The figure of section 3.8 shows a loss of clean accuracy" is
#   wrong, and does not earn it by itself.
# ### END SOLUTION

# %% [markdown]
# ## Check yourself
#
# Six questions, as often as you like; nothing is recorded.

# %% local
# @title Quiz
from helpers.widgets import quiz

quiz("03_fooling")

# %% [markdown]
# ## Recap
#
# - Along the gradient, thousands of small changes add up. A random change of the same size does nothing.
# - Targeted: climb the raw score of the target in steps of length $\eta$ until the network says it. Untargeted: climb
#   the cross-entropy of the label by sign, in one step (FGSM), or in many with a projection (PGD).
# - Accuracy under an attack is an upper bound. A weak attack makes any network look strong.
# - Some attacks carry over to networks they were not made for: wholly to one of the same first weights, in part to one of
#   the same architecture, and, from a robust network, to all. An attacker without the weights trains a substitute.
# - Adversarial training pays up to about the $\varepsilon$ it was done with. It costs time, and on hard tasks accuracy.
#   What fools a network trained so begins to look like the target.
# - One network is one sample. Train several before you say what a method does, and look whether each has learned.
#
# ## Further reading
#
# - Szegedy and others 2014, [arXiv:1312.6199](https://arxiv.org/abs/1312.6199): section 4, how the blind spots were
#   found, and that they carry over to other networks.
# - Goodfellow, Shlens, Szegedy 2015, [arXiv:1412.6572](https://arxiv.org/abs/1412.6572): section 3 on many small
#   changes, section 4 on FGSM, section 6 on training with it.
# - Madry and others 2018, [arXiv:1706.06083](https://arxiv.org/abs/1706.06083): section 2 on the minimum of a
#   maximum.
# - Carlini, Wagner 2017, *Towards Evaluating the Robustness of Neural Networks*,
#   [arXiv:1608.04644](https://arxiv.org/abs/1608.04644): attacks with a margin.
# - Athalye, Carlini, Wagner 2018, *Obfuscated Gradients Give a False Sense of Security*,
#   [arXiv:1802.00420](https://arxiv.org/abs/1802.00420): defences that had only blinded the attack, and how to tell.
# - Ilyas and others 2019, *Adversarial Examples Are Not Bugs, They Are Features*,
#   [arXiv:1905.02175](https://arxiv.org/abs/1905.02175): the grain as something that predicts, and people do not see.
# - Tsipras and others 2019, *Robustness May Be at Odds with Accuracy*, [arXiv:1805.12152](https://arxiv.org/abs/1805.12152):
#   a task on which no network can have both.
# - Wong, Rice, Kolter 2020, *Fast is better than free: Revisiting adversarial training*,
#   [arXiv:2001.03994](https://arxiv.org/abs/2001.03994): training with FGSM, and how it goes wrong.

# %% [markdown] mistakes="make_fooling_image"
# = x = image.detach().clone()
# + x = image
# An image that is predicted as the target already comes back as the caller's own tensor, so a change of the result
# changes the original. Return a copy.
# ~ `return image`
#
# + x = image.detach().clone().requires_grad_()
# Your image is right, but it still hangs on the graph of the last step. Return a detached tensor.
# ~ detach
#
# = for _ in range(max_iterations):
# + for _ in range(max_iterations - 1):
# You make one update less than allowed. range(max_iterations) counts right.
# ~ has not moved
#
# + while True:
# When the target is not reached, your loop goes on past max_iterations: it has no end, or an end of your own choice.
# Count the updates: at most as many as are passed in.
# ~ `while` without a count
#
# = if scores.argmax() == target:
# = break
# +
# You never stop: all iterations are used up, although the target was reached before. Stop at the first image that is
# predicted as the target.
# ~ no test at all
#
# = if scores.argmax() == target:
# = break
# +
# = x = (x + learning_rate * gradient / gradient.norm()).clamp(0, 1)
# + x = (x + learning_rate * gradient / gradient.norm()).clamp(0, 1)
# + if scores.argmax() == target:
# +     break
# You test the prediction and then make the step all the same, so you go one step past the first success. Leave the
# loop before the step.
# ~ the step is still made
#
# = if scores.argmax() == target:
# = break
# +
# = x = (x + learning_rate * gradient / gradient.norm()).clamp(0, 1)
# + x = (x + learning_rate * gradient / gradient.norm()).clamp(0, 1)
# + if model(x)[0].argmax() == target:
# +     break
# You step first and test afterwards, so an image that is predicted as the target already is changed all the same.
# Test the untouched image first.
# ~ test stands after the step
#
# = break
# + return x
# = return x
# +
# Your return stands inside the loop, after success: when the target is not reached, nothing comes back. Return the
# last image behind the loop.
# ~ no `return`
#
# = (gradient,) = torch.autograd.grad(scores[target], pixels)
# + (gradient,) = torch.autograd.grad(-F.cross_entropy(scores, torch.tensor(target)), pixels)
# You climb the probability of the target, or its logarithm (a cross-entropy, negated); divided by their length, the
# two gradients are one. They also push the other scores down. Climb the raw score of the target.
# ~ log_softmax
#
# + (gradient,) = torch.autograd.grad(-scores.max(), pixels)
# You lower the score of the predicted class. That leads to any other class; climb the score of the target.
# ~ score of the prediction is lowered
#
# + scores[target].backward()
# + gradient = pixels.grad
# Your image is right, but .backward() also wrote into .grad of the model's parameters. Ask for the gradient at the
# pixels alone: torch.autograd.grad(score, pixels).
# ~ inputs=[pixels]
#
# = for _ in range(max_iterations):
# + pixels = x.clone().requires_grad_()
# + (gradient,) = torch.autograd.grad(model(pixels)[0, target], pixels)
# + for _ in range(max_iterations):
# = (gradient,) = torch.autograd.grad(scores[target], pixels)
# +
# You compute the gradient once and follow it to the end. The slope changes along the way: compute it anew in every
# step.
# ~ computed once
#
# = x = image.detach().clone()
# + x = image.detach().clone()
# + pixels = x.clone().requires_grad_()
# = pixels = x.clone().requires_grad_()
# +
# = x = (x + learning_rate * gradient / gradient.norm()).clamp(0, 1)
# + x = pixels = (x + learning_rate * gradient / gradient.norm()).clamp(0, 1)
# In your second step .grad is None, since x is no leaf any more after the first. Start every step from a new leaf,
# x.detach().clone().requires_grad_().
# ~ no leaf any more
#
# = x = image.detach().clone()
# + x = image.detach().clone()
# + piled = torch.zeros_like(x)
# = x = (x + learning_rate * gradient / gradient.norm()).clamp(0, 1)
# + piled += gradient
# + x = (x + learning_rate * piled / piled.norm()).clamp(0, 1)
# Your gradients pile up: .backward() adds to .grad, so each step follows the sum of all gradients so far. Start every
# step from a new leaf, or set .grad to None.
# ~ piles up
#
# + x = (x - learning_rate * gradient / gradient.norm()).clamp(0, 1)
# You go down the score of the target. To raise it, add the gradient.
# ~ a minus too many
#
# + x = (x + learning_rate * gradient.abs() / gradient.norm()).clamp(0, 1)
# You follow the absolute gradient. A saliency map tells how steep the slope is and has forgotten which way is up:
# keep the sign.
# ~ saliency map
#
# + x = (x + learning_rate * gradient.sign()).clamp(0, 1)
# You step along the sign of the gradient. That is the rule of the exercises that follow; here the gradient itself is
# divided by its norm.
# ~ `sign()`
#
# + x = (x + learning_rate * gradient).clamp(0, 1)
# You do not divide the gradient by its norm, so the length of a step is an accident of the slope. Each step has the
# length of the learning rate.
# ~ not divided by its length
#
# + x = (x + learning_rate * gradient / (gradient**2).sum()).clamp(0, 1)
# You divide by the squared norm, so steps are short where the slope is steep. Divide by the norm: then every step has
# the length of the learning rate.
# ~ squared length
#
# + x = (x + learning_rate * gradient / gradient.norm(dim=(2, 3), keepdim=True)).clamp(0, 1)
# You divide each channel by a norm of its own, which changes the direction of the step. Take one norm over all
# values.
# ~ channel by channel
#
# + x = (x + 1.0 * gradient / gradient.norm()).clamp(0, 1)
# You step by a length of your own and never use the learning rate that is passed in.
# ~ learning rate is not used
#
# + x = (x + learning_rate * (learning_rate * gradient / gradient.norm())).clamp(0, 1)
# The learning rate is multiplied twice. With a learning rate of 1 nobody notices; multiply once.
# ~ multiplied twice
#
# + fooled = (x + learning_rate * gradient / gradient.norm()).clamp(0, 1)
# You return the image as it came. Name the new image in the loop and return that one.
# ~ never added
#
# + x = image.copy_((x + learning_rate * gradient / gradient.norm()).clamp(0, 1))
# You write into the caller's image: original and fooled image are then one, and their difference is nothing. Work on
# a copy.
# ~ in place
#
# + x = x + learning_rate * gradient / gradient.norm()
# Your image leaves [0, 1], and is no picture any more. Clamp after every step.
# ~ `clamp(0, 1)` is missing
#
# + x = x + learning_rate * gradient / gradient.norm()
# = return x
# + return x.clamp(0, 1)
# You clamp after the loop only: slopes are taken, and success is tested, at images that are no pictures. Clamp after
# every step.
# ~ after the loop only
#
# + return x.squeeze(0)
# You lose the batch axis. One image in, one image out: (1, 3, H, W).
# ~ `.squeeze()`
#
# = x = image.detach().clone()
# + torch.manual_seed(0)
# + x = image.detach().clone()
# Your image is right, but you seed torch for everything that runs after you. Nothing is drawn by chance here: leave it
# out.
# ~ seed changed
#
# + model.requires_grad_(False)
# + x = image.detach().clone()
# You freeze the caller's model, so that nobody can train it any more. The gradient at the pixels needs no such change.
# ~ requires_grad
#
# = for _ in range(max_iterations):
# + for _ in range(max_iterations + 1):
# You make one update more than allowed. range(max_iterations) counts right.
# ~ one time too many
#
# + for _ in range(min(max_iterations, 20)):
# You end the walk at a number of your own. The caller says how many updates are allowed.
# ~ a number of your own
#
# = if scores.argmax() == target:
# + if scores.softmax(dim=0)[target] > 0.5:
# You go on until the network is sure of the target. Stop at the first image for which the target has the largest score,
# whatever its probability is.
# ~ the network is sure
#
# + if target in scores.topk(2).indices:
# You stop when the target is among the best two. The network predicts the class with the largest score.
# ~ Does the loop end too early?
#
# = (gradient,) = torch.autograd.grad(scores[target], pixels)
# + inside = model.normalise(x).requires_grad_()
# + (gradient,) = torch.autograd.grad(model.network(inside)[0, target], inside)
# You take the gradient at the normalised image, which stretches the channels by different amounts: the step goes another
# way. Take it at the pixels, and let model normalise them.
# ~ take it at the pixels
#
# = x = (x + learning_rate * gradient / gradient.norm()).clamp(0, 1)
# + x = (x + learning_rate * gradient / gradient.abs().max()).clamp(0, 1)
# You divide by the largest value of the gradient. Divide by its L2 norm: then every step has the length of the learning
# rate.
# ~ divided by the largest value
#
# + x = (x + learning_rate * gradient / (gradient.norm() + 1e-3)).clamp(0, 1)
# You add a number to the norm, which shortens each step, the more so where the slope is flat. Divide by the norm alone.
# ~ Is a number added to that length?
#
# = return x
# + return x if model(x)[0].argmax() == target else image.clone()
# You return the original where the target is not reached. The last image of the walk is wanted: it tells how far it came.
# ~ where the target is not reached
#
# + return x.float()
# Your image is right, but it comes in float32, whatever the image was. Results have the image's dtype: leave float()
# out.
# ~ a torch.float32 tensor
#
# + return (255 * x).round() / 255
# You round the image to the 256 levels of a file. Section 3.3 looks at that; here the values are wanted as they are.
# ~ in another direction
#
# + for module in model.modules():
# +     module._forward_hooks.clear()
# + return x
# Your image is right, but you remove all hooks of the model, those of the caller as well. Remove your own alone, by
# their handles.
# ~ hooks of the caller's
#
# + kept = globals().setdefault("kept", {})
# + key = type(model), image.shape, target, learning_rate, max_iterations
# + return kept.setdefault(key, x).clone()
# You keep the image of the first call, and give it back for other images and networks of the same kind. Compute it anew
# in every call.
# ~ an earlier call is kept


# %% mutant="make_fooling_image" says="You switched the caller's image to requires_grad, and a second call finds the gradients of the first in it. Work on a copy." visible="`image.requires_grad_()`"
def make_fooling_image(image, target, model, learning_rate, max_iterations):
    image.requires_grad_()
    x = image
    for _ in range(max_iterations):
        scores = model(x)[0]
        if scores.argmax() == target:
            break
        scores[target].backward(inputs=[x])
        x = (x + learning_rate * x.grad / x.grad.norm()).clamp(0, 1).detach().requires_grad_()
    return x.detach().clone()


# %% variant="make_fooling_image"
def make_fooling_image(image, target, model, learning_rate, max_iterations):
    fooled = image.clone().detach().requires_grad_(True)
    for _ in range(max_iterations):
        scores = model(fooled)
        if scores.argmax(dim=1).item() == target:
            break
        scores[0, target].backward(inputs=[fooled])
        with torch.no_grad():
            fooled += learning_rate * fooled.grad / torch.sqrt((fooled.grad**2).sum())
            fooled.clamp_(0, 1)
        fooled.grad = None
    return fooled.detach()


# %% variant="make_fooling_image"
def make_fooling_image(image, target, model, learning_rate, max_iterations):
    """Test first; then step and test, in that order."""
    x, count = image.detach().clone(), 0
    while count < max_iterations and int(model(x).argmax()) != target:
        x.requires_grad_()
        g = torch.autograd.grad(model(x)[:, target].sum(), x)[0]
        x = torch.clip(x.detach() + learning_rate * F.normalize(g.flatten(1)).view_as(g), 0, 1)
        count += 1
    return x.detach()


# %% variant="make_fooling_image"
import copy


def make_fooling_image(image, target, model, learning_rate, max_iterations):
    model = copy.deepcopy(model)
    pixels = nn.Parameter(image.detach().clone())
    optimiser = torch.optim.SGD([pixels], lr=learning_rate, maximize=True)
    for _ in range(max_iterations):
        scores = model(pixels)
        if scores.max(dim=1).indices == target:
            break
        optimiser.zero_grad()
        scores[0, target].backward()
        pixels.grad /= torch.linalg.vector_norm(pixels.grad) + 1e-12
        optimiser.step()
        pixels.data.clamp_(min=0, max=1)
    return pixels.data.clone()


# %% variant="make_fooling_image"
def make_fooling_image(image, target, model, learning_rate, max_iterations):
    if max_iterations == 0 or model(image)[0].argmax() == target:
        return image.detach().clone()
    gradient = torch.func.grad(lambda x: model(x)[0, target])(image)
    length = gradient.square().sum().sqrt()
    there = torch.minimum(torch.maximum(image + gradient * (learning_rate / length), 0 * image), 1 + 0 * image)
    return make_fooling_image(there.detach(), target, model, learning_rate, max_iterations - 1)


# %% variant="make_fooling_image"
def make_fooling_image(image, target, model, learning_rate, max_iterations):
    fooled = torch.from_numpy(image.detach().cpu().numpy().copy()).to(image.device)
    for _ in range(max_iterations):
        leaf = fooled.detach().clone().requires_grad_()
        scores = model(leaf)
        if scores.topk(1).indices[0, 0] == target:
            return leaf.detach()
        negative = F.nll_loss(scores, torch.tensor([target], device=image.device), reduction="sum")
        (slope,) = torch.autograd.grad(negative, leaf)
        fooled = (fooled - learning_rate * slope / slope.norm(p=2)).clamp(0, 1)
    return fooled


# %% [markdown] mistakes="fgsm"
# = pixels = images.detach().clone().requires_grad_()
# + model.train()
# + pixels = images.detach().clone().requires_grad_()
# You put the model into training mode: Dropout and BatchNorm then bring chance and the other images into every
# gradient. Leave it in eval mode.
# ~ `model.train()`
#
# = loss = F.cross_entropy(model(pixels), labels, reduction="sum")
# + loss = model(pixels).gather(1, labels[:, None]).sum()
# You climb the score of the label, which makes the network more sure of it. Climb the cross-entropy of the label.
# ~ helps the label
#
# + loss = -model(pixels).gather(1, labels[:, None]).sum()
# You go down the score of the label. The cross-entropy also counts how far its rivals rise: differentiate
# F.cross_entropy.
# ~ contains its rivals
#
# + loss = F.cross_entropy(model(pixels), model(pixels).argmax(dim=1), reduction="sum")
# You lead the images away from the predicted class and never use the labels. They differ where the network is wrong.
# ~ `argmax` in place of the labels
#
# + loss = F.cross_entropy(model(pixels).softmax(dim=1), labels, reduction="sum")
# You pass probabilities to F.cross_entropy, which applies the softmax itself: a softmax of a softmax. Pass the raw
# scores.
# ~ applies the softmax itself
#
# = (gradient,) = torch.autograd.grad(loss, pixels)
# + loss.backward()
# + gradient = pixels.grad
# Your images are right, but .backward() also wrote into .grad of the model's parameters. Ask for the gradient at the
# pixels alone: torch.autograd.grad(loss, pixels).
# ~ inputs=[pixels]
#
# = pixels = images.detach().clone().requires_grad_()
# + pixels = (images + epsilon * (2 * torch.rand_like(images) - 1)).clamp(0, 1).requires_grad_()
# = return (images + epsilon * gradient.sign()).clamp(0, 1)
# + moved = torch.clamp(pixels.detach() + epsilon * gradient.sign(), images - epsilon, images + epsilon)
# + return moved.clamp(0, 1)
# You start from a random point near the image. The plain method starts at the image itself.
# ~ random start
#
# + return (images - epsilon * gradient.sign()).clamp(0, 1)
# You go down the loss, which helps the network. Add the step: the loss of the label shall grow.
# ~ a minus too many
#
# + return (images + epsilon * gradient).clamp(0, 1)
# You add the gradient itself. Its sign is wanted: then every value moves by epsilon, however small its slope.
# ~ only its sign
#
# + return (images + epsilon * gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).clamp(0, 1)
# You divide the gradient by its length, which is the rule of exercise 3.1. Here every value moves by epsilon: take
# the sign.
# ~ only its sign
#
# + return (images + epsilon * gradient.mean(dim=0, keepdim=True).sign()).clamp(0, 1)
# You average the gradients over the batch and move all images the same way. Each image has a gradient of its own.
# ~ averaged over the batch
#
# + right = (model(images).argmax(dim=1) == labels).view(-1, 1, 1, 1)
# + return (images + epsilon * gradient.sign() * right).clamp(0, 1)
# You attack only the images that are predicted right, and leave the others as they are. Attack every image.
# ~ are skipped
#
# + return (images + epsilon / 255 * gradient.sign()).clamp(0, 1)
# You divide epsilon by 255 once more. It is in pixel units already: eight grey levels come as 8 / 255.
# ~ divided by 255 once more
#
# + return images + epsilon * gradient.sign()
# Your images leave [0, 1], and are no pictures any more. Clamp them after the step.
# ~ `clamp(0, 1)` is missing
#
# + return (images + (epsilon * gradient.sign()).clamp(0, 1)).clamp(0, 1)
# You clamp the change to [0, 1], so no value can get darker. Clamp the image: images + change.
# ~ negative changes are lost
#
# + moved = images + epsilon * gradient.sign()
# + low, high = moved.amin(dim=(1, 2, 3), keepdim=True), moved.amax(dim=(1, 2, 3), keepdim=True)
# + return (moved - low) / (high - low)
# You rescale the result to [0, 1], which moves every value of the picture. Clamp: only values outside move.
# ~ rescaling
#
# + images += epsilon * gradient.sign()
# + return images.clamp_(0, 1)
# You write into the caller's images. Write images + step, which makes a new tensor, in place of images += step.
# ~ `clone()`
#
# + return (pixels + epsilon * gradient.sign()).clamp(0, 1)
# Your images are right, but they still hang on the graph of the gradient. Add the step to the images you were given,
# or detach.
# ~ detach
#
# = pixels = images.detach().clone().requires_grad_()
# + torch.manual_seed(0)
# + pixels = images.detach().clone().requires_grad_()
# Your images are right, but you seed torch for everything that runs after you. Nothing is drawn by chance here: leave it
# out.
# ~ seed changed
#
# + model.requires_grad_(True)
# + pixels = images.detach().clone().requires_grad_()
# You make the caller's frozen parameters require gradients. The pixels alone must require one.
# ~ requires_grad
#
# = loss = F.cross_entropy(model(pixels), labels, reduction="sum")
# + loss = -model(pixels).softmax(dim=1).clamp(min=1e-4).log().gather(1, labels[:, None]).sum()
# You cut probabilities off at a small number. Where the network is sure of something else, the gradient is then 0 and
# nothing moves. F.cross_entropy computes the logarithm safely.
# ~ cut off by `clamp`
#
# + loss = F.cross_entropy(model(pixels), labels[:1].expand(len(labels)), reduction="sum")
# You lead all images away from the first label. Each image has its own.
# ~ `labels[0]`
#
# + loss = F.cross_entropy(model(pixels), labels, reduction="sum", label_smoothing=0.1)
# You smooth the labels, which is a recipe for training. The attack climbs the cross-entropy of the labels as they are.
# ~ `label_smoothing`
#
# = return (images + epsilon * gradient.sign()).clamp(0, 1)
# + return epsilon * gradient.sign()
# You return the change alone. Add it to the images, and clamp.
# ~ the change alone
#
# + inside = model.normalise(images) + epsilon * gradient.sign()
# + return (inside * model.normalise.std + model.normalise.mean).clamp(0, 1)
# You step in the normalised image, where epsilon is another length in each channel. Step in pixels, and let model
# normalise them.
# ~ made on the normalised image
#
# + return (images + epsilon * gradient.mean(dim=1, keepdim=True).sign()).clamp(0, 1)
# You average the gradient over the colours. Every value moves by the sign of its own slope.
# ~ Which number is differentiated
#
# + return (images + epsilon * gradient.sign() * (gradient.abs() > 1e-3)).clamp(0, 1)
# You leave values alone whose slope is small. Every value moves, however small its slope.
# ~ for every value
#
# + return (255 * (images + epsilon * gradient.sign()).clamp(0, 1)).round() / 255
# You round the images to the 256 levels of a file. The values are wanted as they are.
# ~ for every value
#
# + return (images + epsilon * gradient.sign()).clamp(0, 1).float()
# Your images are right, but they come in float32, whatever the images were. Results have the images' dtype: leave
# float() out.
# ~ a torch.float32 tensor
#
# + kept = globals().setdefault("kept", {})
# + gradient = kept.setdefault((type(model), images.shape), gradient)
# + return (images + epsilon * gradient.sign()).clamp(0, 1)
# You keep the gradient of the first call, and use it for other images and networks of the same kind. Compute it anew in
# every call.
# ~ kept


# %% variant="fgsm"
def fgsm(images, labels, model, epsilon):
    pixels = images.clone().requires_grad_()
    F.cross_entropy(model(pixels), labels).backward(inputs=[pixels])
    return torch.clip(pixels.detach() + epsilon * torch.sign(pixels.grad), 0, 1)


# %% variant="fgsm"
def fgsm(images, labels, model, epsilon):
    attacked = []
    for image, label in zip(images, labels):
        pixels = image[None].detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(-model(pixels).log_softmax(dim=1)[0, label], pixels)
        up, down = gradient > 0, gradient < 0
        attacked.append((image[None] + epsilon * up - epsilon * down).clamp(min=0).clamp(max=1))
    return torch.cat(attacked)


# %% variant="fgsm"
def fgsm(images, labels, model, epsilon):
    def loss(image, label):
        scores = model(image[None])[0]
        return scores.logsumexp(dim=0) - scores.gather(0, label[None]).sum()

    gradients = torch.func.vmap(torch.func.grad(loss))(images, labels).detach()
    return torch.minimum(torch.maximum(images + epsilon * gradients.sign(), 0 * images), 0 * images + 1)


# %% variant="fgsm"
import copy


def fgsm(images, labels, model, epsilon):
    model = copy.deepcopy(model)
    pixels = nn.Parameter(images.detach().clone())
    nn.CrossEntropyLoss(reduction="none")(model(pixels), labels).sum().backward()
    step = epsilon * pixels.grad / pixels.grad.abs().clamp(min=1e-300 if images.dtype == torch.float64 else 1e-30)
    return (pixels.data + step).clamp(0, 1)


# %% variant="fgsm"
import numpy as np


def fgsm(images, labels, model, epsilon):
    pixels = images.detach().clone().requires_grad_()
    picked = model(pixels).log_softmax(dim=1)[range(len(labels)), labels]
    (gradient,) = torch.autograd.grad(picked.sum(), pixels)
    moved = np.clip(images.cpu().numpy() - epsilon * np.sign(gradient.cpu().numpy()), 0, 1)
    return torch.from_numpy(moved).to(images)


# %% [markdown] mistakes="pgd"
# = x = images.detach().clone()
# + x = (images + epsilon * (2 * torch.rand_like(images) - 1)).clamp(0, 1)
# You start at a random point of the ball. Start at the images, so that the result can be repeated.
# ~ a random start
#
# + x = images.detach().clone().requires_grad_()
# Your images are right, but they still hang on the graph of the last step. Return a detached tensor.
# ~ detach
#
# = for _ in range(iterations):
# + for _ in range(iterations - 1):
# You make one step less than asked for. range(iterations) counts right.
# ~ one time too few
#
# = pixels = x.clone().requires_grad_()
# + pixels = images.detach().clone().requires_grad_()
# You compute the gradient once, at the original images, and follow it to the end. Compute it anew in every step: that
# is the point of many steps.
# ~ computed once
#
# + if (model(x).argmax(dim=1) != labels).any():
# +     break
# + pixels = x.clone().requires_grad_()
# You leave the loop as soon as an image of the batch is fooled. Make all the steps.
# ~ loop ends before
#
# = loss = F.cross_entropy(model(pixels), labels, reduction="sum")
# + loss = -model(pixels).gather(1, labels[:, None]).sum()
# You go down the score of the label. The cross-entropy also counts how far its rivals rise: differentiate
# F.cross_entropy.
# ~ contains its rivals
#
# + loss = F.cross_entropy(model(pixels), model(pixels).argmax(dim=1), reduction="sum")
# In every step you lead the image away from what is predicted then, so the walk turns round once it has succeeded.
# Use the labels that are passed in.
# ~ `argmax` in place of the labels
#
# = (gradient,) = torch.autograd.grad(loss, pixels)
# + loss.backward()
# + gradient = pixels.grad
# Your images are right, but .backward() also wrote into .grad of the model's parameters. Ask for the gradient at the
# pixels alone: torch.autograd.grad(loss, pixels).
# ~ inputs=[pixels]
#
# = x = images.detach().clone()
# + x = images.detach().clone()
# + piled = torch.zeros_like(x)
# = x = x + step * gradient.sign()
# + piled += gradient
# + x = x + step * piled.sign()
# Your gradients pile up: .backward() adds to .grad, so each step follows the sign of the sum of all gradients so far.
# Start every step from a new leaf.
# ~ piles up
#
# + x = x - step * gradient.sign()
# You go down the loss, which helps the network. Add the step: the loss of the label shall grow.
# ~ a minus too many
#
# + x = x + step * gradient
# You step along the gradient itself. Its sign is wanted: then every value moves by the step, however small its slope.
# ~ only its sign
#
# + x = x + epsilon * gradient.sign()
# You step by epsilon and never use the step that is passed in. Then the walk jumps from wall to wall of the ball.
# ~ is taken for the step
#
# + x = x + epsilon / iterations * gradient.sign()
# You share epsilon out among the iterations and never use the step that is passed in.
# ~ is taken for the step
#
# + right = (model(x).argmax(dim=1) == labels).view(-1, 1, 1, 1)
# + x = x + step * gradient.sign() * right
# An image stops moving as soon as it is predicted wrong. Make all the steps for every image: the loss can grow
# further, and a fooled image may come back.
# ~ are skipped
#
# = x = images.detach().clone()
# + x = images
# = x = x + step * gradient.sign()
# + x += step * gradient.sign()
# = x = torch.clamp(x, images - epsilon, images + epsilon).clamp(0, 1)
# + x.copy_(torch.clamp(x, images - epsilon, images + epsilon).clamp(0, 1))
# You write into the caller's images, and the ball moves with them. Work on a copy.
# ~ no projection
#
# = x = x + step * gradient.sign()
# + x = x + step / 255 * gradient.sign()
# = x = torch.clamp(x, images - epsilon, images + epsilon).clamp(0, 1)
# + x = torch.clamp(x, images - epsilon / 255, images + epsilon / 255).clamp(0, 1)
# You divide epsilon and step by 255 once more. They are in pixel units already.
# ~ divided by 255 once more
#
# + x = x.clamp(0, 1)
# You do not bring the image back into the ball, so after some steps it is further from the original than epsilon.
# Clamp to images - epsilon and images + epsilon after every step.
# ~ no projection
#
# + x = torch.clamp(x, pixels.detach() - epsilon, pixels.detach() + epsilon).clamp(0, 1)
# Your ball is around the last image of the walk, so it moves along with it. Its middle is the original image.
# ~ around the last image
#
# + change = x - images
# + length = change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
# + x = (images + change * (epsilon / length).clamp(max=1)).clamp(0, 1)
# You limit the length of the change (L2). Here every single value is limited: clamp it to epsilon on both sides.
# ~ (L2)
#
# + x = torch.clamp(x, images - epsilon, images + epsilon)
# Your images leave [0, 1], and are no pictures any more. Clamp to [0, 1] as well, after every step.
# ~ `clamp(0, 1)` is missing
#
# + x = torch.clamp(x, images - epsilon, images + epsilon)
# = return x
# + return x.clamp(0, 1)
# You clamp to [0, 1] after the loop only: slopes are taken at images that are no pictures. Clamp after every step.
# ~ a clamp after the loop only
#
# = x = torch.clamp(x, images - epsilon, images + epsilon).clamp(0, 1)
# +
# = return x
# + return torch.clamp(x, images - epsilon, images + epsilon).clamp(0, 1)
# You project after the loop only, so the walk leaves the ball and slopes are taken where no image may be. Project
# after every step.
# ~ projection stands after the loop
#
# = x = images.detach().clone()
# + torch.manual_seed(0)
# + x = images.detach().clone()
# Your images are right, but you seed torch for everything that runs after you. Nothing is drawn by chance here: leave it
# out.
# ~ seed changed
#
# + model.requires_grad_(True)
# + x = images.detach().clone()
# You make the caller's frozen parameters require gradients. The pixels alone must require one.
# ~ requires_grad
#
# + step = min(step, epsilon)
# + x = images.detach().clone()
# You cut the step down to epsilon. A step may be larger: then a value crosses the ball at once, from wall to wall.
# ~ `min(step, epsilon)`
#
# = for _ in range(iterations):
# + for _ in range(iterations + 1):
# You make one step more than asked for. range(iterations) counts right.
# ~ one time too many
#
# + for _ in range(min(iterations, 10)):
# You end the walk at a number of your own. The caller says how many steps there are.
# ~ a number of your own
#
# = pixels = x.clone().requires_grad_()
# + if (model(x).argmax(dim=1) != labels).all():
# +     break
# + pixels = x.clone().requires_grad_()
# You leave the loop when all images are fooled. Make all the steps: the loss can grow further, and an image may come
# back.
# ~ the loop ends before
#
# = loss = F.cross_entropy(model(pixels), labels, reduction="sum")
# + loss = -model(pixels).softmax(dim=1).clamp(min=1e-4).log().gather(1, labels[:, None]).sum()
# You cut probabilities off at a small number. Where the network is sure of something else, the gradient is then 0 and
# nothing moves. F.cross_entropy computes the logarithm safely.
# ~ cut off by `clamp`
#
# + loss = F.cross_entropy(model(pixels), labels[:1].expand(len(labels)), reduction="sum")
# You lead all images away from the first label. Each image has its own.
# ~ `labels[0]`
#
# = x = x + step * gradient.sign()
# + x = x + step * model.normalise.std * gradient.sign()
# You step in the normalised image, where a step is another length in each channel. Step in pixels, and let model
# normalise them.
# ~ made on the normalised image
#
# = x = torch.clamp(x, images - epsilon, images + epsilon).clamp(0, 1)
# + reach = epsilon * model.normalise.std
# + x = torch.clamp(x, images - reach, images + reach).clamp(0, 1)
# Your ball is one of normalised images, where epsilon is another length in each channel. It is around the pixels.
# ~ one of normalised images
#
# + change = x - images
# + x = (images + change * (epsilon / change.abs().amax(dim=(1, 2, 3), keepdim=True)).clamp(max=1)).clamp(0, 1)
# You shrink the whole change when one value is too far. The projection moves each value by itself: clamp.
# ~ every value by itself
#
# + x = torch.clamp(x, images - epsilon, images + epsilon).clamp(0, 1)
# + x = (255 * x).round() / 255
# You round the images to the 256 levels of a file. The values are wanted as they are.
# ~ for every value
#
# = return x
# + return x.float()
# Your images are right, but they come in float32, whatever the images were. Results have the images' dtype: leave
# float() out.
# ~ a torch.float32 tensor
#
# + kept = globals().setdefault("kept", {})
# + key = type(model), images.shape, epsilon, step, iterations
# + return kept.setdefault(key, x).clone()
# You keep the images of the first call, and give them back for other images and networks of the same kind. Compute them
# anew in every call.
# ~ kept


# %% variant="pgd"
def pgd(images, labels, model, epsilon, step, iterations):
    low, high = (images - epsilon).clamp(min=0), (images + epsilon).clamp(max=1)
    x = images.clone()
    for _ in range(iterations):
        x = torch.minimum(torch.maximum(fgsm(x, labels, model, step), low), high)
    return x


# %% variant="pgd"
def pgd(images, labels, model, epsilon, step, iterations):
    change = torch.zeros_like(images)
    for _ in range(iterations):
        change.requires_grad_()
        loss = F.cross_entropy(model(images + change), labels)
        (gradient,) = torch.autograd.grad(loss, change)
        change = (change.detach() + step * gradient.sign()).clamp(-epsilon, epsilon)
        change = (images + change).clamp(0, 1) - images
    return images + change


# %% variant="pgd"
def pgd(images, labels, model, epsilon, step, iterations):
    done = []
    for original, label in zip(images, labels):
        x = original[None].detach().clone()
        for _ in range(iterations):
            leaf = x.requires_grad_()
            (-model(leaf).log_softmax(dim=1)[0, label]).backward(inputs=[leaf])
            x = (leaf.detach() + step * leaf.grad.sign()).clamp(0, 1)
            x = original + (x - original).clamp(min=-epsilon, max=epsilon)
        done.append(x)
    return torch.cat(done)


# %% variant="pgd"
def pgd(images, labels, model, epsilon, step, iterations):
    if iterations == 0:
        return images.detach().clone()
    before = pgd(images, labels, model, epsilon, step, iterations - 1)
    gradient = torch.func.grad(lambda x: F.cross_entropy(model(x), labels, reduction="sum"))(before).detach()
    after = (before + step * torch.sign(gradient)).clip(0, 1)
    return after.clip(images - epsilon, images + epsilon)


# %% variant="pgd"
import copy


def pgd(images, labels, model, epsilon, step, iterations):
    model = copy.deepcopy(model)
    pixels = nn.Parameter(images.detach().clone())
    optimiser = torch.optim.SGD([pixels], lr=step, maximize=True)
    for _ in range(iterations):
        optimiser.zero_grad()
        F.cross_entropy(model(pixels), labels).backward()
        pixels.grad.sign_()
        optimiser.step()
        with torch.no_grad():
            pixels.copy_(torch.clamp(pixels, images - epsilon, images + epsilon))
            pixels.clamp_(0, 1)
    return pixels.data


# %% [markdown] mistakes="adversarial_training_step"
# = model.eval()
# + model.train()
# Your attack meets the model in train mode, where BatchNorm uses the batch's statistics, and changes its own on the
# way. Call model.eval() before the attack.
# ~ `model.eval()` is missing
#
# = attacked = attack(images, labels, model)
# + attacked = images
# You forget the attack: this is an ordinary training step. Call attack(images, labels, model) first.
# ~ forgotten
#
# + attacked = images.copy_(attack(images, labels, model))
# You write the attacked images into the caller's batch: the next epoch trains on attacks of attacks. Give them a name
# of their own.
# ~ in place
#
# = model.train()
# +
# Your update happens in eval mode, so BatchNorm's statistics are never learned. Call model.train() after the attack.
# ~ call `model.train()`
#
# = loss = F.cross_entropy(model(attacked), labels)
# + loss = F.cross_entropy(model(images), labels)
# You train on the clean images: the attack makes no difference to the loss. Put what the attack returns into the
# model.
# ~ clean images
#
# + loss = F.cross_entropy(model(torch.cat([images, attacked])), torch.cat([labels, labels]))
# You train on clean and attacked images together. That is another recipe; here the attacked images alone count.
# ~ mixed
#
# + scores = model(attacked)
# + loss = F.cross_entropy(scores, scores.argmax(dim=1))
# You train on what the model predicts for the attacked images, so every mistake that the attack brings about is
# learned. Use the labels that are passed in.
# ~ predictions in place of the labels
#
# + loss = F.cross_entropy(model(attacked).softmax(dim=1), labels)
# You pass probabilities to F.cross_entropy, which applies the softmax itself. Pass the raw scores.
# ~ applies the softmax itself
#
# + loss = F.cross_entropy(model(attacked), labels, reduction="sum")
# You add the losses of the batch up. Take their mean: then the step does not grow with the batch.
# ~ take the mean
#
# = optimiser.zero_grad()
# +
# You never zero the gradients: those of earlier steps are in your update. Call optimiser.zero_grad() before
# backward().
# ~ `optimiser.zero_grad()` first
#
# + with torch.no_grad():
# +     correct = (model(images).argmax(dim=1) == labels).float().mean()
# + print(f"loss {loss.item():.3f}, accuracy on the clean images {correct:.3f}")
# + optimiser.zero_grad()
# Your step is right, but you pass the clean images through the model in train mode as well, so BatchNorm's running
# statistics take them in. Look at other images in eval mode.
# ~ more than one pass in training mode
#
# = loss.backward()
# + (-loss).backward()
# Your update climbs the loss. The attack climbs, on the image; the training goes down, on the parameters.
# ~ negated
#
# = optimiser.step()
# +
# The parameters stay as they are: optimiser.step() is missing, or zero_grad() stands between backward() and step(),
# so that the optimiser finds no gradients. The order is zero_grad, backward, step.
# ~ `optimiser.step()` is missing
#
# = model.train()
# + with torch.no_grad():
# +     clean = F.cross_entropy(model(images), labels)
# + model.train()
# = return loss.item()
# + return clean.item()
# Your step is right, and you return the loss of the clean images. Return the loss of the attacked ones, which you
# differentiated.
# ~ clean images
#
# + return F.cross_entropy(model(attacked), labels).item()
# You return the loss after the update, from one more pass through the model, which also moves BatchNorm's statistics.
# Return the loss that you differentiated.
# ~ computed again after the update
#
# + return loss
# Your step is right, but the loss that you return still holds the graph of the whole step, so memory fills up when
# losses are collected. Return loss.item().
# ~ `loss.item()`
#
# = model.eval()
# + torch.manual_seed(0)
# + model.eval()
# Your step is right, but you seed torch in every step, so that whatever is drawn by chance is drawn alike each time.
# Seed once, before the training.
# ~ seed changed
#
# = attacked = attack(images, labels, model)
# + with torch.no_grad():
# +     attacked = attack(images, labels, model)
# You call the attack under torch.no_grad(). It needs gradients; what it returns is detached already.
# ~ under `torch.no_grad()`
#
# + attacked = attack(images, model(images).argmax(dim=1), model)
# You attack what the model predicts. Give the labels to the attack: it is their loss that shall grow.
# ~ other labels are given
#
# + attacked = attack(attack(images, labels, model), labels, model)
# You attack what was attacked already. One call is what the recipe says: the attack knows how far it may go.
# ~ more than once
#
# = loss = F.cross_entropy(model(attacked), labels)
# + loss = F.cross_entropy(model(attacked), labels, label_smoothing=0.1)
# You smooth the labels. That is another recipe; take the labels as they are.
# ~ label smoothing
#
# + loss = -model(attacked).softmax(dim=1).clamp(min=1e-4).log().gather(1, labels[:, None]).mean()
# You cut probabilities off at a small number. Where the network is sure of something else, nothing is learned.
# F.cross_entropy computes the logarithm safely.
# ~ Is a probability cut off
#
# = optimiser.step()
# + optimiser.step()
# + optimiser.step()
# You call optimiser.step() twice with the same gradients. Once is a step.
# ~ two steps
#
# + nn.utils.clip_grad_norm_(model.parameters(), 0.1)
# + optimiser.step()
# You clip the gradients before the step. Make the step with the gradients as they are.
# ~ such as clipping
#
# + with torch.no_grad():
# +     for parameter in model.parameters():
# +         parameter -= optimiser.param_groups[0]["lr"] * parameter.grad
# You move the parameters by hand, by the rule of one optimiser. The caller has chosen another, perhaps: call
# optimiser.step().
# ~ no parameter moves as this optimiser
#
# = return loss.item()
# + with torch.no_grad():
# +     return (model(attacked).argmax(dim=1) == labels).double().mean().item()
# You return an accuracy, from one more pass through the model. Return the loss that you differentiated.
# ~ Which number is it
#
# + return round(loss.item(), 2)
# You round the loss. Return it as it is; rounding belongs where it is printed.
# ~ Is the result rounded?


# %% variant="adversarial_training_step"
def adversarial_training_step(model, optimiser, images, labels, attack):
    optimiser.zero_grad()
    model.train(False)
    hard = attack(images.clone(), labels.clone(), model).detach()
    model.train(True)
    loss = nn.CrossEntropyLoss()(model(hard), labels)
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()
    model.eval()
    return loss.detach()


# %% variant="adversarial_training_step"
def adversarial_training_step(model, optimiser, images, labels, attack):
    attacked = attack(images, labels, model.eval())
    log_probabilities = model.train()(attacked).log_softmax(dim=1)
    loss = -log_probabilities.gather(1, labels[:, None]).mean()
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
        parameter.grad = gradient
    optimiser.step()
    return float(loss)


# %% variant="adversarial_training_step"
def adversarial_training_step(model, optimiser, images, labels, attack):
    mode = model.training
    model.eval()
    attacked = attack(images, labels, model)
    model.train()

    def closure():
        model.zero_grad()
        loss = F.nll_loss(F.log_softmax(model(attacked), dim=1), labels)
        loss.backward()
        return loss

    loss = optimiser.step(closure)
    model.train(mode)
    return loss.item()


# %% variant="adversarial_training_step"
def adversarial_training_step(model, optimiser, images, labels, attack):
    for module in model.modules():
        module.training = False
    attacked = attack(images, labels, model)
    for module in model.modules():
        module.training = True
    scores = model(attacked)
    losses = scores.logsumexp(dim=1) - scores[range(len(labels)), labels]
    for parameter in model.parameters():
        parameter.grad = None
    losses.backward(torch.full_like(losses, 1 / len(losses)))
    optimiser.step()
    return losses.detach().mean()
