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
# # 2 Grad-CAM
#
# You open the network at its layers instead of at its pixels, ask which feature maps speak for a class, and put every
# answer to tests that a picture alone cannot pass.
#
# **You will**
#
# - **change** what a layer passes back, by hooks that leave no trace;
# - **compute** guided backprop, Grad-CAM, Guided Grad-CAM, integrated gradients and occlusion maps, and prove on a
#   network with a pooled linear head what Grad-CAM is;
# - **test** all of them: two objects in one picture, completeness, occlusion, and a library.
#
# **Time** about 5 hours, 2 of them for the exercises. **Points** 20 for five exercises, 12 for four questions.
# **Prerequisites** assignment 1, the chain rule, convolutions, ReLU, global average pooling.
# **Papers** R. Selvaraju and others, *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
# Localization*, 2017, [arXiv:1610.02391](https://arxiv.org/abs/1610.02391). J. Springenberg and others, *Striving for
# Simplicity: The All Convolutional Net*, 2015, [arXiv:1412.6806](https://arxiv.org/abs/1412.6806). M. Sundararajan, A.
# Taly, Q. Yan, *Axiomatic Attribution for Deep Networks*, 2017, [arXiv:1703.01365](https://arxiv.org/abs/1703.01365).
#
# | symbol | meaning | shape |
# |---|---|---|
# | $x$ | image, values in [0, 1] | (3, H, W) |
# | $y$ | label: the class you ask about | a number |
# | $s_c(x)$ | score of class $c$, before any softmax | a number |
# | $g = \partial s_y / \partial x$ | gradient of the score | (3, H, W) |
# | $A_k$ | output of a layer, channel $k$ of $K$: a feature map | (h, w) |
# | $\alpha_k$ | weight of channel $k$ | a number |
# | $M$ | map | (h, w) or (H, W) |
# | $x'$ | baseline: an image that shows nothing | (3, H, W) |

# %% setup
import copy

import torch
from torch import nn
from torch.nn import functional as F

from helpers import plots
from helpers.checks import gradcam as checks
from helpers.models import load_model
from helpers.pictures import example_pictures, picture_book, picture_pairs
from helpers.progress import progress
from helpers.widgets import between, explore
from helpers.writeup import save_figure

model = load_model()
pictures = example_pictures(model, 5)
with torch.no_grad():
    scores = model(pictures.images)
ranking = scores.argsort(dim=1, descending=True)  # (5, classes): the labels of each picture, best score first
predictions = ranking[:, 0]
print(f"{model.name}: {len(model.classes)} classes, images of {tuple(pictures.images.shape[1:])}")
for name, row, order in zip(pictures.names, scores, ranking):
    best, second = (f"{model.classes[c]} {row[c]:.1f}" for c in order[:2])
    print(f"  label {name:18} best scores: {best}, {second}")

# Drawn scenes have exact masks: what is measured below, is measured on them.
book = load_model("picturebook", device="cpu")

# %% [markdown]
# The conventions are those of assignment 1: pixels in [0, 1] go in, unnormalised scores come out, and the model is
# frozen and in eval mode. You will need the gradient of the score now and then, so here it is once.


# %%
def score_gradient(images, labels, model):
    """Return d score of the own label / d pixel, (N, 3, H, W)."""
    pixels = images.detach().clone().requires_grad_()
    own = model(pixels).gather(1, labels[:, None])
    return torch.autograd.grad(own.sum(), pixels)[0]


# %% [markdown]
# ## 2.1 A hook is a window into the network
#
# Assignment 1 looked at a network from outside: pixels in, gradient of a score out. The methods of this page need what
# lies between: the output of a layer, the gradient that arrives there, or even another gradient in its place. A network
# is a tree of modules, and a **hook** is a function of yours that a module calls at a fixed moment.
#
# | registered by | called | gets | may return |
# |---|---|---|---|
# | `module.register_forward_hook(f)` | when the module has computed its output | module, inputs, output | another output |
# | `module.register_full_backward_hook(f)` | when the gradient has passed back through the module | module, gradients at its inputs, gradients at its outputs | other gradients at its inputs, a tuple |
# | `tensor.register_hook(f)` | when the gradient at this tensor is known | the gradient | another gradient |
#
# Inputs and gradients of a module come as **tuples**, since a module may have several. Watch a network of four layers:

# %% example
torch.manual_seed(0)
toy = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Sigmoid(), nn.Flatten(), nn.Linear(4 * 5 * 6, 2))


def tell_output(module, inputs, output):
    print(f"forward   {type(module).__name__:8} {tuple(inputs[0].shape)} -> {tuple(output.shape)}")


def tell_gradient(module, grad_input, grad_output):
    print(f"backward  {type(module).__name__:8} {tuple(grad_output[0].shape)} -> {tuple(grad_input[0].shape)}")


handles = [layer.register_forward_hook(tell_output) for layer in toy]
handles += [layer.register_full_backward_hook(tell_gradient) for layer in toy]
pixels = torch.rand(1, 3, 5, 6, requires_grad=True)
toy(pixels)[0, 1].backward()
for handle in handles:
    handle.remove()

# %% [markdown]
# A hook that returns something **changes** what flows on. The next one doubles a gradient. The careless function below
# registers it at every call and forgets it.


# %% example
def double(module, grad_input, grad_output):
    return (2 * grad_input[0],)


def careless(images):
    toy[1].register_full_backward_hook(double)
    pixels = images.clone().requires_grad_()
    return torch.autograd.grad(toy(pixels)[0, 1], pixels)[0]


image = torch.rand(1, 3, 5, 6)
before = toy(image)
print("length of the gradient, call by call:", [round(careless(image).norm().item(), 3) for _ in range(4)])
print("the scores are as they were:", torch.equal(toy(image), before))

# %% [markdown]
# One image, one network, four different gradients: the hooks pile up. And **no test of the scores can notice**, since
# the forward pass is the same. Whoever uses the model after you, gets wrong gradients. So a hook that you register, you
# remove, even when something goes wrong in between:
#
# ```python
# handle = layer.register_full_backward_hook(double)
# try:
#     ...
# finally:
#     handle.remove()
# ```
#
# Three traps for later:
#
# - A frozen model has no gradients at all unless the gradient has somewhere to start from: give it pixels that require
#   one.
# - One module can be **used twice** in a forward pass; many networks have one `nn.ReLU` for several places. Its hook is
#   then called twice. What you store on the module the first time is overwritten the second time.
# - A ReLU that works in place overwrites what a hook wants to see. `load_model` has switched this off in the whole
#   network.

# %% [markdown]
# ## 2.2 What should a ReLU pass back?
#
# A gradient is grainy, as you saw, and one reason lies in the ReLUs. Forwards, a ReLU turns an input $f$ into
# $\max(f,0)$. Backwards, some signal $R^{\text{out}}$ arrives at its output, and the layer must decide on the signal
# $R$ that it passes on. Three answers have been given:
#
# | rule | what is passed on | it asks |
# |---|---|---|
# | gradient | $R = [f > 0]\; R^{\text{out}}$ | was the neuron active? |
# | deconvnet (Zeiler and Fergus 2014) | $R = [R^{\text{out}} > 0]\; R^{\text{out}}$ | is the signal positive? |
# | **guided backprop** | $R = [f > 0]\, [R^{\text{out}} > 0]\; R^{\text{out}}$ | both |
#
# Here $[\,\cdot\,]$ is 1 where the statement holds, and 0 elsewhere. Why both? Follow the chain rule from the score
# down to one pixel: the gradient is a sum over all **paths** through the network, and each path contributes the product
# of the weights along it. The first mask drops the paths through neurons that were silent, and this is exact: those
# paths do not exist for this image. For the gradient, a negative $R^{\text{out}}$ at a neuron says "more of this neuron,
# less score". The gradient adds such neurons to those that speak for the class, and the two sorts cancel in an irregular
# pattern, pixel by pixel. Guided backprop drops whatever arrives negative. At the **last** ReLU what arrives is the
# derivative of the score, and only neurons that raise it are let through.
#
# The price: below the last ReLU, what arrives is a derivative no longer. Its sign need not tell whether a neuron raises
# the score; you will count how often it does. The result at the pixels is the gradient of no function, and no small
# change of the image is described by it. Remember this when you see the picture. By hand, for a single layer of six
# neurons:

# %% example
inputs = torch.tensor([1.0, 2.0, -1.0, -3.0, 0.5, 4.0])
arriving = torch.tensor([2.0, -1.0, 3.0, -2.0, -5.0, 1.0])
active, positive = inputs > 0, arriving > 0
print("inputs of the ReLU  ", inputs.tolist())
print("signal that arrives ", arriving.tolist())
for rule, mask in (("gradient", active), ("deconvnet", positive), ("guided backprop", active & positive)):
    print(f"{rule:20}", arriving.where(mask, 0).tolist())

# %% [markdown]
# Only the ReLUs follow another rule. Convolutions, pooling and linear layers pass the gradient back as always, so below
# the last ReLU both signs appear again, and the result at the pixels has both.
#
# ### Exercise 2.1: guided backprop
#
# **Given** images, labels and a model whose ReLUs are `nn.ReLU` modules. **Return** what reaches the pixels, signed,
# three channels. **Rule:** at every ReLU of the network, nested or used twice, pass on what arrives where the input was
# positive **and** what arrives is positive. Start from the raw score of each image's own label. How you do it is up to
# you: hooks on modules, hooks on tensors, a `torch.autograd.Function`, modules that you exchange. The model must be as
# it was when you return.
#
# <details>
# <summary>The check says that my result is the plain gradient</summary>
#
# Your rule reached no ReLU. `model.children()` gives the top level only; `model.modules()` walks the whole tree.
#
# </details>
#
# <details>
# <summary>What does a full backward hook on a ReLU get?</summary>
#
# `grad_output[0]` is the signal that arrives, before the ReLU. `grad_input[0]` is what plain backpropagation would pass
# on, so that one of the two masks is already in it. Return a tuple with one tensor.
#
# </details>
#
# <details>
# <summary>The check says that a ReLU used twice goes wrong</summary>
#
# You store the input of the ReLU on the module, and its second use overwrites it. Let autograd keep it:
# `ctx.save_for_backward` in a `torch.autograd.Function`, or a hook that needs no memory of its own.
#
# </details>
#
# <details>
# <summary>The check says that hooks, structure or forward of the model changed</summary>
#
# Something of yours is still in the model. Put everything back in a `finally` clause, so that it happens after an
# error, too.
#
# </details>


# %% exercise="guided_backprop" minutes=35 difficulty=3
def guided_backprop(images, labels, model):
    """Return the guided backpropagation of the score to the pixels (Springenberg et al. 2015, section 3.4).

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 1, float32 or float64.
        labels: (N,) int64 tensor, the class asked about for each image.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode. Its ReLUs are
            `nn.ReLU` modules, not in place, at any depth; one module may be used several times, and there may be none.

    Returns:
        (N, 3, H, W) new tensor, detached, of the images' dtype and device: the score of the own label, propagated
        back like a gradient, except that every ReLU passes on what arrives only where its input was positive and
        what arrives is positive. Both signs; not normalised. Without a ReLU this is the gradient of the score.

    Leaves images, labels and the model (parameters, mode, hooks, structure, .grad) as they were.
    """

    ### BEGIN SOLUTION
    def pass_positive(module, grad_input, grad_output):
        return (grad_input[0].clamp(min=0),)  # autograd has set it to 0 already where the input was not positive

    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    handles = [relu.register_full_backward_hook(pass_positive) for relu in relus]
    try:
        return score_gradient(images, labels, model)
    finally:
        for handle in handles:
            handle.remove()
    ### END SOLUTION


# %% check="guided_backprop" points=5
checks.guided_backprop(guided_backprop)
### BEGIN HIDDEN TESTS
import torch
from torch import nn

from helpers.checks.networks import with_backward_hooks
from helpers.checks.problems import in_both_dtypes, left_of, other_problems, problem
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of

guided_backprop = Watched(guided_backprop)


def smooth_problem(seed, count):
    """A network without a ReLU."""
    images, labels, model = problem(seed, count)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU):
                setattr(parent, name, nn.Tanh())
    return images, labels, model


def twice_and_left_as_found():
    images, labels, model = problem(207, 2, trainable=True)
    with_backward_hooks(model)
    guided_backprop(images, labels, model)
    result = guided_backprop(images, labels, model)
    *given, frozen = problem(209, 2)
    guided_backprop(*given, frozen)
    left = left_of(result, images=images, labels=labels), state_of(model), state_of(frozen)
    return result, left, guided_backprop.left_torch


emit("three images, one ReLU used twice", lambda: guided_backprop(*problem(206, 3)))
emit("one image, for other networks", lambda: [guided_backprop(*each) for each in other_problems(202, 1)])
emit(
    "float32, a trainable network",
    lambda: guided_backprop(*problem(203, 4, (7, 10), classes=4, dtype=torch.float32, trainable=True)),
)
emit("a network without a ReLU", lambda: guided_backprop(*smooth_problem(205, 2)))
emit("the images' dtype", lambda: in_both_dtypes(guided_backprop, lambda dtype: problem(208, 1, dtype=dtype)))
emit("a second call, everything left as found", twice_and_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# **Predict first:** which of the three rules gives the clearest picture, and which one pays least attention to the
# network?
#
# The middle rule comes for free from your own function: give it a copy of the network whose first mask never closes.
# Each ReLU below computes the usual value, adds 1, and sends it through an `nn.ReLU` that is therefore open for every
# input.


# %% example
class OpenReLU(nn.Module):
    """The values of a ReLU, behind a gate that is open whatever the input is."""

    def __init__(self):
        super().__init__()
        self.gate = nn.ReLU()

    def forward(self, x):
        values = F.relu(x).detach() + x - x.detach()  # forwards a ReLU, backwards the identity
        return self.gate(values + 1) - 1


def with_open_relus(model):
    """Return a copy of the model with the same scores, in which guided backprop is the deconvnet's rule."""
    twin = copy.deepcopy(model)
    for parent in list(twin.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU):
                setattr(parent, name, OpenReLU())
    return twin


# %% figure="ablation"
images, labels = pictures.images[:4], predictions[:4]
columns = [
    score_gradient(images, labels, model),
    guided_backprop(images, labels, with_open_relus(model)),
    guided_backprop(images, labels, model),
]
plots.panels(
    [
        [plots.picture(image, model.classes[label]), *map(plots.tinted, signals)]
        for image, label, *signals in zip(images, labels, *columns)
    ],
    heads=["picture", "gradient", "deconvnet", "guided"],
    title="Mask by the input, by the signal, by both",
)

# %% [markdown]
# What to see: grey is zero; a colour tells which channels have which sign. The gradient is a cloud of grain near the
# object. The deconvnet draws edges, those of the background as well (and, in SqueezeNet, dots all over the picture), for
# it never asks which neurons were active. Both masks together give the celebrated picture: clean outlines of the object,
# nearly a drawing of it.
#
# A picture like this convinces people. So ask the question of assignment 1 at once: does it depend on the class? Below,
# guided backprop for the best and the second best score of one picture, and the correlation of the two results, next to
# that of the two gradients.


# %% figure="classes"
def correlation(a, b):
    """Return the correlation of two tensors over all of their values."""
    a, b = a - a.mean(), b - b.mean()
    return ((a * b).sum() / (a.norm() * b.norm())).item()


rows = []
for image, order in zip(pictures.images[1:4], ranking[1:4]):
    row = [plots.picture(image)]
    for method in (guided_backprop, score_gradient):
        best, second = method(image.expand(2, -1, -1, -1), order[:2], model)
        names = [model.classes[c] for c in order[:2]]
        row += [
            plots.tinted(best, names[0]),
            plots.tinted(second, f"{names[1]}\ncorrelation {correlation(best, second):.2f}"),
        ]
    rows.append(row)
plots.panels(rows, heads=["picture", "guided, best", "guided, second", "gradient, best", "gradient, second"])

# %% [markdown]
# What to see: guided backprop hardly changes when you ask about another class, to the eye and by the number: 0.98 or more
# on both networks. The gradients are less alike. On SqueezeNet their correlation is mostly 0.7 to 0.9. On the picture book
# it is negative, and part of this is arithmetic: the scores of ten classes were trained against one another through the
# softmax, so that what raises the best one lowers the others.
#
# Why is guided backprop so blind to the class? Does it not drop all neurons that speak against it? Count. Behind each ReLU
# stands a `Watch` below, which notes what arrives on the way back: once the true derivative of the score, once the signal
# of your guided backprop. Among the active neurons, the first column tells which share of those that **are let
# through** does not raise the score; the second one, which share of those that **do** raise it is dropped.
#
# **Predict first:** what stands in the row of the last ReLU? And in that of the first?


# %% example
class Watch(nn.Module):
    """Hands on what it is given, and notes which values were positive and what arrived at them on the way back."""

    def forward(self, x):
        if x.requires_grad:
            x.register_hook(lambda signal: noted.append((x.detach() > 0, signal.detach())))
        return x


watched = copy.deepcopy(model)
for parent in list(watched.modules()):
    for name, child in list(parent.named_children()):
        if isinstance(child, nn.ReLU):
            setattr(parent, name, nn.Sequential(child, Watch()))

noted = []  # by Watch, from the last ReLU to the first
score_gradient(pictures.images, predictions, watched)
derivatives, noted = noted, []
guided_backprop(pictures.images, predictions, watched)
wrongly_passed, wrongly_dropped = [], []
for (active, slope), (_, signal) in zip(derivatives, noted, strict=True):
    passed, raises = active & (signal > 0), active & (slope > 0)
    wrongly_passed.append((passed & ~raises).sum().item() / passed.sum().item())
    wrongly_dropped.append((raises & ~passed).sum().item() / raises.sum().item())
print("ReLU, from the score down    let through, though they do not raise it    dropped, though they raise it")
for number, shares in enumerate(zip(wrongly_passed, wrongly_dropped)):
    print(f"{len(derivatives) - number:25}    {shares[0]:39.0%}    {shares[1]:29.0%}")

# %% [markdown]
# At the last ReLU guided backprop makes no such mistake (in SqueezeNet, at the last three). Nearly each layer below makes
# more of them, and at the first ReLUs the sign of its signal tells next to nothing: about half of what is let through
# does not raise the score, as if a coin had been tossed. So the choice of the class is soon forgotten on the way down. What remains is which neurons were
# active, and how strongly they are connected, and this is the same for every class: edges come through whatever the
# question (Nie and others 2018, Sixt and others 2020 prove it for many layers). Guided backprop shows **what the network
# saw**, well drawn, and not **why it said so**.
#
# ## 2.3 From pixels to feature maps
#
# To tell classes apart, look where the network has nearly decided: at its last feature maps. In many networks, little
# comes after them. The network of the picture book ends like this: **global average pooling** takes the mean of each of
# the $K$ maps $A_k$, and a linear layer with weights $w_{yk}$ and bias $b_y$ adds these means up:
#
# $$s_y = b_y + \sum_k w_{yk}\, \frac{1}{hw} \sum_{ij} A_{kij}
#       = b_y + \frac{1}{hw} \sum_{ij} C_{ij}, \qquad C_{ij} = \sum_k w_{yk} A_{kij} .$$
#
# The sums have changed places, and the score has become a mean over places. $C$ is the **class activation map**, CAM
# (Zhou and others 2016): $C_{ij}$ is what place $(i, j)$ brings to the score. No gradient is needed, and nothing is
# approximate. See for yourself:

# %% example
linear = book.network.head[-1]


def class_activation_map(images, labels):
    """Return CAM (N, 8, 8), with its sign, of the network of the picture book."""
    with torch.no_grad():
        maps = book.network.features(book.normalise(images))  # (N, 96, 8, 8)
        return torch.einsum("nk,nkij->nij", linear.weight[labels], maps)


scenes = picture_book(5)
cams = class_activation_map(scenes.images, scenes.labels)
with torch.no_grad():
    own_scores = book(scenes.images).gather(1, scenes.labels[:, None])[:, 0]
    from_cams = linear.bias[scenes.labels] + cams.mean(dim=(1, 2))
print("score of the label:", [round(value, 3) for value in own_scores.tolist()])
print("bias + mean of CAM:", [round(value, 3) for value in from_cams.tolist()])

# %% [markdown]
# This works for this kind of head only. **Grad-CAM** asks for the weight of a channel in any network, at any layer, by
# a gradient: how much does the score change when channel $k$ gets stronger, on average over the places?
#
# $$\alpha_k = \frac{1}{hw} \sum_{ij} \frac{\partial s_y}{\partial A_{kij}}, \qquad
#   M_{ij} = \max\Big(0, \; \sum_k \alpha_k A_{kij} \Big) .$$
#
# Read it slowly. The gradient is averaged **over the places, for each image on its own**; the mean, not the map, weighs
# the channel. The channels are added up **first**, those with negative weight included, and only the total is cut at 0:
# evidence against the class at a place may outweigh the evidence for it there. What is negative in the end belongs to
# other classes.
#
# **Predict first:** what is $\alpha_k$ for the pooled linear head above?
#
# ### Exercise 2.2: Grad-CAM
#
# **Given** images, labels, a model and one of its layers. **Return** one map for each image, in the size of the layer's
# output. **Rule:** the two formulas above, with the score of each image's own label and the plain gradient. Do not
# normalise, do not enlarge. The layer may be any module whose output is a batch of feature maps, with values of both
# signs.
#
# <details>
# <summary>How do I get the output of a layer?</summary>
#
# Append it to a list in a forward hook. If the pixels require a gradient, so does the output, and
# `torch.autograd.grad(score, output)` differentiates with respect to it as to any other tensor.
#
# </details>
#
# <details>
# <summary>"element 0 of tensors does not require grad"</summary>
#
# The model is frozen. Let the graph start at the pixels: `images.detach().clone().requires_grad_()`.
#
# </details>
#
# <details>
# <summary>My map is right on this network and wrong in the check</summary>
#
# After a pooled head, the gradient is the same at all places, which hides many mistakes: no mean, the ReLU at the wrong
# step, a sum. The check uses a head with fully connected layers, an oblong layer and both signs. Compare your code with
# the formulas, step by step.
#
# </details>


# %% exercise="grad_cam" minutes=30 difficulty=2
def grad_cam(images, labels, model, layer):
    """Return the gradient-weighted class activation map of each image (Selvaraju et al. 2017, section 3).

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 1, float32 or float64.
        labels: (N,) int64 tensor, the class asked about for each image.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        layer: a module of the model, used once in a forward pass, whose output A is (N, K, h, w), any signs.

    Returns:
        (N, h, w) new tensor, detached, of the images' dtype and device: max(0, sum over the channels k of
        alpha_k A_k), where alpha_k is the mean over the h x w places of d score of the own label / d A_k, for each
        image on its own. Not normalised, not enlarged. All zeros where the sum is negative everywhere.

    Leaves images, labels and the model (parameters, mode, hooks, structure, .grad) as they were.
    """
    ### BEGIN SOLUTION
    outputs = []

    def start_here(module, inputs, output):
        outputs.append(output.detach().requires_grad_())  # nothing below the layer needs a gradient
        return outputs[-1].clone()  # what comes next may work in place

    handle = layer.register_forward_hook(start_here)
    try:
        scores = model(images.detach())
    finally:
        handle.remove()
    own = scores.gather(1, labels[:, None])
    (gradient,) = torch.autograd.grad(own.sum(), outputs[0])
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * outputs[0]).sum(dim=1).clamp(min=0).detach()
    ### END SOLUTION


# %% check="grad_cam" points=5
checks.grad_cam(grad_cam)
### BEGIN HIDDEN TESTS
import torch
from torch import nn

from helpers.checks.networks import with_backward_hooks
from helpers.checks.problems import in_both_dtypes, left_of, other_problems, problem
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of

grad_cam = Watched(grad_cam)


def at_the_end(*options, **more):
    """The last convolution: as large as the image, both signs, a fully connected head after it."""
    images, labels, model = problem(*options, **more)
    return images, labels, model, model.cam_layer


def at_a_smaller_map(*options, **more):
    """The pooling in the head: half as large as the image."""
    images, labels, model = problem(*options, **more)
    return images, labels, model, model.network.head[1]


def deep_inside(*options, **more):
    """A convolution inside a nested block."""
    images, labels, model = problem(*options, **more)
    return images, labels, model, model.network.body[0].second


def nothing_speaks_for_the_label():
    """Scores that every channel lowers for some labels: their maps are zero."""
    images, labels, model, layer = at_a_smaller_map(216, 3)
    with torch.no_grad():
        model.network.head[4].weight.abs_()
        model.network.head[6].weight.abs_()
        model.network.head[6].weight[labels[1]] *= -1
    return images, labels, model, layer


def other_networks():
    at_the_ends = [grad_cam(*each, each[-1].cam_layer) for each in other_problems(206, 1)]
    return [*at_the_ends, grad_cam(*at_a_smaller_map(221, 1, (8, 6), gain=30))]


def other_layers():
    small = deep_inside(215, 2, (7, 10), classes=4, dtype=torch.float32, trainable=True)
    return [grad_cam(*at_a_smaller_map(218, 3)), grad_cam(*small)]


def twice_and_left_as_found():
    images, labels, model, layer = at_the_end(210, 2, trainable=True)
    with_backward_hooks(model)
    grad_cam(images, labels, model, layer)
    maps = grad_cam(images, labels, model, layer)
    *given, frozen, its_layer = at_the_end(212, 2)
    grad_cam(*given, frozen, its_layer)
    left = left_of(maps, images=images, labels=labels), state_of(model), state_of(frozen)
    return maps, left, grad_cam.left_torch


emit("three images", lambda: grad_cam(*at_the_end(214, 3)))
emit("one image, for other networks", other_networks)
emit("other layers, float32", other_layers)
emit("a label that nothing speaks for", lambda: grad_cam(*nothing_speaks_for_the_label()))
emit("the images' dtype", lambda: in_both_dtypes(grad_cam, lambda dtype: at_the_end(211, 1, dtype=dtype)))
emit("a second call, everything left as found", twice_and_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# Did you predict the weights for the pooled linear head? There, $\partial s_y / \partial A_{kij} = w_{yk} / hw$ at
# every place, so $\alpha_k = w_{yk} / hw$, and **Grad-CAM is the positive part of CAM, divided by $hw$**. You need no
# picture to check that:

# %% example
found = grad_cam(scenes.images, scenes.labels, book, book.cam_layer)
expected = cams.clamp(min=0) / (8 * 8)
gap = (found - expected).norm() / expected.norm()
print(f"relative difference between Grad-CAM and max(0, CAM) / 64: {gap.item():.1e}")

# %% [markdown]
# SqueezeNet ends in another order: a 1 x 1 convolution makes a map for each class, then comes a **ReLU**, and the mean
# over the places last. The gradient is $w_{yk} / hw$ where the map of the class is positive, and 0 elsewhere. Its mean
# over the places is $w_{yk} / hw$ times the share of such places, one number for all channels: CAM again, up to a
# factor. In both networks, Grad-CAM therefore tells nothing that the weights do not tell. What it adds is a way to find
# such weights in any network, at any layer.

# %% figure="gradcam"
maps = grad_cam(pictures.images, predictions, model, model.cam_layer)
figure = plots.panels(
    [
        [plots.picture(image, model.classes[label]) for image, label in zip(pictures.images, predictions)],
        [plots.unsigned(grad_map) for grad_map in maps],
        [plots.overlay(image, grad_map) for image, grad_map in zip(pictures.images, maps)],
    ],
    names=["picture", f"Grad-CAM, {maps.shape[1]} x {maps.shape[2]}", "overlay"],
)
save_figure(figure, "02_gradcam-gradcam")

# %% [markdown]
# What to see: on most pictures one or two warm regions, on the object, and nothing of its outline. The brightest places
# are often a part that decides, such as a head or an eye, rather than the whole. The middle row is all there is: 64
# numbers on the picture book, 169 in SqueezeNet. Between them, the overlay is stretched, and suggests a precision that
# is not there.
#
# ### An empty map is an answer
#
# Ask about a class that nothing in the picture speaks for. The sum over the channels is negative at every place, the
# ReLU makes it zero, and the map is black. Programs that scale every map to end at 1 divide 0 by 0 here: they show NaN,
# or a rounding error blown up to full brightness. Below, one scene and four classes: CAM with its sign above, Grad-CAM
# below.

# %% figure="empty"
scene = scenes[3]
with torch.no_grad():
    order = book(scene.images)[0].argsort(descending=True)
asked = order[[0, 1, 5, 9]]
four = scene.images.expand(4, -1, -1, -1)
plots.panels(
    [
        [plots.picture(scene.images[0]), *map(plots.signed, class_activation_map(four, asked))],
        [None, *map(plots.unsigned, grad_cam(four, asked, book, book.cam_layer))],
    ],
    heads=["picture", *(book.classes[c] for c in asked)],
    names=["CAM", "Grad-CAM"],
)

# %% [markdown]
# What to see: for the right class there is evidence, and Grad-CAM shows it. The classes in the middle live on scraps of
# the background: their maps look as bright, until you read the scale below, which ends at less than a twentieth of the
# first. For the last class every place of CAM is negative, so the map is zero. Nothing is broken. The map says that
# nothing at this layer speaks for this class, and CAM adds what speaks **against** it. In the picture book this is
# common: two of five scenes have no evidence at all for *car*. A map that is empty for the class that the network
# predicts would be another matter: look for a mistake, or for a head with a large bias.
#
# ## 2.4 Which layer?
#
# Nothing in the formula says "last". Below, Grad-CAM at the last layer of each size of map, found by forward hooks. The
# sum over the channels weighs each channel with **one** number for all places. This makes sense where a channel stands
# for a part of an object, late in the network. Early channels stand for edges and colours, and an edge may speak for
# the class here and against it there.
#
# **Predict first:** at which layer is the map most exact, and at which does it know most about the class?


# %% example
def last_layers(model, image):
    """Return the last module with a map of each size, {(h, w): module}, from the input to model.cam_layer."""
    seen = []

    def note(module, inputs, output):
        if isinstance(output, torch.Tensor) and output.dim() == 4:
            seen.append((module, tuple(output.shape[2:])))

    handles = [module.register_forward_hook(note) for module in model.network.modules()]
    try:
        with torch.no_grad():
            model(image[None])
    finally:
        for handle in handles:
            handle.remove()
    modules = [module for module, _ in seen]
    until = modules.index(model.cam_layer)
    return {size: module for module, size in seen[: until + 1] if modules.count(module) == 1}


layers = last_layers(model, pictures.images[0])
print("sizes of the maps:", ", ".join(f"{height} x {width}" for height, width in layers))

# %% figure="layers"
images, labels = pictures.images[:4], predictions[:4]
columns = [grad_cam(images, labels, model, layer) for layer in progress(layers.values(), "asking", "layer")]
plots.panels(
    [
        [plots.picture(image, model.classes[label]), *map(plots.unsigned, maps)]
        for image, label, *maps in zip(images, labels, *columns)
    ],
    heads=["picture", *(f"{height} x {width}" for height, width in layers)],
)

# %% [markdown]
# What to see: from left to right the maps lose detail and gain meaning. At the first layer you see an edge image of the
# whole picture, or, of a meadow, little more than noise. At the last one, a blob on the object. On the picture book, the
# layer before the last is a good compromise; in SqueezeNet, the early maps even light up at the border of the picture and on the wood behind the hay.
# The scales grow from left to right, but do not compare them: $\alpha_k$ is a mean over the places, and one place of
# 4096 has less say than one of 64.
#
# ### Play with it
#
# Here the scale is **fixed**: for a picture and a layer, all classes share the scale of the class that is brightest. At the
# last layer, go through the classes. How many of them have a map that you can see at all? Then do the same at earlier layers.
# Where does the map stop telling which class you have asked for?


# %% figure="play-layers"
def at_layer(picture, rank, layer):
    asked = ranking[picture, :10]
    images = pictures.images[picture].expand(len(asked), -1, -1, -1)
    maps = grad_cam(images, asked, model, layers[layer])
    top, values = maps.amax().item() or 1.0, maps[rank]
    reach = f"reaches {values.amax().item() / top:.0%} of the scale"
    return plots.strip(
        [
            plots.picture(images[0], f"asked for {model.classes[asked[rank]]}"),
            plots.unsigned(values, reach, top),
            plots.overlay(images[0], values, top=top),
        ]
    )


explore(
    at_layer,
    picture={name: number for number, name in enumerate(pictures.names)},
    rank={"best score": 0} | {f"number {number}": number - 1 for number in range(2, 11)},
    layer={f"{height} x {width}": (height, width) for height, width in reversed(layers)},
)

# %% [markdown]
# <details>
# <summary>What you may have found</summary>
#
# On the picture book, at the last layer, the predicted class has the brightest map in all five pictures. The other nine classes
# reach 2 % of its scale in the median, and 19 % at most; six of their 45 maps are empty. At 16 x 16 they reach 17 %, and at the
# first layer 35 %. There, in two of the five pictures, another class is brighter than the one predicted. So brightness tells
# about the class at the end of the network, and less and less the earlier you look. With a scale of its own for every map, as
# in the figures above, you cannot see that.
#
# </details>
#
# ## 2.5 Fine and class-specific at once
#
# Guided backprop is sharp and hardly depends on the class; Grad-CAM depends on the class and is coarse. **Guided
# Grad-CAM** is their product: the fine structure, where the coarse map is warm. The map has to be enlarged to the size
# of the image first. There are several ways to do that; this course takes **bilinear interpolation with
# `align_corners=False`**: each value of the small map belongs to the middle of its cell, and between the middles the
# values change linearly. In one dimension, three values for nine places:

# %% example
small = torch.tensor([[[0.0, 3.0, 9.0]]])
for options in (
    {"mode": "nearest"},
    {"mode": "linear", "align_corners": True},
    {"mode": "linear", "align_corners": False},
):
    large = F.interpolate(small, size=9, **options)[0, 0]
    print(f"{options!s:46}", [round(value, 1) for value in large.tolist()])

# %% [markdown]
# With `align_corners=True`, the first and last value sit on the first and last pixel, so that the cells at the border
# are half as wide as the others, and everything between is shifted. A product with a shifted map favours the wrong
# pixels.
#
# ### Exercise 2.3: Guided Grad-CAM
#
# **Given** images, labels, a model and a layer. **Return** the product for each image, signed, three channels.
# **Rule:** guided backprop times the Grad-CAM of the layer, enlarged bilinearly (`align_corners=False`) to the size of
# the images. Grad-CAM stays as it was: with the plain gradient, and its ReLU before the enlarging. Call your two
# functions. Images may be oblong.
#
# <details>
# <summary>"Input and output must have the same number of spatial dimensions"</summary>
#
# `F.interpolate` works on (N, C, h, w), and a batch of maps is (N, h, w). Give it a channel axis: `maps[:, None]`.
#
# </details>
#
# <details>
# <summary>"The size of tensor a (6) must match the size of tensor b (9)"</summary>
#
# `size` is (height, width), in this order: `images.shape[-2:]`. A single number makes a square.
#
# </details>


# %% exercise="guided_grad_cam" minutes=10 difficulty=1
def guided_grad_cam(images, labels, model, layer):
    """Return Guided Grad-CAM, guided backprop times enlarged Grad-CAM (Selvaraju et al. 2017, section 3.2).

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 1, float32 or float64.
        labels: (N,) int64 tensor, the class asked about for each image.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        layer: a module of the model, used once in a forward pass, whose output is (N, K, h, w).

    Returns:
        (N, 3, H, W) new tensor, detached, of the images' dtype and device: the guided backpropagation of the own
        score times the layer's Grad-CAM (plain gradient, ReLU), enlarged to H x W by bilinear interpolation with
        align_corners=False; the same factor for the three channels. Signed, not normalised.

    Leaves images, labels and the model (parameters, mode, hooks, structure, .grad) as they were.
    """
    ### BEGIN SOLUTION
    maps = grad_cam(images, labels, model, layer)
    enlarged = F.interpolate(maps[:, None], size=images.shape[-2:], mode="bilinear", align_corners=False)
    return guided_backprop(images, labels, model) * enlarged
    ### END SOLUTION


# %% check="guided_grad_cam" points=3
checks.guided_grad_cam(guided_grad_cam)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.named import Named
from helpers.checks.networks import with_backward_hooks
from helpers.checks.problems import left_of, problem
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of

guided_backprop, grad_cam, guided_grad_cam = map(Watched, (guided_backprop, grad_cam, guided_grad_cam))


def at_the_pooling(images_of, network_of, count, *size, **options):
    """Images of one seed, the network of another, and its pooling layer, whose map is half as large as the image."""
    images, _, _ = problem(images_of, count, *size, **options)
    _, _, model = problem(network_of, count, *size, **options)
    if options.get("trainable"):
        with_backward_hooks(model)
    return images, torch.arange(count) % 4, model, model.network.head[1]


def guided_first(images, labels, model, layer):
    seed = torch.initial_seed()
    guided = guided_backprop(images, labels, model)
    torch.manual_seed(seed)  # each draws what it draws inside the answer
    return guided, grad_cam(images, labels, model, layer)


def cam_first(images, labels, model, layer):
    seed = torch.initial_seed()
    maps = grad_cam(images, labels, model, layer)
    torch.manual_seed(seed)
    return guided_backprop(images, labels, model), maps


def own(order, *arguments):
    """What the answers to exercises 2.1 and 2.2 give: a mistake in there should not cost marks in here again."""
    try:
        return [torch.as_tensor(values).double() for values in order(*arguments)]
    except Exception:
        return [torch.zeros(1), torch.zeros(1)]


def told(seed, count, *size, everything=False, **options):
    """The answer, the student's own pair in both orders, and that pair for other images and for another network.

    With `everything`, after a second call, and with the state in which the first three leave their arguments.
    """

    def ask(function, images_of=seed, network_of=seed, state=everything):
        images, labels, model, layer = at_the_pooling(images_of, network_of, count, *size, **options)
        torch.manual_seed(seed)  # what is drawn by chance is the same for all
        for _ in range(1 + everything):
            values = function(images, labels, model, layer)
        if not state:
            return values
        attached = any(getattr(value, "requires_grad", False) for value in values)
        left = left_of(images=images, labels=labels), state_of(model)
        return [*values, Named({"the result's requires_grad": attached}), *left]

    # In both orders, since a function that leaves the model altered changes what the other one gives.
    pairs = [lambda *arguments, order=order: own(order, *arguments) for order in (guided_first, cam_first)]
    return [
        ask(lambda *arguments: [guided_grad_cam(*arguments)]),
        ask(pairs[0]),
        ask(pairs[1]),
        ask(pairs[0], images_of=seed + 50, state=False),
        ask(pairs[0], network_of=seed + 50, state=False),
    ]


def dtypes():
    """Whether the answer is of the images' dtype, or else of that of the student's own pair, for both dtypes."""
    known = []
    for dtype in (torch.float64, torch.float32):
        images, labels, model, layer = at_the_pooling(224, 224, 1, dtype=dtype)
        found = guided_grad_cam(images, labels, model, layer).dtype
        try:
            its_own = torch.result_type(guided_backprop(images, labels, model), grad_cam(images, labels, model, layer))
        except Exception:
            its_own = dtype
        known.append(found in (dtype, its_own))
    return known


def left_as_found():
    """For a network in use and a frozen one; torch is put back after each call, so that the answer alone is told of."""
    in_use, frozen = (told(217, 2, everything=True, trainable=trainable) for trainable in (True, False))
    return in_use, frozen, guided_grad_cam.left_torch


emit("three images, oblong", lambda: told(220, 3, gain=30))
emit("one image, float32, trainable", lambda: told(222, 1, (8, 14), dtype=torch.float32, trainable=True))
emit("the images' dtype", lambda: [told(225, 2), Named({"the result's dtype": dtypes()})])
emit("a second call, everything left as found", left_as_found)
### END HIDDEN TESTS

# %% judge="guided_grad_cam"
import numpy as np

from helpers.checks.state import Watched
from helpers.course.marks.compare import close

# How many values at the end of a part tell of the answer alone: dtypes, and the state of torch.
ALONE = {"the images' dtype": 2, "a second call, everything left as found": len(Watched(None).left_torch)}


def judge(part, got, want, given):
    """Accept the right product, or that of the student's own guided backprop and Grad-CAM of the same inputs.

    Both must then be attributions of some kind: they change with the images and with the network, and the maps are no
    constants. A pair that is blank, zero, random or looks at the images alone excuses nothing.
    """
    times = 2 if part.endswith("left as found") else 1
    alone = ALONE.get(part, 0)
    size = (len(want) - alone) // times
    if len(got) != len(want) or not all(map(close, got[times * size :], want[times * size :])):
        return False
    ends = [(size * time, size * (time + 1)) for time in range(times)]
    return all(right(got[start:end], want[start:end]) for start, end in ends)


def right(got, want):
    """Tell whether the values of one `told` are right: an answer and the state it leaves, two pairs with theirs, two more."""
    facts = (len(want) - 9) // 3
    state, rest = got[1 : 1 + facts], got[1 + facts :]
    pairs = rest[: 2 + facts], rest[2 + facts : -4]
    accepted = [(want[0], want[1 : 1 + facts])]
    if all(map(depends, pairs[0], rest[-4:-2])) and all(map(depends, pairs[0], rest[-2:])):
        for guided, maps, *its_state in pairs:
            if guided.shape == want[0].shape and fits(maps, want[0].shape):
                accepted.append((product(guided, maps), its_state))
    return any(close(got[0], values) and all(map(close, state, its_state)) for values, its_state in accepted)


def depends(values, others):
    """Tell whether finite values change where something else is asked."""
    return values.dtype.kind == "f" and bool(np.isfinite(values).all()) and not close(values, others)


def fits(maps, shape):
    """Tell whether maps are (N, h, w) or (N, 1, h, w), no larger than the images and no constants."""
    if maps.ndim not in (3, 4) or maps.shape[1:-2] not in ((), (1,)) or len(maps) != shape[0]:
        return False
    return all(0 < side <= largest for side, largest in zip(maps.shape[-2:], shape[-2:])) and np.ptp(maps[0]) > 0


def product(guided, maps):
    """Return guided (N, 3, H, W) times maps (N, h, w) or (N, 1, h, w), enlarged bilinearly."""
    down, across = (stretch(*sides) for sides in zip(maps.shape[-2:], guided.shape[-2:]))
    enlarged = np.einsum("yi,nij,xj->nyx", down, maps.reshape(len(maps), *maps.shape[-2:]), across)
    return guided * enlarged[:, None]


def stretch(small, large):
    """Return the (large, small) matrix of linear interpolation with align_corners=False."""
    places = ((np.arange(large) + 0.5) * small / large - 0.5).clip(0, small - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(small)))


# %% figure="guided"
images, labels = pictures.images[:4], predictions[:4]
fine = guided_backprop(images, labels, model)
coarse = grad_cam(images, labels, model, model.cam_layer)
both = guided_grad_cam(images, labels, model, model.cam_layer)
plots.panels(
    [
        [plots.picture(image, model.classes[label]) for image, label in zip(images, labels)],
        list(map(plots.tinted, fine)),
        list(map(plots.overlay, images, coarse)),
        list(map(plots.tinted, both)),
    ],
    names=["picture", "guided backprop", "Grad-CAM", "product"],
)

# %% [markdown]
# What to see: the product keeps the fine lines of guided backprop where Grad-CAM is warm, and fades them out elsewhere:
# dots of the background, birds that the map passes by, the back of a dog. Look for what is lost on the object as well.
#
# ## 2.6 Two objects in one picture
#
# A picture with a single object cannot tell a map of the class from a map of "the thing in the picture". Two objects
# can: ask for the one, then for the other, and the map must move. The scenes below come from the picture book, whose
# network was trained on single objects only.
#
# **Predict first:** which of the four methods moves, and which stays on both objects?

# %% example
pairs = picture_pairs(40, seed=3)
book_layer = book.cam_layer
methods = {
    "gradient": score_gradient,
    "guided backprop": guided_backprop,
    "Grad-CAM": lambda images, labels, model: grad_cam(images, labels, model, book_layer),
    "Guided Grad-CAM": lambda images, labels, model: guided_grad_cam(images, labels, model, book_layer),
}


def strength(values, size):
    """Return how strong a result is at each pixel, (N, *size): its size, largest over channels, enlarged if need be."""
    values = values.abs().amax(dim=1) if values.dim() == 4 else values
    return F.interpolate(values[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def share_on_asked(method, pairs, asked):
    """Return which share of a map's energy on the two objects lies on the asked one, for each scene."""
    maps = strength(method(pairs.images, pairs.labels[:, asked], book), pairs.images.shape[2:])
    on_objects = (maps[:, None] * pairs.masks).sum(dim=(2, 3))  # (N, 2)
    return on_objects[:, asked] / on_objects.sum(dim=1)


# %% figure="pairs"
rows = []
for scene in (pairs[:1], pairs[3:4]):
    for asked in (0, 1):
        results = [method(scene.images, scene.labels[:, asked], book)[0] for method in methods.values()]
        drawn = [plots.unsigned(strength(result[None], scene.images.shape[2:])[0]) for result in results]
        rows.append([plots.outline(scene.images[0], scene.names[0][asked], masks=[scene.masks[0, asked]]), *drawn])
plots.panels(rows, heads=["asked for", *methods], title="Orange: the object that is asked for")

# %% figure="energy"
shares = {
    name: torch.stack([share_on_asked(method, pairs, asked) for asked in (0, 1)]).mean(dim=0).tolist()
    for name, method in methods.items()
}
plots.bars(
    {"energy on the asked object": shares | {"no idea": 0.5}},
    ylabel=f"share of the energy on the two objects, mean over {len(pairs)} scenes, with its 95 % bootstrap interval",
    highlight=list(methods),
    size=(6, 2.4),
)

# %% [markdown]
# What to see: Grad-CAM jumps to the object that is asked for, all of it. The gradient gives hardly more than half of
# its energy to this object, as a map without any idea of the class would. Guided backprop stands between: it is
# stronger on the asked object and draws the other one none the less. In Guided Grad-CAM the other object is gone, and
# this is Grad-CAM's doing. So if you want to know *which class*, ask Grad-CAM; if you want to know *which pixels*, do
# not ask it alone.
#
# ## 2.7 Completeness: integrated gradients
#
# Back to the pixels, and to a weakness of every gradient: it speaks of small changes. Take a score of one pixel that
# saturates, $s(x) = 1 - e^{-4x}$, at $x = 1$. The gradient there is 0.07: a little more or less light changes nearly
# nothing. Yet the score is 0.98, and would be 0 without light. All of it comes from this pixel, and the gradient gives
# it next to nothing.
#
# Integrated gradients asks how the score came about **on the way** from a baseline $x'$, an image that shows nothing,
# to the image $x$. It walks straight and collects the gradient:
#
# $$M_{chw} = (x_{chw} - x'_{chw}) \int_0^1 \frac{\partial s_y}{\partial x_{chw}}\Big|_{x' + t (x - x')} \, dt .$$
#
# By the fundamental theorem of calculus along this line, the values of all pixels and channels add up to what the score
# has gained:
#
# $$\sum_{chw} M_{chw} = s_y(x) - s_y(x') .$$
#
# This is **completeness**, and a rare thing: a property that you can test on any network, without knowing what the
# right map is. A computer replaces the integral by a mean over $m$ points. Which points? With the **midpoint rule**,
# the line is cut in $m$ equal pieces and the gradient is taken in the middle of each:
#
# $$t_k = \frac{k - 1/2}{m}, \quad k = 1, \dots, m .$$
#
# Below, the example with one pixel, with gradients at the starts of the pieces, at their ends and in their middles.

# %% example
x, baseline = torch.tensor(1.0), torch.tensor(0.0)
print(f"gain of the score: {1 - torch.exp(-4 * x):.3f}")
print("pieces    starts     ends  middles")
for steps in (1, 2, 4, 8, 16):
    row = []
    for offset in (0.0, 1.0, 0.5):
        t = (torch.arange(steps) + offset) / steps
        points = (baseline + t * (x - baseline)).requires_grad_()
        (slopes,) = torch.autograd.grad((1 - torch.exp(-4 * points)).sum(), points)
        row.append(((x - baseline) * slopes.mean()).item())
    print(f"{steps:6} " + "".join(f"{value:9.3f}" for value in row))

# %% [markdown]
# ### Exercise 2.4: integrated gradients
#
# **Given** images, labels, a model, a baseline and a number of steps. **Return** the contribution of each pixel and
# channel, signed. **Rule:** the midpoint rule above, as many gradients as steps for each image, times the way from the
# baseline to the image. Do not rescale the result to make the sum fit: the gap tells how good the approximation is. You
# may call `score_gradient`.
#
# <details>
# <summary>The check says "gradients at both ends and between"</summary>
#
# Your points are the ends of the pieces, or both ends are among them, as in `torch.linspace(0, 1, steps)`. Print your
# $t_k$ for `steps=2`: 0.25 and 0.75 are wanted.
#
# </details>
#
# <details>
# <summary>Which shape has the baseline?</summary>
#
# Any that broadcasts against the images: (N, 3, H, W), one image (3, H, W), a colour (3, 1, 1), or a single value.
# Plain arithmetic with `images` takes care of it; `baseline[i]` does not.
#
# </details>


# %% exercise="integrated_gradients" minutes=20 difficulty=2
def integrated_gradients(images, labels, model, baseline, steps):
    """Return the integrated gradients of the score (Sundararajan et al. 2017, section 3), by the midpoint rule.

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 1, float32 or float64.
        labels: (N,) int64 tensor, the class asked about for each image.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        baseline: a tensor of the images' dtype that broadcasts against them, in pixel units: where the way starts.
        steps: m >= 1, the number of points.

    Returns:
        (N, 3, H, W) new tensor, detached, of the images' dtype and device: (image - baseline) times the mean of
        d score of the own label / d pixel at baseline + t_k (image - baseline), t_k = (k - 1/2) / m, k = 1 ... m.
        In score units, signed, not rescaled; the sum over an image tends to score(image) - score(baseline).

    Leaves images, labels, baseline and the model (parameters, mode, hooks, .grad) as they were.
    """
    ### BEGIN SOLUTION
    way = images - baseline
    total = torch.zeros_like(images)
    for k in range(steps):
        total += score_gradient(baseline + (k + 0.5) / steps * way, labels, model)
    return way * total / steps
    ### END SOLUTION


# %% check="integrated_gradients" points=4
checks.integrated_gradients(integrated_gradients)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of, other_problems, problem
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of

integrated_gradients = Watched(integrated_gradients)


def colour(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype)[:, None, None]


def own_baselines(seed, count):
    images, labels, model = problem(seed, count)
    return images, labels, model, images.flip(0) ** 2


def in_one_step():
    return integrated_gradients(*problem(232, 1), torch.tensor([0.5]).double(), 1)


def other_networks():
    return [integrated_gradients(*each, colour(0.3, 0.6, 0.1)[None], 4) for each in other_problems(236, 1)]


def many_steps():
    return integrated_gradients(*problem(233, 1, (8, 6), classes=7), colour(0.9, 0.1, 0.3), 40)


def with_a_dtype(dtype):
    return *problem(239, 1, dtype=dtype), colour(0.2, 0.5, 0.7, dtype=dtype), 3


def twice_and_left_as_found():
    images, labels, model = problem(237, 2, trainable=True)
    baseline = images[0] * 0.3
    integrated_gradients(images, labels, model, baseline, 3)
    result = integrated_gradients(images, labels, model, baseline, 3)
    *given, frozen = problem(240, 2)
    outside = colour(-0.2, 0.3, 1.2)
    integrated_gradients(*given, frozen, outside, 2)
    left = left_of(result, images=images, labels=labels, baseline=baseline), left_of(baseline=outside)
    return result, left, state_of(model), state_of(frozen), integrated_gradients.left_torch


emit("three images, a colour", lambda: integrated_gradients(*problem(231, 3), colour(0.2, 0.5, 0.7), 5))
emit("one image, for other networks, one step and many", lambda: [in_one_step(), many_steps(), *other_networks()])
emit(
    "a baseline for each image, float32",
    lambda: [
        integrated_gradients(*own_baselines(234, 3), 4),
        integrated_gradients(
            *problem(235, 2, (7, 10), dtype=torch.float32, trainable=True), colour(0, 1, 0.5).float(), 6
        ),
    ],
)
emit("the images' dtype", lambda: in_both_dtypes(integrated_gradients, with_a_dtype))
emit("a second call, everything left as found", twice_and_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# **Predict first:** how many steps does it take until the values of a picture add up to the gain of the score, up to
# one per cent?

# %% figure="completeness"
numbers = (1, 2, 4, 8, 16, 32, 64)
images, labels = pictures.images[:2], predictions[:2]
gaps = {}
for name, value in {"black": 0.0, "mid grey": 0.5}.items():
    baseline = images.new_full((1, 1, 1, 1), value)
    with torch.no_grad():
        gain = (model(images) - model(baseline.expand_as(images))).gather(1, labels[:, None])[:, 0]
    gaps[name] = []
    for m in progress(numbers, f"integrating from {name}", "number of steps"):
        total = integrated_gradients(images, labels, model, baseline, m).sum(dim=(1, 2, 3))
        gaps[name].append(((total - gain) / gain).abs().mean().item())
plots.lines(
    numbers,
    gaps,
    xlabel="steps",
    ylabel="gap / gain",
    title="Sum of the values against gain of the score, mean over two pictures",
    log_x=True,
    log_y=True,
)

# %% [markdown]
# What to see: few steps can miss by as much as the whole gain; more steps close the gap, by jolts rather than smoothly,
# since a network of ReLUs bends abruptly. For a gap of 1 %, some 16 steps are enough on the picture book; SqueezeNet
# takes about 64 of them. Because you can measure the gap, you need not guess: raise the number of steps until the gap
# is as small as you want it.
#
# Completeness says how much there is to share out, and not how to share it. The baseline decides on that: a pixel that
# has the colour of the baseline gets **exactly zero**, whatever it means to the network, since there is no way to go.

# %% figure="baselines"
images, labels = pictures.images[:3], predictions[:3]
blurred = F.interpolate(F.adaptive_avg_pool2d(images, 8), size=images.shape[2:], mode="bilinear", align_corners=False)
colours = {"black": 0.0, "mid grey": 0.5, "white": 1.0}
baselines = {name: images.new_full((1, 1, 1, 1), value) for name, value in colours.items()} | {"blurred": blurred}
columns = [
    integrated_gradients(images, labels, model, baseline, 32)
    for baseline in progress(baselines.values(), "integrating", "baseline")
]
plots.panels(
    [
        [plots.picture(image, model.classes[label]), *(plots.signed(values.sum(dim=0)) for values in results)]
        for image, label, *results in zip(images, labels, *columns)
    ],
    heads=["picture", *baselines],
    title="Integrated gradients from four baselines, summed over the channels",
)

# %% [markdown]
# What to see: four maps of one score, all complete, and all different. Follow one part that has the colour of a
# baseline: the white stripes of the fish have no value against white; the dark dog's head and back are empty against
# black, and full against white. With grey the background of the picture book nearly disappears. The blurred picture
# asks yet another question: what do the details add? No baseline is neutral. Say which one you took.
#
# ### Play with it
#
# A baseline may have any colour. Mix one with the three sliders. Can you make a part of your choice vanish from the map, and
# what does it take? Then look at the sum above the map: is there a colour from which the score has nothing to gain?


# %% figure="play-baseline"
def from_colour(picture, red, green, blue):
    images, labels = pictures.images[picture][None], predictions[picture][None]
    colour = images.new_tensor([red, green, blue])[None, :, None, None]
    values = integrated_gradients(images, labels, model, colour, 12)[0]
    return plots.strip(
        [
            plots.picture(images[0], model.classes[labels[0]]),
            plots.picture(colour.expand_as(images)[0], "baseline"),
            plots.signed(values.sum(dim=0), f"sum {values.sum():.1f}"),
        ]
    )


explore(
    from_colour,
    picture={name: number for number, name in enumerate(pictures.names)},
    red=between(0.0, 1.0, at=0.5, step=0.05),
    green=between(0.0, 1.0, at=0.5, step=0.05),
    blue=between(0.0, 1.0, at=0.5, step=0.05),
)

# %% [markdown]
# <details>
# <summary>What you may have found</summary>
#
# A part vanishes where the baseline has its colour, so parts of one colour are easy, and parts of many colours impossible. Take
# the background of the picture book: with its own median colour as the baseline, it keeps 15 % of the size of the map, in the
# mean of 20 scenes, with grey 27 %, with black 53 %. As for the sum: of 216 colours, none leaves the score of the label nothing
# to gain. For the cat it is between 4.5 and 5.8, for the flower between 3.3 and 5.7. All these maps are complete, and each
# answers another question: what makes this a flower, *and not a picture of this colour*?
#
# </details>
#
# ## 2.8 Occlusion asks the network itself
#
# All maps so far come from derivatives. The oldest method needs none: cover a window of the picture and look how far
# the score falls (Zeiler and Fergus 2014, section 4.2). Slide the window over the picture, and you have a map. It costs
# one forward pass for each place of the window, it sees what small changes cannot tell, and it works for any model that
# gives scores.
#
# A window of $p \times p$ pixels that moves by $r$ pixels fits into an image of height H at $\lfloor (H - p) / r
# \rfloor + 1$ heights. By hand, for a row of 10 pixels, $p = 4$ and $r = 3$:

# %% example
for start in range(0, 10 - 4 + 1, 3):
    print("." * start + "####" + "." * (10 - 4 - start), "  starts at", start)

# %% [markdown]
# ### Exercise 2.5: occlusion
#
# **Given** images, labels, a model, the side of a square window, its stride, and a fill value. **Return** for each
# place of the window how far the score of the image's own label **drops**. **Rule:** score of the image minus score of
# the image with the window filled, in all three channels; only windows that lie wholly inside; row $i$, column $j$
# belongs to the window whose upper left pixel is at row $i \cdot$ stride, column $j \cdot$ stride. A negative value is
# a rise.
#
# <details>
# <summary>The check says that windows pile up</summary>
#
# Each window is filled in a **fresh copy** of the images: `covered = images.clone()` belongs inside the loop.
#
# </details>
#
# <details>
# <summary>The check says that the result still requires a gradient</summary>
#
# You need no gradient here. `with torch.no_grad():` around the forward passes saves time and memory, too.
#
# </details>


# %% exercise="occlusion_map" minutes=20 difficulty=1
def occlusion_map(images, labels, model, patch, stride, fill):
    """Return how far the score drops when a window is covered (Zeiler and Fergus 2014, section 4.2).

    Args:
        images: (N, 3, H, W) float tensor, values in [0, 1]; any N >= 1, float32 or float64.
        labels: (N,) int64 tensor, the class asked about for each image.
        model: a Classifier, images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        patch: side of the square window in pixels, 1 <= patch <= min(H, W).
        stride: by how many pixels the window moves, in both directions, stride >= 1.
        fill: the value in [0, 1] that all three channels get inside the window.

    Returns:
        (N, rows, columns) new tensor, detached, of the images' dtype and device, rows = (H - patch) // stride + 1
        and columns = (W - patch) // stride + 1: the score of the own label minus that score with the window filled
        whose upper left pixel is (row * stride, column * stride). Positive where covering lowers the score.

    Leaves images, labels and the model (parameters, mode, hooks, .grad) as they were.
    """
    ### BEGIN SOLUTION
    height, width = images.shape[2:]
    with torch.no_grad():
        whole = model(images).gather(1, labels[:, None])
        rows = []
        for top in range(0, height - patch + 1, stride):
            row = []
            for left in range(0, width - patch + 1, stride):
                covered = images.clone()
                covered[:, :, top : top + patch, left : left + patch] = fill
                row.append(whole - model(covered).gather(1, labels[:, None]))
            rows.append(torch.cat(row, dim=1))
    return torch.stack(rows, dim=1)
    ### END SOLUTION


# %% check="occlusion_map" points=3
checks.occlusion_map(occlusion_map)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of, other_problems, problem
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of

occlusion_map = Watched(occlusion_map)


def other_networks():
    wide = occlusion_map(*problem(243, 1, (8, 6), classes=7, gain=30), 6, 1, 0.0)
    return [*(occlusion_map(*each, 2, 3, 0.75) for each in other_problems(242, 1)), wide]


def with_a_dtype(dtype):
    return *problem(245, 1, dtype=dtype), 3, 3, 0.5


def twice_and_left_as_found():
    images, labels, model = problem(246, 2, trainable=True)
    occlusion_map(images, labels, model, 4, 3, 0.5)
    result = occlusion_map(images, labels, model, 4, 3, 0.5)
    *given, frozen = problem(248, 2)
    occlusion_map(*given, frozen, 4, 3, 0.5)
    left = left_of(result, images=images, labels=labels), state_of(model), state_of(frozen)
    return result, left, occlusion_map.left_torch


emit("three images, windows that overlap", lambda: occlusion_map(*problem(241, 3), 4, 2, 0.25))
emit("one image, for other networks, other windows and fills", other_networks)
emit(
    "float32, a trainable network",
    lambda: occlusion_map(*problem(244, 2, (7, 10), classes=4, dtype=torch.float32, trainable=True), 3, 2, 1.0),
)
emit("the images' dtype", lambda: in_both_dtypes(occlusion_map, with_a_dtype))
emit("a second call, everything left as found", twice_and_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# **Predict first:** the fill has to be some colour. Does it matter which?

# %% figure="occlusion"
images, labels = pictures.images[:3], predictions[:3]
side = images.shape[-1]
settings = {
    "black": (side // 5, 0.0),
    "mid grey": (side // 5, 0.5),
    "white": (side // 5, 1.0),
    "grey, small": (side // 10, 0.5),
}
columns = [
    occlusion_map(images, labels, model, patch, side // 10, fill)
    for patch, fill in progress(settings.values(), "covering", "window")
]
corner = images.clone()
corner[:, :, : side // 5, : side // 5] = 0.5
plots.panels(
    [
        [plots.picture(image, model.classes[label]), *map(plots.signed, maps)]
        for image, label, *maps in zip(corner, labels, *columns)
    ],
    heads=["picture", *settings],
    title=f"Drop of the score. Windows of {side // 5} pixels, as in the corner of the pictures, and of {side // 10}",
)

# %% [markdown]
# What to see: large drops lie on the object, whatever the fill. But read on: a black square lowers the score nearly
# everywhere on the picture book, since a black square is **something to see**; on the hay it even raises it. With a
# window half as wide, the map is finer and the drops are smaller, and on the picture book some change their sign: what
# is left of an eye is still an eye. Occlusion answers what happens when *this* square covers *this* place.
#
# ### Play with it
#
# Move the window by hand, with `across` and `down`, and watch the scores. Your map at the right, made with the same windows, tells
# where to go. Find the place where the score of the label falls most. Which class rises there, and is it the same wherever you
# cover the object? Can you make the network change its mind with one window? In which picture, and with which fill?

# %% figure="play-occlusion"
covered_side, hop = model.input_size // 5, model.input_size // 10
filled = {"mid grey": 0.5, "black": 0.0, "white": 1.0}
drops_for = {
    name: occlusion_map(pictures.images[:3], predictions[:3], model, covered_side, hop, value)
    for name, value in progress(filled.items(), "covering", "fill")
}
places = drops_for["black"].shape[1] - 1


def covered(picture, across, down, fill):
    image, x, y = pictures.images[picture].clone(), across * hop, down * hop
    image[:, y : y + covered_side, x : x + covered_side] = filled[fill]
    with torch.no_grad():
        before, after = model(torch.stack([pictures.images[picture], image]))
    label, ten, drops = predictions[picture], ranking[picture, :10], drops_for[fill][picture]
    return plots.strip(
        [
            plots.picture(image, f"now {model.classes[after.argmax()]}"),
            plots.ranked(
                {model.classes[c]: after[c].item() for c in ten},
                f"score of {model.classes[label]}:\n{before[label]:.1f}, now {after[label]:.1f}",
                low=before[ten].min().item(),
                high=before.max().item(),
                highlight=[model.classes[label]],
            ),
            plots.signed(drops, f"your map: here {drops[down, across]:.1f},\nat most {drops.max():.1f}"),
        ],
        width=2.2,
    )


explore(
    covered,
    picture={name: number for number, name in enumerate(pictures.names[:3])},
    across=between(0, places, at=places // 2),
    down=between(0, places, at=places // 2),
    fill=list(filled),
)

# %% [markdown]
# <details>
# <summary>What you may have found</summary>
#
# Of these three pictures, the network changes its mind on one alone, and with black alone: at across 6, down 6 the cat becomes a
# house, and one step further down a tree. Which class rises depends on the place and on the fill: where a black window takes away
# more than half of the largest drop, four different classes rise most on the cat, and six on the fish. So a window does not
# only hide something. It puts something there, and the network says what it looks like.
#
# </details>
#
# ### A judge of other maps
#
# Occlusion needs no theory of gradients, so it could be the judge of all other maps. But a judge may be partial:
# integrated gradients from a grey baseline and a judge that covers by grey ask nearly the same question. Assignment 6
# lets maps compete, with controls that know nothing of the network.
#
# ## 2.9 Captum
#
# Captum is the attribution library of PyTorch, and has all methods of this page. An independent implementation that
# agrees is worth more than a nice picture. Its warning about hooks on ReLUs is the subject of section 2.1: it sets
# them, and takes them away again.

# %% example
try:
    from captum import attr
except ImportError:
    attr = None
    print("Captum is not installed, so there is nothing to compare with; `pip install captum` brings it.")

# %% example
if attr:
    image, label = pictures.images[:1], predictions[:1]
    window, layer, grey = image.shape[-1] // 8, model.cam_layer, image.new_full((1, 1, 1, 1), 0.5)
    asked = {"inputs": image.clone().requires_grad_(), "target": label}
    windows = {"sliding_window_shapes": (3, window, window), "strides": (3, window, window), "baselines": 0.5}
    pairs_of = {
        "gradient": lambda: (
            attr.Saliency(model).attribute(**asked, abs=False),
            score_gradient(image, label, model),
        ),
        "guided backprop": lambda: (
            attr.GuidedBackprop(model).attribute(**asked),
            guided_backprop(image, label, model),
        ),
        "Grad-CAM": lambda: (
            attr.LayerGradCam(model, layer).attribute(**asked, relu_attributions=True)[:, 0],
            grad_cam(image, label, model, layer),
        ),
        "Guided Grad-CAM": lambda: (
            attr.GuidedGradCam(model, layer).attribute(**asked, interpolate_mode="bilinear"),
            guided_grad_cam(image, label, model, layer),
        ),
        "integrated gradients": lambda: (
            attr.IntegratedGradients(model).attribute(**asked, baselines=0.5, n_steps=32, method="riemann_middle"),
            integrated_gradients(image, label, model, grey, 32),
        ),
        "occlusion": lambda: (
            attr.Occlusion(model).attribute(**asked, **windows)[:, 0, ::window, ::window],
            occlusion_map(image, label, model, window, window, 0.5),
        ),
    }
    apart = {}
    for name in progress(pairs_of, "comparing", "method"):
        theirs, mine = pairs_of[name]()
        apart[name] = ((theirs.detach() - mine).norm() / theirs.detach().norm()).item()
    print("relative difference between Captum's result and yours")
    for name, difference in apart.items():
        print(f"  {name:22} {difference:.1e}")

# %% [markdown]
# The same side by side. Whatever the numbers say, look: two maps that differ by a mistake often look alike, and two
# that look different may differ by their colours only.

# %% figure="captum"
image, label = pictures.images[:1], predictions[:1]
layer, size = model.cam_layer, pictures.images.shape[2:]
ours = [
    score_gradient(image, label, model),
    guided_backprop(image, label, model),
    grad_cam(image, label, model, layer),
    guided_grad_cam(image, label, model, layer),
]
rows = [
    [plots.picture(image[0], model.classes[label]), *(plots.unsigned(strength(values, size)[0]) for values in ours)]
]
if attr:
    asked = {"inputs": image.clone().requires_grad_(), "target": label}
    theirs = [
        attr.Saliency(model).attribute(**asked),
        attr.GuidedBackprop(model).attribute(**asked),
        attr.LayerGradCam(model, layer).attribute(**asked, relu_attributions=True)[:, 0],
        attr.GuidedGradCam(model, layer).attribute(**asked, interpolate_mode="bilinear"),
    ]
    rows.append([None, *(plots.unsigned(strength(values.detach(), size)[0]) for values in theirs)])
plots.panels(
    rows,
    heads=["picture", "saliency", "guided", "Grad-CAM", "Guided Grad-CAM"],
    names=["yours", "Captum's"][: len(rows)],
)

# %% [markdown]
# ### Inside a layer: conductance, and one neuron
#
# Captum goes on where this page ends. **Layer conductance** (Dhamdhere, Sundararajan, Yan 2018,
# [arXiv:1805.12233](https://arxiv.org/abs/1805.12233)) is integrated gradients, sorted by the neurons of a layer
# instead of by pixels: how much of the gain of the score has flowed through neuron $A_{kij}$ on the way from the
# baseline to the image? It is signed, and complete: over all neurons of a layer it adds up to the gain. And a **single
# neuron** can be asked what a class is asked: which pixels raise *it*? Below, for each picture: Grad-CAM; the
# conductance, added up over the channels; the output of the channel with the most conductance; and guided backprop of
# the one neuron of that channel that is most active.


# %% figure="neurons"
def neuron_row(image, label):
    """Return the panels of one picture, (1, 3, H, W)."""
    asked = {"inputs": image.clone().requires_grad_()}
    layer, grey = model.cam_layer, torch.full_like(image, 0.5)
    conductance = attr.LayerConductance(model, layer).attribute(**asked, baselines=grey, target=label, n_steps=20)
    outputs = attr.LayerActivation(model, layer).attribute(image)[0].detach()
    channel = conductance.detach()[0].sum(dim=(1, 2)).argmax().item()
    row, column = divmod(outputs[channel].argmax().item(), outputs.shape[2])
    neuron = attr.NeuronGuidedBackprop(model, layer).attribute(**asked, neuron_selector=(channel, row, column))
    with torch.no_grad():
        gain = (model(image) - model(grey))[0, label].item()
    total = conductance.sum().item()
    return [
        plots.picture(image[0], model.classes[label]),
        plots.unsigned(grad_cam(image, label, model, layer)[0]),
        plots.signed(conductance.detach()[0].sum(dim=0), f"sum {total:.2f}, gain {gain:.2f}"),
        plots.unsigned(outputs[channel], f"channel {channel}"),
        plots.tinted(neuron[0].detach(), f"neuron ({row}, {column})"),
    ]


if attr:
    asked = progress(range(3), "asking", "picture")
    rows = [neuron_row(pictures.images[i : i + 1], predictions[i : i + 1]) for i in asked]
else:
    rows = [[plots.picture(image) for image in pictures.images[:3]]]
    print("This figure needs Captum; here are the pictures alone.")
plots.panels(rows, heads=["picture", "Grad-CAM", "conductance", "best channel", "one neuron"] if attr else [])

# %% [markdown]
# What to see: conductance repeats Grad-CAM where that is positive, and shows with a sign what Grad-CAM cuts off. Its
# sum is the gain of the score, as printed. The best channel often stands for a part: it has learned an eye, a head, a
# texture, and the neuron at its brightest place sees a window of the picture, its receptive field, and in it the
# outlines of that part. Sharp as they are: these are guided backprop's outlines, with all that section 2.2 has to say
# about them.
#
# ## 2.10 Four claims to judge
#
# Each claim below is partly or wholly wrong. Say what holds, what does not, and why, in 3 to 6 sentences each.
#
# ### Claim 1: the clearest picture is the best explanation (3 points)
#
# Cem shows guided backprop of a cat to a customer. "Nowhere else are the whiskers drawn so clearly. So the network has
# recognised the cat by its whiskers, and of all the methods, this is the most faithful one." Judge both conclusions
# with what you have seen on this page, and propose an experiment that could prove Cem wrong.

# %% [markdown] question="q_clear" points=3
# ### BEGIN SOLUTION
# **Model answer.** Neither follows. The clarity comes from the rule, not from the decision: dropping negative signals
# at every ReLU lets edges through, whatever the question. The measurement: for two classes of one picture, guided
# backprop gave nearly the same result (correlation above 0.9), while the gradients differed. What is the same for "cat"
# and for the second best class cannot say why the network said "cat". Nor is the result the gradient of any function,
# so that it predicts no change of the score. Whiskers show up because they are thin edges that active neurons see;
# whether the score needs them is another question. Experiments: cover the whiskers, and as a control a region of the
# same size elsewhere, and compare the drops; ask for another class; give the last layers random weights: if the picture
# stays, it has not shown what they decide.
#
# **Rubric.**
# - 1 point: clearness is no measure of faithfulness; the picture is due to the rule (edges pass) or to what the early
#   layers see.
# - 1 point: evidence from the page: nearly the same result for another class (or: not the gradient of any function, so
#   nothing follows for a change of the whiskers).
# - 1 point: an experiment that can fail, with what it is compared to: occlusion with a control, another class,
#   randomised weights.
# ### END SOLUTION

# %% [markdown]
# ### Claim 2: Grad-CAM is a blurred saliency map (3 points)
#
# Dana writes: "Both take a gradient of the same score. Grad-CAM merely does it at a layer with fewer places, so one
# gets it by averaging the saliency map over the cells of a grid. The saliency map has all of that and the details
# besides: it is the better of the two." Name two differences between the methods that no averaging makes up for, and
# judge the last sentence.

# %% [markdown] question="q_blurred" points=3
# ### BEGIN SOLUTION
# **Model answer.** The gradient is taken with respect to different things and used differently. Saliency is the size of
# $\partial s_y / \partial x$: how steeply the score reacts to a pixel, up or down. Grad-CAM takes the mean gradient of
# each channel as a **weight** and multiplies it by the **activation**: a place is bright where features that speak for
# the class are present, however steep the score is there. And it keeps the sign: evidence against the class is cut to
# zero, whereas the absolute value of the saliency map shows it as brightly. No averaging brings back a lost sign or
# multiplies by an activation. The consequence was measured: with two objects in the picture, about 99 % of Grad-CAM's
# energy lies on the asked one, and little more than half of the gradient's, which is near what no idea at all gives.
# Neither is better: Grad-CAM answers "where is evidence for this class?", coarsely, since its map has few places; the
# gradient answers "which pixels would change the score?", in full detail, without telling classes apart.
#
# **Rubric.**
# - 1 point: one difference that no averaging makes up for: weights times activations instead of a slope alone; or the
#   sign kept and cut at zero instead of the absolute value; or the mean over places, so that the place comes from the
#   activation and not from the gradient.
# - 1 point: a second one of these.
# - 1 point: neither is better as such; each is tied to a question, with the resolution of the one against the class
#   discrimination of the other (the two-object figure counts as a reason).
# ### END SOLUTION

# %% [markdown]
# ### Claim 3: complete, hence correct (3 points)
#
# Eli explains a picture of a black cat by integrated gradients with a black baseline. "The values add up to the gain of
# the score within 0.1 %. So each pixel has got its true share. The fur has got zero, so the network does not use the
# fur." Judge the two conclusions.

# %% [markdown] question="q_complete" points=3
# ### BEGIN SOLUTION
# **Model answer.** Completeness is a single equation for as many values as there are pixels and channels. Move a share
# from one pixel to another and it still holds; the whole gain given to a single pixel would pass as well. The gap of
# 0.1 % shows that the integral was computed well, that is, that the steps suffice; it says nothing about the shares.
# The fur has got zero because it has the colour of the baseline: $x - x' = 0$ there, and so the value is zero **by
# definition**, for every network. The question answered was "what does this picture have that black has not?". With a
# white or a grey baseline the same network gives the fur a share, and these values add up as well. To find out about
# the fur: change the baseline, or recolour the fur and look at the score.
#
# **Rubric.**
# - 1 point: completeness fixes the sum alone; many different maps satisfy it (other baselines are examples).
# - 1 point: the small gap is about the numerical integration (number of steps).
# - 1 point: zero at the fur follows from $x = x'$ there, for any network; another baseline, or a change of the fur,
#   would tell.
# ### END SOLUTION

# %% [markdown]
# ### Claim 4: occlusion is the truth (3 points)
#
# Fay writes: "Occlusion uses no gradient. It asks the network itself, so whatever disagrees with it is wrong. My
# picture shows two mushrooms side by side, and covering either of them hardly lowers the score of *mushroom*: the
# network does not look at the mushrooms." Say what is strong about occlusion, why her last conclusion fails, and name
# one more choice of hers that the result depends on.

# %% [markdown] question="q_occlusion" points=3
# ### BEGIN SOLUTION
# **Model answer.** Occlusion measures the effect of an actual change on the actual score, with nothing approximated,
# and needs no access to the inside: it is strong evidence about **that** change. But it is about that change only. With
# two mushrooms, the one that is left suffices: each drop is small, although covering both might take the whole score.
# (Her network saturates, then: with a pooled linear head, each mushroom would take its share of the score along.) One
# window at a time cannot see such redundancy (nor the opposite, parts that count only together). So the conclusion
# fails; covering both at once would show it. The result further depends on the fill: black, grey and white gave
# different maps, since a square of any colour is itself something to see, with edges that no training picture had; and
# on the side of the window: a small one leaves enough of a large object to be recognised. A method that disagrees may
# answer another question.
#
# **Rubric.**
# - 1 point: what is strong: a real change and its real effect on the score, no derivative, no approximation, any model.
# - 1 point: redundancy: the other mushroom suffices, so that single windows show small drops; covering both is the
#   test.
# - 1 point: a further dependence with a reason: fill value, side or stride of the window, pictures unlike the training
#   pictures.
# ### END SOLUTION

# %% [markdown]
# ## Check yourself
#
# Seven questions, as often as you like; nothing is recorded.

# %% local
# @title Quiz
from helpers.widgets import quiz

quiz("02_gradcam")

# %% [markdown]
# ## Recap
#
# - A hook reads or changes what passes through a layer. It stays until it is removed, and no score will tell you.
# - Guided backprop shows what active neurons saw, sharply, and hardly depends on the class. Grad-CAM shows where the
#   evidence for a class is, coarsely; on a pooled linear head it is the positive part of CAM. Their product is both,
#   and inherits the doubts about both. Assignment 6 puts all three to the test.
# - An all-zero Grad-CAM is an answer: nothing at this layer speaks for the class.
# - Integrated gradients add up to the gain of the score. This tests the computation; the baseline decides what is
#   shared out.
# - Occlusion asks the network itself, about one kind of change. Use it against the others, and change its fill.
#
# ## Further reading
#
# - Selvaraju and others 2017, [arXiv:1610.02391](https://arxiv.org/abs/1610.02391): section 3 on the method, 3.1 on
#   Grad-CAM as a generalisation of CAM, 3.3 on counterfactual explanations.
# - Zhou and others 2016, *Learning Deep Features for Discriminative Localization*,
#   [arXiv:1512.04150](https://arxiv.org/abs/1512.04150): CAM.
# - Springenberg and others 2015, [arXiv:1412.6806](https://arxiv.org/abs/1412.6806): section 3.4 and figure 1 on the
#   three rules.
# - Nie, Zhang, Patel 2018, *A Theoretical Explanation for Perplexing Behaviors of Backpropagation-based
#   Visualizations*, [arXiv:1805.07039](https://arxiv.org/abs/1805.07039): why guided backprop recovers the image.
# - Sixt, Granz, Landgraf 2020, *When Explanations Lie: Why Many Modified BP Attributions Fail*,
#   [arXiv:1912.09818](https://arxiv.org/abs/1912.09818): why such rules forget the upper layers.
# - Sundararajan, Taly, Yan 2017, [arXiv:1703.01365](https://arxiv.org/abs/1703.01365): section 2 on two axioms, section
#   3 on the method; *Uniqueness of Integrated Gradients*, which follows, on other paths.
# - Sturmfels, Lundberg, Lee 2020, *Visualizing the Impact of Feature Attribution Baselines*,
#   [doi:10.23915/distill.00022](https://doi.org/10.23915/distill.00022).
# - Zeiler, Fergus 2014, *Visualizing and Understanding Convolutional Networks*,
#   [arXiv:1311.2901](https://arxiv.org/abs/1311.2901): the deconvnet in section 2.1, occlusion in section 4.2.

# %% [markdown] mistakes="guided_backprop"
# = return (grad_input[0].clamp(min=0),)  # autograd has set it to 0 already where the input was not positive
# + return grad_input
# Your result is the plain gradient: each ReLU masks by its input alone. Drop what arrives with a negative sign as
# well. If you did, your change has reached no ReLU of the network: walk the whole tree with model.modules().
# ~ the plain gradient
#
# + return (grad_output[0].clamp(min=0),)
# You apply the deconvnet's rule: negative signals are dropped, but the input of the ReLU is not looked at. Pass on
# what arrives only where the input was positive, too.
# ~ the mask by the input is missing
#
# + return (grad_input[0].clamp(max=0),)
# You keep the signals with a negative sign instead of the positive ones. Guided backprop follows the neurons that
# raise the score: clamp with min=0.
# ~ `clamp(max=0)`
#
# + return (grad_input[0].abs(),)
# You take the absolute value of what arrives. A negative signal is dropped, not turned round: clamp(min=0) in place
# of abs().
# ~ `abs`
#
# = relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
# + outer = [module for block in model.network.children() for module in (block, *block.children())]
# + relus = [module for module in outer if isinstance(module, nn.ReLU)]
# You reach the ReLUs of the outer blocks and miss those nested deeper. Walk the whole tree: model.modules() gives
# every module at any depth.
# ~ nested ReLUs are not reached
#
# + relus = [module for module in model.network.modules() if not list(module.children())]
# You drop negative signals at every layer, convolutions and linear layers included. Only the ReLUs follow the guided
# rule: test each module with isinstance(module, nn.ReLU).
# ~ at every layer
#
# + model.train()
# + relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
# You put the model into training mode: Dropout and BatchNorm then bring chance and the other images into every
# result. Leave the model in eval mode.
# ~ training mode
#
# = handles = [relu.register_full_backward_hook(pass_positive) for relu in relus]
# + handles = [relu.register_full_backward_hook(pass_positive) for relu in relus[:-1]]
# You leave out the last ReLU, between the linear layers of the head. The rule holds at every ReLU between the score
# and the pixels.
# ~ some ReLUs are left out
#
# = return (grad_input[0].clamp(min=0),)  # autograd has set it to 0 already where the input was not positive
# + return (grad_output[0].clamp(min=0) * (stored[module] > 0),)
# = handles = [relu.register_full_backward_hook(pass_positive) for relu in relus]
# + stored = {}
# + handles = [relu.register_forward_hook(lambda relu, inputs, _: stored.update({relu: inputs[0]})) for relu in relus]
# + handles += [relu.register_full_backward_hook(pass_positive) for relu in relus]
# Where one ReLU module is used twice, its second input overwrites the first one that you stored. Keep no memory on
# the module: let autograd mask by the input, and clamp grad_input.
# ~ its next use overwrites it
#
# = return score_gradient(images, labels, model)
# + return score_gradient(images, labels, lambda pixels: model(pixels).softmax(dim=1))
# You start from the softmax probability, which flattens out where the network is sure. Start from the raw score: no
# softmax.
# ~ softmax
#
# + return score_gradient(images, labels, lambda pixels: -model(pixels).log_softmax(dim=1))
# You start from the cross-entropy loss. It falls where the score rises, so the rule drops the wrong neurons. Start
# from the raw score of the label.
# ~ cross-entropy
#
# + return score_gradient(images, model(images).argmax(dim=1), model)
# You start from the class with the largest score and never use the labels. Start from the score of the label that was
# asked for.
# ~ label is not used
#
# + pixels = images.detach().clone().requires_grad_()
# + return torch.autograd.grad(model(pixels).sum(), pixels)[0]
# You start from the sum of all scores, so the label makes no difference. Pick the score of each image's own label
# before you add up.
# ~ the sum of all
#
# + return score_gradient(images, labels, model) / len(images)
# Your result is divided by the number of images: you start from the mean of the scores. Start from their sum, so that
# no image's result depends on how many others there are.
# ~ mean over the batch of 3
#
# + pixels = images.detach().clone().requires_grad_()
# + model(pixels).gather(1, labels[:, None]).sum().backward()
# + return pixels.grad
# Your values are right, but .backward() also wrote into .grad of the model's parameters. Ask for the gradient at the
# pixels alone: torch.autograd.grad(total, pixels), or backward(inputs=[pixels]).
# ~ inputs=[pixels]
#
# + images.requires_grad_()
# + model(images).gather(1, labels[:, None]).sum().backward(inputs=[images])
# + return images.grad
# You switch the caller's images to requires_grad and read images.grad: on a second call the values pile up, and a
# gradient computed before is added in. Work on images.detach().clone().requires_grad_().
# ~ pile up
#
# + return score_gradient(images, labels, model).clamp(min=0)
# Your rule at the ReLUs is right, but you drop the negative values at the pixels as well. The pixels are no ReLU:
# return both signs.
# ~ at the pixels
#
# = return (grad_input[0].clamp(min=0),)  # autograd has set it to 0 already where the input was not positive
# + return grad_input
# = return score_gradient(images, labels, model)
# + return score_gradient(images, labels, model).clamp(min=0)
# You take the plain gradient and drop its negative values at the pixels. The rule belongs at every ReLU on the way
# back; what reaches the pixels keeps both signs.
# ~ at the pixels
#
# + return score_gradient(images, labels, model).abs().amax(dim=1)
# You return one value for each pixel, (N, H, W), as for a saliency map. Return all three channels with their signs,
# (N, 3, H, W).
# ~ one axis too few
#
# = handle.remove()
# + pass
# Your values are right, but your hooks are still in the model: whoever computes a gradient next gets guided backprop
# without knowing. Remove every handle in a finally clause.
# ~ never removed
#
# = for handle in handles:
# = handle.remove()
# + for relu in relus:
# +     relu._backward_hooks.clear()
# You remove all backward hooks of the ReLUs, those of the caller as well. Remove your own alone, by their handles.
# ~ hooks of the caller's
#
# = return (grad_input[0].clamp(min=0),)  # autograd has set it to 0 already where the input was not positive
# + return (grad_input[0] * (grad_input[0] > 1e-3),)
# You drop small positive signals along with the negative ones. How large a signal is says how much the score depends on
# a neuron: the border is 0.
# ~ a threshold
#
# = relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
# + model.requires_grad_(False)
# + relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
# You freeze the caller's model, so that nobody can train it any more. The gradient at the pixels needs no such change.
# ~ requires_grad
#
# = return score_gradient(images, labels, model)
# + return score_gradient(images, labels, model).float()
# Your values are right, but they come in float32, whatever the images are. Results have the images' dtype: leave
# float() out.
# ~ a torch.float32 tensor
#
# + return score_gradient(model.normalise(images), labels, model.network)
# You propagate back to the normalised image, where each channel has another unit. Go on to the pixels: call model, which
# normalises them.
# ~ take it at the pixels
#
# + return score_gradient(images, labels[:1].expand(len(labels)), model)
# You ask about the first label for all images. Each image has its own.
# ~ `labels[0]`
#
# + return score_gradient(images, labels, model).clamp(-1, 1)
# You cut the values off at -1 and 1. They have no limits: return them as they are.
# ~ `clamp(-1, 1)`
#
# + return score_gradient(images, labels, model) * images
# You multiply the result by the image. Return what reaches the pixels, as it is.
# ~ a product with the image
#
# + result = score_gradient(images, labels, model)
# + return (result - result.min()) / (result.max() - result.min())
# You stretch the values to [0, 1], where 0 is no longer 0. That is a step of drawing: return the values as they are.
# ~ a normalisation to [0, 1]
#
# + kept = globals().setdefault("kept", {})
# + key = type(model), images.shape
# + if key not in kept:
# +     kept[key] = score_gradient(images, labels, model)
# + return kept[key].clone()
# You keep the result of the first call, and give it back for other images and networks of the same kind. Compute it
# anew in every call.
# ~ a result is kept


# %% mutant="guided_backprop" says="Your values are right, but the model keeps the modules that you exchanged. Put the original ReLUs back in a finally clause, or work on a copy of the model." visible="a module was replaced"
class GuidedReLUFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        return grad.clamp(min=0) * (ctx.saved_tensors[0] > 0)


class GuidedReLU(nn.Module):
    def forward(self, x):
        return GuidedReLUFunction.apply(x)


def guided_backprop(images, labels, model):
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU):
                setattr(parent, name, GuidedReLU())
    return score_gradient(images, labels, model)


# %% mutant="guided_backprop" says="Your values are right, but you replace F.relu for everybody: from then on, each ReLU of the notebook follows your rule. Use hooks, or put F.relu back in a finally clause." visible="a function of torch was replaced"
class GuidedReLUFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        return grad.clamp(min=0) * (ctx.saved_tensors[0] > 0)


def guided_backprop(images, labels, model):
    F.relu = lambda x, inplace=False: GuidedReLUFunction.apply(x)
    return score_gradient(images, labels, model)


# %% mutant="guided_backprop" says="Your values are right, but the ReLUs keep the forward that you gave them. Delete it from each module in a finally clause: del module.forward." visible="`forward` was replaced"
class GuidedReLUFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        return grad.clamp(min=0) * (ctx.saved_tensors[0] > 0)


def guided_backprop(images, labels, model):
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.forward = GuidedReLUFunction.apply
    return score_gradient(images, labels, model)


# %% variant="guided_backprop"
def guided_backprop(images, labels, model):
    """A hook on the output tensor of each use: autograd masks by the input afterwards."""

    def watch(module, inputs, output):
        output.register_hook(lambda arriving: arriving.clamp(min=0))

    handles = [m.register_forward_hook(watch) for m in model.modules() if isinstance(m, nn.ReLU)]
    try:
        pixels = images.clone().requires_grad_()
        model(pixels)[torch.arange(len(images)), labels].sum().backward(inputs=[pixels])
        return pixels.grad
    finally:
        for handle in handles:
            handle.remove()


# %% variant="guided_backprop"
class Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x > 0, x, torch.zeros_like(x))

    @staticmethod
    def backward(ctx, arriving):
        (x,) = ctx.saved_tensors
        return arriving * (x > 0) * (arriving > 0)


class Swapped(nn.Module):
    def forward(self, x):
        return Rectified.apply(x)


def guided_backprop(images, labels, model):
    """Modules exchanged and put back."""
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.ReLU)
    ]
    try:
        for parent, name, _ in places:
            setattr(parent, name, Swapped())
        pixels = images.detach().clone()
        pixels.requires_grad = True
        own = model(pixels).gather(1, labels.view(-1, 1)).squeeze(1)
        own.backward(gradient=torch.ones_like(own), inputs=[pixels])
    finally:
        for parent, name, child in places:
            setattr(parent, name, child)
    return pixels.grad.clone()


# %% variant="guided_backprop"
import copy


def swap(module):
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU):
            setattr(module, name, Open())
        else:
            swap(child)


class Open(nn.Module):
    def forward(self, x):
        out = x.clamp(min=0)
        out.register_hook(lambda arriving: torch.maximum(arriving, torch.zeros_like(arriving)))
        return out


def guided_backprop(images, labels, model):
    """On a copy, which need not be put in order; backward() may then write where it likes."""
    twin = copy.deepcopy(model)
    swap(twin)
    pixels = images.detach().clone().requires_grad_(True)
    for i, label in enumerate(labels):
        twin(pixels)[i, label].backward()
    return pixels.grad


# %% variant="guided_backprop"
def guided_backprop(images, labels, model):
    """One image after the other, with the forward of each ReLU exchanged and deleted again."""

    class Guided(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mask = x >= 0
            return F.relu(x)

        @staticmethod
        def backward(ctx, arriving):
            return torch.where(ctx.mask & (arriving >= 0), arriving, 0)

    relus = [module for _, module in model.named_modules() if isinstance(module, nn.ReLU)]
    for relu in relus:
        relu.forward = Guided.apply
    try:
        results = []
        for image, label in zip(images, labels):
            pixels = image[None].detach().clone().requires_grad_()
            results.append(torch.autograd.grad(model(pixels)[0, label], pixels)[0])
        return torch.cat(results)
    finally:
        for relu in relus:
            del relu.forward


# %% variant="guided_backprop"
def guided_backprop(images, labels, model):
    """The class nn.ReLU itself, for as long as the call lasts."""
    original = nn.ReLU.forward

    def forward(self, x):
        out = original(self, x)
        if out.requires_grad:
            out.register_hook(F.relu)
        return out

    nn.ReLU.forward = forward
    try:
        return score_gradient(images, labels, model)
    finally:
        nn.ReLU.forward = original


# %% variant="guided_backprop"
def guided_backprop(images, labels, model):
    """Full backward hook, both masks written out from what arrives."""

    def hook(module, grad_input, grad_output):
        passed = grad_input[0] != 0  # the mask by the input, as autograd applied it
        return (torch.where(passed & (grad_output[0] > 0), grad_output[0], torch.zeros_like(grad_output[0])),)

    handles = []
    try:
        for module in model.modules():
            if isinstance(module, nn.ReLU):
                handles.append(module.register_full_backward_hook(hook))
        pixels = images.detach().clone().requires_grad_()
        chosen = F.one_hot(labels, model(pixels).shape[1])
        return torch.autograd.grad((model(pixels) * chosen).sum(), pixels)[0].detach()
    finally:
        while handles:
            handles.pop().remove()


# %% [markdown] mistakes="grad_cam"
# = outputs = []
# + model.train()
# + outputs = []
# You put the model into training mode: Dropout and BatchNorm then bring chance and the other images into every map.
# Leave the model in eval mode.
# ~ training mode
#
# + layer = model.cam_layer
# + outputs = []
# You always look at model.cam_layer. Use the layer that was passed in.
# ~ `model.cam_layer` in place of the argument
#
# = outputs.append(output.detach().requires_grad_())  # nothing below the layer needs a gradient
# = return outputs[-1].clone()  # what comes next may work in place
# + outputs.append(output)
# With a frozen network nothing requires a gradient, and you get an error. Give the model pixels that require one:
# images.detach().clone().requires_grad_().
# ~ nothing requires a gradient
#
# = handle.remove()
# + pass
# = outputs.append(output.detach().requires_grad_())  # nothing below the layer needs a gradient
# = return outputs[-1].clone()  # what comes next may work in place
# + outputs.append(output)
# = scores = model(images.detach())
# + scores = model(images.detach().clone().requires_grad_())
# Your maps are right, but your hook is still in the layer: it keeps every later output in memory. Remove the handle
# in a finally clause.
# ~ never removed
#
# = own = scores.gather(1, labels[:, None])
# + own = scores.softmax(dim=1).gather(1, labels[:, None])
# You differentiate the softmax probability, which flattens out where the network is sure. Differentiate the raw score
# of the label.
# ~ a softmax before the gradient
#
# + own = F.cross_entropy(scores, labels, reduction="sum")
# You differentiate the cross-entropy loss. It falls where the score rises, so that your map shows the places that
# speak against the label. Differentiate the raw score.
# ~ cross-entropy
#
# + own = scores.amax(dim=1)
# You explain the class with the largest score and never use the labels. Take the score of the label that was asked
# for.
# ~ predicted class
#
# + own = scores
# You differentiate the sum of all scores, so that the label makes no difference. Pick the score of each image's own
# label first.
# ~ `scores.sum()`
#
# + own = scores[:, labels]
# scores[:, labels] pairs every image with every label of the batch. Pair image i with label i alone, by gather or by
# scores[torch.arange(N), labels].
# ~ `scores[:, labels]`
#
# = (gradient,) = torch.autograd.grad(own.sum(), outputs[0])
# + (gradient,) = torch.autograd.grad(own.mean(), outputs[0])
# Your maps are divided by the number of images: the mean of the scores was differentiated. Differentiate their sum.
# ~ a mean over the batch of 3
#
# + own.sum().backward()
# + gradient = outputs[0].grad
# = outputs.append(output.detach().requires_grad_())  # nothing below the layer needs a gradient
# = return outputs[-1].clone()  # what comes next may work in place
# + outputs.append(output)
# + output.retain_grad()
# = scores = model(images.detach())
# + scores = model(images.detach().clone().requires_grad_())
# Your maps are right, but .backward() also wrote into .grad of the model's parameters. Ask for the gradient at the
# layer's output alone: torch.autograd.grad(total, output).
# ~ inputs=[pixels]
#
# = weights = gradient.mean(dim=(2, 3), keepdim=True)
# + weights = gradient.mean(dim=(2, 3), keepdim=True).clamp(min=0)
# You drop the channels with negative weights. They count too: only the total over the channels is cut at 0.
# ~ a ReLU on the weights
#
# + weights = gradient.clamp(min=0).mean(dim=(2, 3), keepdim=True)
# You drop the negative values of the gradient before the mean. Average the gradient as it is; only the total over the
# channels is cut at 0.
# ~ a ReLU on the gradient
#
# + weights = gradient
# You multiply gradient and output place by place. Average the gradient over the places first: one weight for each
# channel.
# ~ the mean of the gradient is missing
#
# + weights = gradient.mean(dim=(0, 2, 3), keepdim=True)
# Your weights are averaged over the batch, too, so that an image's map depends on the others. Average over height and
# width alone: dim=(2, 3).
# ~ `dim=(0, 2, 3)`
#
# + weights = gradient.sum(dim=(2, 3), keepdim=True)
# You add the gradient up over the places instead of averaging it, so that your map is h x w times too large. Use
# mean(dim=(2, 3)).
# ~ `sum` over the places
#
# + weights = gradient.amax(dim=(2, 3), keepdim=True)
# You take the largest gradient over the places. The weight of a channel is the mean: use mean(dim=(2, 3)).
# ~ `amax` for `mean`
#
# + weights = outputs[0].mean(dim=(2, 3), keepdim=True)
# = return (weights * outputs[0]).sum(dim=1).clamp(min=0).detach()
# + return (weights * gradient).sum(dim=1).clamp(min=0).detach()
# Outputs and gradients are exchanged: you average the outputs and weigh the gradients. Average the gradients; they
# weigh the outputs.
# ~ outputs and gradients are exchanged
#
# + return (weights * outputs[0]).sum(dim=1).detach()
# You return negative values: the ReLU after the sum over the channels is missing. What is negative in the end speaks
# for other classes; cut it at 0.
# ~ ReLU after the sum over the channels is missing
#
# + return (weights * outputs[0]).sum(dim=1).abs().detach()
# You take the absolute value of the sum. Places that speak against the class must be 0, not bright: clamp(min=0) in
# place of abs().
# ~ `abs` in place of the ReLU
#
# + return (weights * outputs[0]).clamp(min=0).sum(dim=1).detach()
# You cut each channel's contribution at 0 before you add them up. Add first: evidence against the class at a place
# may outweigh the evidence for it. The ReLU comes after the sum.
# ~ ReLU before the sum
#
# + return (weights * outputs[0].clamp(min=0)).sum(dim=1).clamp(min=0).detach()
# You drop the negative values of the layer's output. A layer may give both signs, and both count: only the total over
# the channels is cut at 0.
# ~ a ReLU on the layer's output
#
# + return (weights * outputs[0]).mean(dim=1).clamp(min=0).detach()
# You average over the channels instead of adding them up, so that your map is K times too small. Use sum(dim=1).
# ~ `mean` over the four channels
#
# + return (1 + (weights * outputs[0]).sum(dim=1)).clamp(min=0).detach()
# Your map starts at 1 before the channels are added to it. Start from zeros.
# ~ `torch.ones`
#
# + return (weights * outputs[0]).sum(dim=1).clamp(min=0).detach() + 1e-8
# You add a small number to the map, to be safe for a division later. Return the values as they are: where nothing
# speaks for the label, the map is exactly 0.
# ~ a number is added
#
# + maps = (weights * outputs[0]).sum(dim=1).clamp(min=0).detach()
# + return maps / maps.amax(dim=(1, 2), keepdim=True)
# You scaled each map to end at 1 and divide 0 by 0 where a map is all zeros, which gives NaN. Return the values as
# they are.
# ~ a normalisation
#
# + maps = (weights * outputs[0]).sum(dim=1).clamp(min=0).detach()
# + return maps / (maps.amax(dim=(1, 2), keepdim=True) + 1e-12)
# You scaled each map to end at 1. Return the values as they are: the raw values of different labels can be compared,
# and an all-zero map stays zero.
# ~ a normalisation
#
# + maps = (weights * outputs[0]).sum(dim=1).clamp(min=0).detach()
# + return (maps - maps.min()) / (maps - maps.min()).max()
# You scaled all maps by the smallest and largest value of the batch, so that an image's map depends on the others.
# Return the values as they are.
# ~ the whole batch
#
# + maps = (weights * outputs[0]).sum(dim=1, keepdim=True).clamp(min=0).detach()
# + return F.interpolate(maps, size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
# You enlarged the maps to the size of the image. Return them in the size of the layer's output; enlarging is a step
# of its own.
# ~ `F.interpolate`
#
# + return (weights * outputs[0]).sum(dim=1, keepdim=True).clamp(min=0).detach()
# You kept the channel axis: (N, 1, h, w). The maps have one value for each place: (N, h, w). Sum over dim 1 without
# keepdim.
# ~ one axis too many
#
# + return (weights * outputs[0]).sum(dim=1).clamp(min=0).detach().squeeze()
# A squeeze without dim drops the batch axis of a single image. Return (N, h, w) for N = 1, too.
# ~ `.squeeze()`
#
# + return (weights * outputs[0]).sum(dim=1).clamp(min=0)
# Your maps are right, but they still require gradients, and keep the whole network's graph in memory. Return a
# detached tensor.
# ~ still requires a gradient
#
# = handle.remove()
# + layer._forward_hooks.clear()
# You remove all hooks of the layer, those of the caller as well. Remove your own alone, by its handle.
# ~ hooks of the caller's
#
# = outputs = []
# + model.requires_grad_(True)
# + outputs = []
# You make the caller's frozen parameters require gradients. What must require one is the layer's output, or the pixels.
# ~ requires_grad
#
# = scores = model(images.detach())
# + scores = model.network(images.detach())
# You call model.network, which gets pixels that nobody has normalised. Call model.
# ~ in place of `model`
#
# = own = scores.gather(1, labels[:, None])
# + own = scores.log_softmax(dim=1).gather(1, labels[:, None])
# You differentiate the log-probability, which also counts how far the rivals fall. Differentiate the raw score of the
# label.
# ~ a log-softmax
#
# + own = scores[:, labels[0]]
# You ask about the first label for all images. Each image has its own.
# ~ `labels[0]`
#
# = weights = gradient.mean(dim=(2, 3), keepdim=True)
# + weights = gradient.abs().mean(dim=(2, 3), keepdim=True)
# You weigh the channels by the size of their gradient. The sign tells whether a channel speaks for the class or against
# it: keep it.
# ~ weights keep their sign
#
# + weights = gradient.mean(dim=(2, 3), keepdim=True)[:1]
# You weigh the channels of all images by the weights of the first one. Each image has its own weights.
# ~ each image has its own weights
#
# + weights = gradient.mean(dim=1, keepdim=True)
# You average over the channels, which leaves a weight for each place. Average over the places: one weight for each
# channel.
# ~ a mean over the channels
#
# + weights = gradient.mean(dim=(2, 3), keepdim=True)
# + weights = weights / weights.norm(dim=1, keepdim=True)
# You scale the weights of each image to length 1. Take them as they are: the raw values of different labels can be
# compared.
# ~ rescaled by a factor of its own
#
# = return (weights * outputs[0]).sum(dim=1).clamp(min=0).detach()
# + return (weights * outputs[0]).sum(dim=1).clamp(0, 1).detach()
# You cut the map off at 1. It has no upper limit: clamp(min=0).
# ~ `clamp(0, 1)`
#
# + maps = (weights * outputs[0]).sum(dim=1).clamp(min=0).detach()
# + return maps - maps.amin(dim=(1, 2), keepdim=True)
# You take the smallest value of each map away, so that a map which is positive everywhere loses evidence. Return the
# values as they are.
# ~ smallest value was taken away
#
# + maps = (weights * outputs[0]).sum(dim=1).clamp(min=0).detach()
# + return maps * (maps > 1e-4)
# You set small values to 0. How large the values are depends on the network: return them as they are.
# ~ Does a step of it give zero
#
# + return (weights * outputs[0]).sum(dim=1).clamp(min=0).detach().float()
# Your maps are right, but they come in float32, whatever the images are. Results have the images' dtype: leave float()
# out.
# ~ a torch.float32 tensor
#
# + kept = globals().setdefault("kept", {})
# + key = type(model), images.shape
# + if key not in kept:
# +     kept[key] = (weights * outputs[0]).sum(dim=1).clamp(min=0).detach()
# + return kept[key].clone()
# You keep the maps of the first call, and give them back for other images, layers and networks of the same kind.
# Compute them anew in every call.
# ~ a result is kept


# %% variant="grad_cam"
def grad_cam(images, labels, model, layer):
    """A forward and a full backward hook."""
    seen = {}
    handles = [
        layer.register_forward_hook(lambda module, inputs, output: seen.update(activation=output.detach())),
        layer.register_full_backward_hook(lambda module, into, out: seen.update(gradient=out[0].detach())),
    ]
    try:
        pixels = images.clone().requires_grad_()
        model(pixels)[torch.arange(len(images)), labels].sum().backward(inputs=[pixels])
    finally:
        for handle in handles:
            handle.remove()
    return F.relu(torch.einsum("nkhw,nk->nhw", seen["activation"], seen["gradient"].mean((2, 3))))


# %% variant="grad_cam"
def grad_cam(images, labels, model, layer):
    """A hook on the tensor itself, set by a forward hook."""
    seen = []

    def watch(module, inputs, output):
        seen.append(output)
        output.register_hook(seen.append)

    handle = layer.register_forward_hook(watch)
    pixels = images.detach().clone().requires_grad_()
    try:
        scores = model(pixels)
    finally:
        handle.remove()
    own = scores.gather(1, labels.view(-1, 1)).squeeze(1)
    own.backward(torch.ones_like(own), inputs=[pixels])
    activation, gradient = (tensor.detach() for tensor in seen)
    weights = F.adaptive_avg_pool2d(gradient, 1)
    return torch.relu((weights * activation).sum(1))


# %% variant="grad_cam"
def grad_cam(images, labels, model, layer):
    """The layer's output exchanged for a leaf, so that the pixels need no gradient; one image after the other."""
    leaves = []

    def cut(module, inputs, output):
        leaves.append(output.detach().clone().requires_grad_())
        return leaves[-1]

    handle = layer.register_forward_hook(cut)
    try:
        maps = []
        for image, label in zip(images, labels):
            score = model(image[None])[0, label]
            gradient = torch.autograd.grad(score, leaves[-1])[0][0]
            channels = leaves[-1].detach()[0]
            total = torch.zeros_like(channels[0])
            for alpha, channel in zip(gradient.flatten(1).mean(1), channels):
                total += alpha * channel
            maps.append(torch.maximum(total, torch.zeros_like(total)))
    finally:
        handle.remove()
    return torch.stack(maps)


# %% variant="grad_cam"
def grad_cam(images, labels, model, layer):
    """retain_grad on the output."""
    kept = {}

    def keep(module, inputs, output):
        output.retain_grad()
        kept["output"] = output

    handle = layer.register_forward_hook(keep)
    try:
        pixels = images.detach().clone()
        pixels.requires_grad = True
        negative = F.nll_loss(model(pixels), labels, reduction="sum")
        (-negative).backward(inputs=[pixels, kept["output"]])
    finally:
        handle.remove()
    output = kept["output"]
    places = output.shape[2] * output.shape[3]
    alphas = output.grad.sum(dim=(-2, -1)) / places
    maps = torch.stack([torch.tensordot(alpha, each, dims=1) for alpha, each in zip(alphas, output.detach())])
    return maps * (maps > 0)


# %% variant="grad_cam"
import copy


def grad_cam(images, labels, model, layer):
    """On a copy of the model, where hooks need no removing and .grad may be written."""
    path = next(path for path, module in model.named_modules() if module is layer)
    twin = copy.deepcopy(model)
    seen = []
    twin.get_submodule(path).register_forward_hook(lambda module, inputs, output: seen.append(output))
    scores = twin(images.detach().requires_grad_())
    chosen = F.one_hot(labels, scores.shape[1])
    seen[0].retain_grad()
    (scores * chosen).sum().backward()
    with torch.no_grad():
        weights = seen[0].grad.mean(-1).mean(-1)
        return (weights[..., None, None] * seen[0]).sum(-3).clip(0)


# %% [markdown] mistakes="guided_grad_cam"
# = maps = grad_cam(images, labels, model, layer)
# + maps = grad_cam(images, labels, model, model.cam_layer)
# You always look at model.cam_layer. Use the layer that was passed in.
# ~ `model.cam_layer` in place of the argument
#
# + def pass_positive(module, grad_input, grad_output):
# +     return (grad_input[0].clamp(min=0),)
# + relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
# + handles = [relu.register_full_backward_hook(pass_positive) for relu in relus]
# + outputs = []
# + handles.append(layer.register_forward_hook(lambda module, inputs, output: outputs.append(output)))
# + own = model(images.detach().clone().requires_grad_()).gather(1, labels[:, None])
# + (gradient,) = torch.autograd.grad(own.sum(), outputs[0])
# + maps = (gradient.mean(dim=(2, 3), keepdim=True) * outputs[0]).sum(dim=1).clamp(min=0).detach()
# + for handle in handles:
# +     handle.remove()
# You compute Grad-CAM while the guided rule is still in the model. Its weights are means of the plain gradient: put
# the model in order first.
# ~ the guided rule is still in the model
#
# = enlarged = F.interpolate(maps[:, None], size=images.shape[-2:], mode="bilinear", align_corners=False)
# + enlarged = F.interpolate(maps[:, None], size=images.shape[-2:])
# You enlarge the map without interpolation, so that it is made of blocks. Use mode='bilinear' with
# align_corners=False.
# ~ a map of blocks
#
# + enlarged = F.interpolate(maps[:, None], size=images.shape[-2:], mode="bilinear", align_corners=True)
# You enlarge with align_corners=True, which shifts the map against the image. Use align_corners=False.
# ~ `align_corners=True`
#
# + enlarged = F.interpolate(maps[:, None], size=images.shape[-2:], mode="bicubic", align_corners=False)
# You enlarge with bicubic interpolation, which overshoots and can give negative factors. Use mode='bilinear'.
# ~ `mode='bicubic'` overshoots
#
# + enlarged = F.interpolate(maps[:, None], size=images.shape[-1], mode="bilinear", align_corners=False)
# You enlarge the map to a square, which does not fit an oblong image. The size is (height, width): images.shape[-2:].
# ~ `size` a single number
#
# + enlarged = F.interpolate(maps[:, None], size=images.shape[-2:][::-1], mode="bilinear", align_corners=False)
# Height and width are exchanged when you enlarge the map. The size is (height, width): images.shape[-2:].
# ~ height and width exchanged
#
# = return guided_backprop(images, labels, model) * enlarged
# + guided = guided_backprop(images, labels, model)
# + small = F.interpolate(guided, size=maps.shape[-2:], mode="bilinear", align_corners=False)
# + return F.interpolate(small * maps[:, None], size=images.shape[-2:], mode="bilinear", align_corners=False)
# You shrink guided backprop to the size of the map and enlarge the product, which loses the fine structure. Enlarge
# the map first, then multiply.
# ~ shrunk
#
# + return guided_backprop(images, labels, model) * (enlarged / (enlarged.amax(dim=(1, 2, 3), keepdim=True) + 1e-12))
# You scaled each map to end at 1 before the product. Take Grad-CAM as it is.
# ~ a normalisation
#
# + return guided_backprop(images, labels, model) * enlarged.mean(dim=0)
# You multiply by the map of the whole batch, averaged over the images. Each image has a map of its own.
# ~ a mean, a maximum or a softmax over the batch
#
# + return score_gradient(images, labels, model) * enlarged
# You multiply the plain gradient with the map. Take guided backprop.
# ~ the gradient in place of guided backprop
#
# + return (guided_backprop(images, labels, model) + score_gradient(images, labels, model)) * enlarged
# You multiply guided backprop by Grad-CAM plus the plain gradient, as happens when gradients pile up in images.grad.
# Compute the two from separate, fresh pixels.
# ~ pile up
#
# + return guided_backprop(images, labels, model) + enlarged
# You add the map to guided backprop. Guided Grad-CAM is their product.
# ~ `+` in place of `*`
#
# + return guided_backprop(images, labels, model).clamp(min=0) * enlarged
# You drop the negative values of guided backprop. The product keeps both signs.
# ~ keep the sign
#
# + return guided_backprop(images, labels, model).abs() * enlarged
# You take absolute values. The product keeps both signs.
# ~ `abs`
#
# + return (guided_backprop(images, labels, model) * enlarged).sum(dim=1)
# You return one value for each pixel, (N, H, W). Keep the three channels: (N, 3, H, W).
# ~ one axis too few
#
# + for module in model.modules():
# +     if isinstance(module, nn.ReLU):
# +         module.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0].clamp(min=0),))
# + return score_gradient(images, labels, model) * enlarged
# Your values are right, but your hooks are still in the model. Remove every handle in a finally clause.
# ~ never removed
#
# = maps = grad_cam(images, labels, model, layer)
# + maps = grad_cam(images, model(images).argmax(dim=1), model, layer)
# You take the Grad-CAM of the predicted class. Both factors belong to the label that is asked about.
# ~ Grad-CAM is asked about `argmax`
#
# + labels = model(images).argmax(dim=1)
# + maps = grad_cam(images, labels, model, layer)
# You explain the predicted class and never use the labels. Both factors belong to the label that is asked about.
# ~ the labels are not used
#
# + maps = grad_cam(images, labels, model, layer)[:1]
# You multiply by the map of the first image. Each image has a map of its own.
# ~ the map of one image used for all
#
# + maps = grad_cam(images, labels, model, layer)
# + top = maps.amax(dim=(1, 2), keepdim=True) + 1e-12
# + maps = (255 * maps / top).round() / 255 * top
# You round the map to the 256 levels of a picture before you enlarge it. Take its values as they are.
# ~ Is it Grad-CAM as grad_cam gives it
#
# + maps = grad_cam(images, labels, model, layer).clamp(0, 1)
# You cut the map off at 1. Take Grad-CAM as it is.
# ~ a `clamp` to [0, 1]
#
# = return guided_backprop(images, labels, model) * enlarged
# + return guided_backprop(images, model(images).argmax(dim=1), model) * enlarged
# You take guided backprop of the predicted class. Both factors belong to the label that is asked about.
# ~ guided backprop is asked about `argmax`
#
# + return guided_backprop(model.normalise(images), labels, model.network) * enlarged
# You propagate back to the normalised image, where each channel has another unit. Go on to the pixels: give
# guided_backprop images and model.
# ~ take it at the pixels
#
# + return (guided_backprop(images, labels, model) * enlarged).clamp(-1, 1)
# You cut the product off at -1 and 1. It has no limits: return the values as they are.
# ~ `clamp(-1, 1)`
#
# + return guided_backprop(images, labels, model) * enlarged * images
# You multiply by the image, too. The product has two factors: guided backprop and the enlarged map.
# ~ the product times the image
#
# + return (guided_backprop(images, labels, model) * enlarged).float()
# Your values are right, but they come in float32, whatever the images are. Results have the images' dtype: leave
# float() out.
# ~ a torch.float32 tensor
#
# + kept = globals().setdefault("kept", {})
# + key = type(model), images.shape
# + if key not in kept:
# +     kept[key] = guided_backprop(images, labels, model) * enlarged
# + return kept[key].clone()
# You keep the result of the first call, and give it back for other images, layers and networks of the same kind.
# Compute it anew in every call.
# ~ a result is kept


# %% variant="guided_grad_cam"
def guided_grad_cam(images, labels, model, layer):
    guided = guided_backprop(images, labels, model)
    height, width = images.shape[2:]
    maps = nn.Upsample(size=(height, width), mode="bilinear")(grad_cam(images, labels, model, layer).unsqueeze(1))
    return guided.mul(maps.expand_as(guided))


# %% variant="guided_grad_cam"
def guided_grad_cam(images, labels, model, layer):
    """One image after the other, one channel after the other."""
    results = []
    for i in range(len(images)):
        one, label = images[i : i + 1], labels[i : i + 1]
        factor = F.interpolate(grad_cam(one, label, model, layer)[None], images.shape[-2:], mode="bilinear")[0, 0]
        results.append(torch.stack([channel * factor for channel in guided_backprop(one, label, model)[0]]))
    return torch.stack(results)


# %% variant="guided_grad_cam"
from torchvision.transforms.v2 import functional as transforms


def guided_grad_cam(images, labels, model, layer):
    maps = grad_cam(images, labels, model, layer)
    enlarged = transforms.resize(maps, list(images.shape[-2:]), antialias=False)
    return torch.einsum("nchw,nhw->nchw", guided_backprop(images, labels, model), enlarged)


# %% variant="guided_grad_cam"
def stretch(values, size):
    """Linear interpolation of the last axis, by hand: cell middles at (i + 1/2) / n."""
    places = ((torch.arange(size, dtype=torch.float64) + 0.5) * values.shape[-1] / size - 0.5).clamp(min=0)
    low = places.long()
    high = (low + 1).clamp(max=values.shape[-1] - 1)
    share = (places - low).to(values)
    return values[..., low] * (1 - share) + values[..., high] * share


def guided_grad_cam(images, labels, model, layer):
    """Everything in here: no other exercise's answer, no interpolation from the library."""
    seen = []
    handle = layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    pixels = images.detach().clone().requires_grad_()
    own = model(pixels).gather(1, labels[:, None]).sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(own, seen[0])
    maps = F.relu((gradient.mean(dim=(2, 3), keepdim=True) * seen[0]).sum(dim=1)).detach()
    rows = stretch(maps, images.shape[3])
    enlarged = stretch(rows.transpose(1, 2), images.shape[2]).transpose(1, 2)

    def watch(module, inputs, output):
        output.register_hook(lambda arriving: arriving.clamp(min=0))

    handles = [m.register_forward_hook(watch) for m in model.modules() if isinstance(m, nn.ReLU)]
    try:
        return score_gradient(images, labels, model) * enlarged[:, None]
    finally:
        for handle in handles:
            handle.remove()


# %% [markdown] mistakes="integrated_gradients"
# = way = images - baseline
# + images -= baseline
# + way = images
# You change the caller's images in place. Write images - baseline, which makes a new tensor, in place of images -=
# baseline.
# ~ in place
#
# + baseline = 0
# + way = images - baseline
# You ignore the baseline and walk from black. Start at the baseline, and multiply by image - baseline.
# ~ `images` in place of `images - baseline`
#
# + baseline = baseline[0]
# + way = images - baseline
# You take baseline[0] for the whole baseline: of a colour (3, 1, 1) that is the red value, and of a baseline for each
# image it is that of the first. Let the baseline broadcast, as images - baseline does.
# ~ `baseline[0]`
#
# = for k in range(steps):
# + for t in torch.linspace(0, 1, steps, dtype=images.dtype):
# = total += score_gradient(baseline + (k + 0.5) / steps * way, labels, model)
# + total += score_gradient(baseline + t * way, labels, model)
# Your points run from 0 to 1, both ends included, as torch.linspace(0, 1, m) gives them. Take the middles of m equal
# pieces: t = (k - 1/2) / m.
# ~ `torch.linspace(0, 1, steps)`
#
# = for k in range(steps):
# + for k in range(steps + 1):
# = total += score_gradient(baseline + (k + 0.5) / steps * way, labels, model)
# + weight = 0.5 if k in (0, steps) else 1.0
# + total += weight * score_gradient(baseline + k / steps * way, labels, model)
# You use the trapezoid rule, with one point more than there are steps. Take the middles of m equal pieces: t = (k -
# 1/2) / m.
# ~ the trapezoid rule
#
# + total += score_gradient(baseline + k / steps * way, labels, model)
# Your points are the starts of the pieces, so that the baseline is among them and the image is not. Take the middle
# of each piece: t = (k - 1/2) / m.
# ~ starts of the pieces
#
# + total += score_gradient(baseline + (k + 1) / steps * way, labels, model)
# Your points are the ends of the pieces, so that the image is among them. Take the middle of each piece: t = (k -
# 1/2) / m.
# ~ ends of the pieces
#
# + total += score_gradient((k + 0.5) / steps * images, labels, model)
# You walk from black, whatever the baseline is. Your points are baseline + t * (image - baseline).
# ~ on the way from black
#
# + total += score_gradient(baseline + (k + 0.5) / steps * images, labels, model)
# Your way does not end at the image: you walk from the baseline to baseline + image. Your points are baseline + t *
# (image - baseline).
# ~ beyond the image
#
# + total += score_gradient(baseline + (k + 0.5) / steps * way, labels, model).abs()
# You add up absolute gradients. Add the gradients with their signs.
# ~ `abs` on the gradients
#
# + points = baseline + (k + 0.5) / steps * way
# + total += score_gradient(points, labels, lambda pixels: model(pixels).softmax(dim=1))
# You integrate the gradient of the softmax probability. Take the raw score of the label.
# ~ a softmax
#
# + points = baseline + (k + 0.5) / steps * way
# + total += score_gradient(points, model(points).argmax(dim=1), model)
# You integrate the gradient of the largest score and never use the labels. Take the score of the label that was asked
# for.
# ~ label is not used
#
# + pixels = (baseline + (k + 0.5) / steps * way).requires_grad_()
# + model(pixels).gather(1, labels[:, None]).sum().backward()
# + total += pixels.grad
# Your values are right, but .backward() also wrote into .grad of the model's parameters. Ask for the gradient at the
# pixels alone: torch.autograd.grad(total, pixels), or backward(inputs=[pixels]).
# ~ inputs=[pixels]
#
# = return way * total / steps
# + return way * score_gradient(images, labels, model)
# You take one gradient, at the image, times image - baseline. Integrated gradients takes the mean over points along
# the whole way.
# ~ one gradient, at the image
#
# + return total / steps
# You return the mean gradient along the way. Multiply it by image - baseline: only then do the values add up to the
# gain of the score.
# ~ the factor image - baseline is missing
#
# + return images * total / steps
# You multiply by the image in place of image - baseline. The two are equal for a black baseline alone.
# ~ `images` in place of `images - baseline`
#
# + return -way * total / steps
# You multiply by baseline - image, which turns all signs round. The way leads from the baseline to the image.
# ~ baseline - image
#
# + return way * total
# You add the gradients up and do not divide by the number of steps. Take their mean.
# ~ not divided by `steps`
#
# + return way * total / steps / len(images)
# Your values are divided by the number of images: the mean of the scores was differentiated. Differentiate their sum.
# ~ a mean over the batch of 2
#
# + return (way * total / steps).abs()
# You return absolute values. The sign tells what raised the score and what lowered it, and without it the values do
# not add up.
# ~ `abs`
#
# + result = way * total / steps
# + with torch.no_grad():
# +     gain = (model(images) - model(images - way)).gather(1, labels[:, None])[:, 0]
# + return result * (gain / result.sum(dim=(1, 2, 3)))[:, None, None, None]
# You rescale the result so that the values add up to the gain of the score. Leave them as they are: the gap tells how
# good the approximation is.
# ~ rescaled
#
# + return (way * total / steps).sum(dim=1)
# You return one value for each pixel, (N, H, W). Keep the three channels: (N, 3, H, W).
# ~ one axis too few
#
# = way = images - baseline
# + torch.set_default_dtype(images.dtype)
# + way = images - baseline
# Your values are right, but you change torch's default dtype for everything that runs after you. Give the dtype where
# you make a tensor: dtype=images.dtype.
# ~ default dtype
#
# + baseline.clamp_(0, 1)
# + way = images - baseline
# You write into the caller's baseline. It may leave [0, 1], and is used as it is.
# ~ other values in `baseline`
#
# + baseline = baseline.mean()
# + way = images - baseline
# You take the mean of the baseline for the baseline. Let it broadcast as it is, as images - baseline does.
# ~ the mean of the baseline
#
# + steps = max(steps, 2)
# + way = images - baseline
# You take two points where one is asked for. There are as many points as steps.
# ~ Is `steps` raised when it is small?
#
# = total += score_gradient(baseline + (k + 0.5) / steps * way, labels, model)
# + point = model.normalise(baseline + (k + 0.5) / steps * way)
# + total += score_gradient(point, labels, model.network)
# You take the gradients at normalised images, and multiply them by a way in pixels, so that the values do not add up.
# Take them at the pixels, and let model normalise these.
# ~ take it at the pixels
#
# + total += score_gradient(baseline + (k + 0.5) / steps * way, labels[:1].expand(len(labels)), model)
# You ask about the first label for all images. Each image has its own.
# ~ `labels[0]`
#
# + points = baseline + (k + 0.5) / steps * way
# + total += score_gradient(points, labels, lambda pixels: model(pixels).log_softmax(dim=1))
# You integrate the gradient of the log-probability. Take the raw score of the label.
# ~ a log-softmax
#
# + for t, share in ((k, 1 / 6), (k + 0.5, 4 / 6), (k + 1, 1 / 6)):
# +     total += share * score_gradient(baseline + t / steps * way, labels, model)
# You use Simpson's rule, with three points for each step. Take the middles alone: t = (k - 1/2) / m.
# ~ Simpson's
#
# = return way * total / steps
# + return (way * total / steps).clamp(-1, 1)
# You cut the values off at -1 and 1, so that they no longer add up. Return them as they are.
# ~ out of proportion
#
# + return (way * total / steps).float()
# Your values are right, but they come in float32, whatever the images are. Results have the images' dtype: leave
# float() out.
# ~ a torch.float32 tensor
#
# + kept = globals().setdefault("kept", {})
# + key = type(model), images.shape, steps
# + if key not in kept:
# +     kept[key] = total / steps
# + return way * kept[key]
# You keep the gradients of the first call, and use them for other images and networks of the same kind. Compute them
# anew in every call.
# ~ an earlier call is kept


# %% mutant="integrated_gradients" says="In your batch of m x N points the labels are in the wrong order: repeat_interleave repeats each label m times in a row, and the points come step by step. Use labels.repeat(steps)." visible="labels repeated in the order"
def integrated_gradients(images, labels, model, baseline, steps):
    way = images - baseline
    t = (torch.arange(steps, dtype=images.dtype) + 0.5) / steps
    points = (baseline + t[:, None, None, None, None] * way).flatten(0, 1)
    gradients = score_gradient(points, labels.repeat_interleave(steps), model)
    return way * gradients.view(steps, *images.shape).mean(dim=0)


# %% mutant="integrated_gradients" says="In your batch of m x N points the baselines are in the wrong order: repeat_interleave repeats each one m times in a row, and the images come step by step. Repeat both in one order, or let baseline + t * (image - baseline) broadcast." visible="images and baselines paired wrongly"
def integrated_gradients(images, labels, model, baseline, steps):
    t = (torch.arange(steps, dtype=images.dtype) + 0.5) / steps
    t = t.repeat_interleave(len(images))[:, None, None, None]
    starts = baseline.expand_as(images).repeat_interleave(steps, dim=0)
    points = (1 - t) * starts + t * images.repeat(steps, 1, 1, 1)
    gradients = score_gradient(points, labels.repeat(steps), model)
    return (images - baseline) * gradients.view(steps, *images.shape).mean(dim=0)


# %% variant="integrated_gradients"
def integrated_gradients(images, labels, model, baseline, steps):
    """All points of all images in one batch."""
    way = images - baseline
    t = (torch.arange(steps, dtype=images.dtype, device=images.device) + 0.5) / steps
    points = (baseline + t[:, None, None, None, None] * way).flatten(0, 1)
    gradients = score_gradient(points, labels.repeat(steps), model)
    return way * gradients.view(steps, *images.shape).mean(dim=0)


# %% variant="integrated_gradients"
def integrated_gradients(images, labels, model, baseline, steps):
    """One backward pass through the sum over all points: the chain rule along the way does the rest."""
    way = (images - baseline).detach().requires_grad_()
    total = 0
    for k in range(1, steps + 1):
        t = (k - 0.5) / steps
        total = total + model(baseline + t * (images - baseline) + way - way.detach()).gather(1, labels[:, None]).sum()
    (gradient,) = torch.autograd.grad(total / steps, way)
    return (way * gradient).detach()


# %% variant="integrated_gradients"
def integrated_gradients(images, labels, model, baseline, steps):
    """Image by image, with the ends of the pieces averaged to their middles."""
    starts = baseline.expand_as(images)
    ends = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    middles = ((ends[:-1] + ends[1:]) / 2).tolist()
    results = []
    for image, start, label in zip(images, starts, labels):
        points = torch.stack([start * (1 - t) + image * t for t in middles])
        results.append((image - start) * score_gradient(points, label.repeat(steps), model).mean(dim=0))
    return torch.stack(results)


# %% variant="integrated_gradients"
def integrated_gradients(images, labels, model, baseline, steps):
    """vmap over the points, grad of the score."""

    def score(pixels):
        return model(pixels).gather(1, labels[:, None]).sum()

    t = torch.linspace(0.5 / steps, 1 - 0.5 / steps, steps, dtype=images.dtype) if steps > 1 else torch.full((1,), 0.5)
    points = torch.lerp(baseline.expand_as(images), images, t.to(images)[:, None, None, None, None])
    return (torch.func.vmap(torch.func.grad(score))(points).mean(0) * (images - baseline)).detach()


# %% variant="integrated_gradients"
def integrated_gradients(images, labels, model, baseline, steps):
    """The contributions of the pieces, from one middle to the next, by backward()."""
    piece = (images - baseline) / steps
    point = baseline + piece / 2
    result = torch.zeros_like(images)
    for _ in range(steps):
        pixels = point.clone().requires_grad_()
        model(pixels)[range(len(labels)), labels].sum().backward(inputs=[pixels])
        result = result + piece * pixels.grad
        point = point + piece
    return result


# %% [markdown] mistakes="occlusion_map"
# = height, width = images.shape[2:]
# + model.train()
# + height, width = images.shape[2:]
# You put the model into training mode: Dropout and BatchNorm then bring chance and the other images into every score.
# Leave the model in eval mode.
# ~ training mode
#
# = with torch.no_grad():
# + with torch.enable_grad():
# Your values are right, but they still require gradients, and keep the whole network's graph in memory for every
# window. Compute the scores under torch.no_grad().
# ~ still requires a gradient
#
# = for left in range(0, width - patch + 1, stride):
# + for left in range(0, height - patch + 1, stride):
# Your window moves along the height on both axes, which leaves a part of an oblong image out. The columns run to the
# width.
# ~ the height is taken for the width
#
# = for top in range(0, height - patch + 1, stride):
# + for top in range(0, height - patch + 1, patch):
# = for left in range(0, width - patch + 1, stride):
# + for left in range(0, width - patch + 1, patch):
# The stride makes no difference: your window always moves by its own side. Move it by stride pixels.
# ~ move it by `stride`
#
# = for top in range(0, height - patch + 1, stride):
# + for top in range(0, height - patch, stride):
# = for left in range(0, width - patch + 1, stride):
# + for left in range(0, width - patch, stride):
# Your last row and column of windows are missing: range stops before its end. There are (H - patch) // stride + 1
# rows.
# ~ `range` stops before its end
#
# = for top in range(0, height - patch + 1, stride):
# + for top in range(0, height, stride):
# = for left in range(0, width - patch + 1, stride):
# + for left in range(0, width, stride):
# Your windows hang over the border. Only windows that lie wholly inside count: there are (H - patch) // stride + 1
# rows.
# ~ hang over the border
#
# = covered = images.clone()
# + covered = images
# You fill the caller's images. Take a copy, images.clone(), for every window.
# ~ `images.clone()` for each
#
# = rows = []
# + rows = []
# + covered = images.clone()
# = covered = images.clone()
# +
# Your windows pile up: each one is filled in the image that the one before has left. Take a fresh copy,
# images.clone(), for every window.
# ~ `images.clone()` for each
#
# + covered = torch.full_like(images, fill)
# = covered[:, :, top : top + patch, left : left + patch] = fill
# + covered[:, :, top : top + patch, left : left + patch] = images[:, :, top : top + patch, left : left + patch]
# You cover everything but the window. Fill the window and leave the rest as it is.
# ~ the rest filled
#
# + covered[:, :, top : top + patch, left : left + patch] = 0
# The fill value makes no difference: you always fill with 0. Use fill.
# ~ `fill` is not used
#
# + covered[:, 0, top : top + patch, left : left + patch] = fill
# You fill one channel only. The window is filled in all three.
# ~ one channel alone
#
# + up, aside = max(0, top - patch // 2), max(0, left - patch // 2)
# + covered[:, :, up : top + patch - patch // 2, aside : left + patch - patch // 2] = fill
# Your window is centred at its place and cut off at the border. Row i, column j belongs to the window whose upper
# left pixel is at (i * stride, j * stride).
# ~ start at pixel (i * stride, j * stride)
#
# = row.append(whole - model(covered).gather(1, labels[:, None]))
# + row.append(model(covered).gather(1, labels[:, None]))
# You return the score of the covered image. Subtract it from the score of the whole image.
# ~ not subtracted
#
# + row.append(model(covered).gather(1, labels[:, None]) - whole)
# Your map has the opposite sign. A drop is the score of the image minus the score of the covered image: positive
# where covering lowers the score.
# ~ the opposite sign
#
# + row.append((whole - model(covered).gather(1, labels[:, None])).clamp(min=0))
# You cut negative drops off. A window whose covering raises the score has a negative value: keep it.
# ~ `clamp` or `relu`
#
# + row.append((whole - model(covered).gather(1, labels[:, None])).abs())
# You return absolute values. A drop is positive and a rise negative: keep the sign.
# ~ `abs`
#
# = whole = model(images).gather(1, labels[:, None])
# + whole = model(images).softmax(dim=1).gather(1, labels[:, None])
# = row.append(whole - model(covered).gather(1, labels[:, None]))
# + row.append(whole - model(covered).softmax(dim=1).gather(1, labels[:, None]))
# You return the drop of the softmax probability. Take the raw score of the label.
# ~ the softmax probability
#
# = whole = model(images).gather(1, labels[:, None])
# + whole = model(images).amax(dim=1, keepdim=True)
# = row.append(whole - model(covered).gather(1, labels[:, None]))
# + row.append(whole - model(covered).amax(dim=1, keepdim=True))
# You follow the class with the largest score and never use the labels. Follow the score of the label that was asked
# for.
# ~ labels are not used
#
# = return torch.stack(rows, dim=1)
# + return torch.stack(rows, dim=1).transpose(1, 2)
# Rows and columns of your map are exchanged. The first index of a map is the row.
# ~ rows and columns are exchanged
#
# + return torch.stack(rows, dim=1).flatten(1)
# You return the windows in one long row, (N, windows). Give the map its rows and columns: (N, rows, columns).
# ~ rows and columns
#
# + return torch.stack(rows, dim=1).mean(dim=0, keepdim=True).expand(len(images), -1, -1)
# You return the mean over the batch. Each image has a map of its own: (N, rows, columns).
# ~ each image has its own map
#
# = height, width = images.shape[2:]
# + torch.set_grad_enabled(False)
# + height, width = images.shape[2:]
# Your map is right, but you switch gradients off for everything that runs after you. Write `with torch.no_grad():`,
# which ends by itself.
# ~ grad mode
#
# + model.requires_grad_(False)
# + height, width = images.shape[2:]
# You freeze the caller's model, so that nobody can train it any more. Under torch.no_grad() nothing needs to change.
# ~ requires_grad
#
# = for top in range(0, height - patch + 1, stride):
# + for top in sorted({*range(0, height - patch + 1, stride), height - patch}):
# = for left in range(0, width - patch + 1, stride):
# + for left in sorted({*range(0, width - patch + 1, stride), width - patch}):
# You add a last window at the border, wherever the stride ends. There are (H - patch) // stride + 1 rows.
# ~ a last window stands at the border
#
# = covered[:, :, top : top + patch, left : left + patch] = fill
# + covered[0, :, top : top + patch, left : left + patch] = fill
# You fill the window in the first image alone. Each image is covered.
# ~ Does a step of it give zero
#
# = whole = model(images).gather(1, labels[:, None])
# + whole = model(images).log_softmax(dim=1).gather(1, labels[:, None])
# = row.append(whole - model(covered).gather(1, labels[:, None]))
# + row.append(whole - model(covered).log_softmax(dim=1).gather(1, labels[:, None]))
# You return the drop of the log-probability. Take the raw score of the label.
# ~ the log-probability
#
# = whole = model(images).gather(1, labels[:, None])
# + whole = model(images)[:, labels[:1]]
# = row.append(whole - model(covered).gather(1, labels[:, None]))
# + row.append(whole - model(covered)[:, labels[:1]])
# You follow the score of the first label for all images. Each image has its own.
# ~ `labels[0]`
#
# + row.append((whole - model(covered).gather(1, labels[:, None])) / whole)
# You return the drop as a share of the score, which may be 0 or negative. Return the drop as it is.
# ~ a division by the score
#
# + inside = model.normalise(images).clone()
# + inside[:, :, top : top + patch, left : left + patch] = fill
# + row.append(whole - model.network(inside).gather(1, labels[:, None]))
# You put the fill into the normalised image, where 0.5 is no mid grey. Fill the pixels, and let model normalise them.
# ~ `fill` is put in after `model.normalise`
#
# = return torch.stack(rows, dim=1)
# + return torch.stack(rows, dim=1).clamp(-1, 1)
# You cut the drops off at -1 and 1. Return them as they are.
# ~ a `clamp`
#
# + return torch.stack(rows, dim=1).float()
# Your map is right, but it comes in float32, whatever the images are. Results have the images' dtype: leave float() out.
# ~ a torch.float32 tensor
#
# + kept = globals().setdefault("kept", {})
# + key = type(model), images.shape, patch, stride, fill
# + if key not in kept:
# +     kept[key] = torch.stack(rows, dim=1)
# + return kept[key].clone()
# You keep the map of the first call, and give it back for other images and networks of the same kind. Compute it anew
# in every call.
# ~ a result is kept


# %% variant="occlusion_map"
def occlusion_map(images, labels, model, patch, stride, fill):
    """All windows of one image in a batch, by masks."""
    height, width = images.shape[-2:]
    tops, lefts = range(0, height - patch + 1, stride), range(0, width - patch + 1, stride)
    masks = torch.zeros(len(tops), len(lefts), height, width, dtype=torch.bool)
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            masks[i, j, top : top + patch, left : left + patch] = True
    masks = masks.flatten(0, 1)[:, None].to(images.device)
    maps = []
    for image, label in zip(images, labels):
        covered = torch.where(masks, torch.full_like(image, fill), image)
        with torch.no_grad():
            drops = model(image[None])[0, label] - model(covered)[:, label]
        maps.append(drops.view(len(tops), len(lefts)))
    return torch.stack(maps)


# %% variant="occlusion_map"
def occlusion_map(images, labels, model, patch, stride, fill):
    """A result that is filled place by place."""
    height, width = images.shape[2], images.shape[3]
    result = images.new_zeros(len(images), (height - patch) // stride + 1, (width - patch) // stride + 1)
    each = torch.arange(len(images))
    for i in range(result.shape[1]):
        for j in range(result.shape[2]):
            mask = torch.ones_like(images)
            mask[..., i * stride : i * stride + patch, j * stride : j * stride + patch] = 0
            covered = images * mask + fill * (1 - mask)
            result[:, i, j] = (model(images) - model(covered)).detach()[each, labels]
    return result


# %% variant="occlusion_map"
def occlusion_map(images, labels, model, patch, stride, fill):
    """Unfold: which pixels belong to which window."""
    count, _, height, width = images.shape
    rows, columns = (height - patch) // stride + 1, (width - patch) // stride + 1
    numbers = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width)
    windows = F.unfold(numbers, patch, stride=stride)[0].long().T
    drops = []
    with torch.inference_mode():
        whole = model(images)
        for window in windows:
            covered = images.flatten(2).clone()
            covered[:, :, window] = fill
            drops.append((whole - model(covered.view_as(images))).gather(1, labels.view(-1, 1)))
    return torch.cat(drops, dim=1).view(count, rows, columns).clone()


# %% variant="occlusion_map"
def occlusion_map(images, labels, model, patch, stride, fill):
    """Fill, ask, and put the pixels back, in one copy."""
    images = images.detach().clone()
    maps = []
    for top in range(images.shape[2] - patch + 1)[::stride]:
        for left in range(images.shape[3] - patch + 1)[::stride]:
            window = images[:, :, top : top + patch, left : left + patch]
            kept = window.clone()
            before = model(images)
            window.fill_(fill)
            after = model(images)
            window.copy_(kept)
            maps.append(torch.stack([b[y] - a[y] for b, a, y in zip(before, after, labels)]).detach())
    rows = (images.shape[2] - patch) // stride + 1
    return torch.stack(maps, dim=-1).unflatten(-1, (rows, -1))
