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
# # 4 Class visualization
#
# You turn a classifier round: instead of asking it what a picture shows, you ask it to draw, and you learn how much of the
# drawing is the network's and how much is yours.
#
# **You will**
#
# - **draw** a class by gradient ascent on the pixels, with a regulariser whose gradient you can check by hand;
# - **steer** the ascent with jitter, blur and clamping, and vary one choice at a time;
# - **judge** drawings with another network, and look at hidden channels in the same way.
#
# **Time** about 3 hours, 55 minutes of it for the exercises. **Points** 12 for three exercises, 15 for five questions.
# **Prerequisites** assignment 1 (gradients with respect to pixels), assignment 2 (hooks) for the last exercise,
# assignment 3 (fooling images, adversarial training) for sections 4.2 and 4.6. **Paper** K. Simonyan, A. Vedaldi, A.
# Zisserman, *Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps*, 2014,
# [arXiv:1312.6034](https://arxiv.org/abs/1312.6034), section 2.
#
# | symbol | meaning | shape |
# |---|---|---|
# | $x$ | image, values in [0, 1]; here it is what you optimise | (1, 3, H, W) |
# | $t$ | target: the class to draw | a number |
# | $s_t(x)$ | score of the target, before any softmax | a number |
# | $g = \partial s_t / \partial x$ | gradient of the score | (1, 3, H, W) |
# | $\lambda$ | strength of the regulariser, `l2_reg` | a number |
# | $\eta$ | learning rate: in section 4.1 a factor of the gradient, in section 4.7 the length of a step | a number |
# | $A$ | activations of a hidden layer | (1, channels, h, w) |

# %% setup
import torch
from IPython.display import display
from torch import nn
from torch.nn import functional as F

from helpers import plots
from helpers.checks import visualization as checks
from helpers.models import load_model
from helpers.pictures import example_pictures, own_pictures, picture_book
from helpers.progress import progress
from helpers.synthesis import blur, clamp, cloud, jitter, normalised, random_offsets, squash, unsquash
from helpers.widgets import between, explore
from helpers.writeup import save_figure

model = load_model()
if model.name == "picturebook":
    model = load_model("picturebook-robust")  # of the picture-book networks, it draws best: section 4.6 asks why
pictures = example_pictures(model, 5)
device, side = pictures.images.device, model.input_size
# Two classes of one kind: gorilla and Yorkshire terrier of ImageNet, cat and fish of the picture book.
targets = (366, 187) if len(model.classes) == 1000 else (0, 1)
print(f"{model.name}: {len(model.classes)} classes, images of 3 x {side} x {side}")
print("to be drawn:", ", ".join(model.classes[target] for target in targets))

# %% [markdown]
# As always, the model takes **pixels**: float tensors (N, 3, H, W) with values in [0, 1]. It is frozen: in this assignment the
# weights stay as they are, and the image learns. All drawings of this page together take a few minutes on the picture book, and
# longer with SqueezeNet on a CPU: reckon with ten minutes. A bar tells how far each cell has got.
#
# **What to see**, below a figure, speaks of the picture book: there, numbers behind the sentences are measured whenever the
# course changes. A sentence about SqueezeNet names it, or ImageNet. Whatever else you see there, or with another network, is
# yours to describe: compare it with what the picture book's network does.
#
# ## 4.1 The picture of a class
#
# A score $s_t(x)$ tells how much a network sees of class $t$ in image $x$. Which image has the largest score? For a linear
# scorer $s_t(x) = w_t \cdot x + b_t$ the question has no answer: one more step along $w_t$ always scores more. So the paper
# (section 2, equation 1) asks for a large score **at a small price**, where it costs something to be far from the centre of all images:
#
# $$J(x) = s_t(x) - \lambda \, \lVert x - \tfrac12 \rVert^2, \qquad
# \lVert x - \tfrac12 \rVert^2 = \sum_{chw} \left( x_{chw} - \tfrac12 \right)^2 .$$
#
# The paper's images are centred at zero. Ours are pixels in [0, 1], and the centre is mid grey, $\frac12$. The price is a sum over
# all pixels and channels, not a mean. Its gradient is $2 \lambda (x - \frac12)$, so that one step of gradient ascent with
# learning rate $\eta$ reads
#
# $$x \;\leftarrow\; x + \eta \left( \frac{\partial s_t}{\partial x} - 2 \lambda \left( x - \tfrac12 \right) \right) .$$
#
# For the linear scorer you can solve this by hand. At the top the bracket is zero, and $\partial s_t / \partial x = w_t$:
#
# $$x^\star = \tfrac12 + \frac{w_t}{2 \lambda} .$$
#
# **The picture of a linear class is its own weight row**, laid over grey. The next cell climbs there from black.

# %% example
weights = torch.tensor([0.6, -0.2, 0.0, 0.9])  # one class, an "image" of four pixels
strength = 1.5
top = 0.5 + weights / (2 * strength)
print(f"the top, by hand       {[round(value, 3) for value in top.tolist()]}")

for rate in (0.2, 0.6, 0.7):
    x = torch.zeros(4)
    for _ in range(20):
        x = x + rate * (weights - 2 * strength * (x - 0.5))
    print(f"20 steps, rate {rate:.1f}     {[round(value, 3) for value in x.tolist()]}")

# %% [markdown]
# With rate 0.2 the steps arrive. Each step multiplies the distance to the top by $1 - 2 \eta \lambda$: that is 0.4 for the
# first rate, $-0.8$ for the second, which overshoots and swings in slowly, and $-1.1$ for the third, which runs away. Learning rate and
# regulariser have to fit one another: $\eta \lambda < 1$.
#
# ### Exercise 4.1: one step
#
# **Given** an image, a target, a model, $\lambda$ and $\eta$. **Return** the image after one step of gradient ascent on $J$.
# **Rule:** the raw step of the formula: the gradient is not normalised and the result is not clamped. The loop around it will
# do these things.
#
# <details>
# <summary>The check says that the picture is pulled to black</summary>
#
# The price is counted from mid grey. A grey image, all pixels 0.5, has price zero and is not pulled anywhere.
#
# </details>
#
# <details>
# <summary>The regulariser has no effect</summary>
#
# If you let autograd differentiate the price, it must be computed from the tensor that you differentiate with respect to, not
# from a detached copy. Or write its gradient down: it is in the formula above.
#
# </details>
#
# <details>
# <summary>"a leaf Variable that requires grad is being used in an in-place operation"</summary>
#
# `pixels += ...` tries to change the tensor whose gradient is recorded. Make a new one: `image + learning_rate * ...`. The
# caller's image stays as it was, too.
#
# </details>


# %% exercise="class_visualization_step" minutes=15 difficulty=1
def class_visualization_step(image, target, model, l2_reg, learning_rate):
    """Return the image after one step of gradient ascent on a class (Simonyan et al. 2014, section 2).

    The step climbs J(x) = s_target(x) - l2_reg * ||x - 0.5||^2, the squared norm summed over all pixels and channels.

    Args:
        image: (1, 3, H, W) float tensor, float32 or float64; values outside [0, 1] are allowed.
        target: int, the class to draw.
        model: images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        l2_reg: the strength of the regulariser, a number >= 0.
        learning_rate: the factor of the whole gradient of J.

    Returns:
        (1, 3, H, W) new tensor, detached: image + learning_rate * (d s_target / dx - 2 * l2_reg * (image - 0.5)).
        Neither the gradient nor the result is normalised or clamped.

    Leaves image and model (parameters, mode, hooks, .grad) as they were.
    """
    ### BEGIN SOLUTION
    pixels = image.detach().clone().requires_grad_()
    score = model(pixels)[0, target]
    (gradient,) = torch.autograd.grad(score, pixels)
    return image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))
    ### END SOLUTION


# %% check="class_visualization_step" points=4
checks.class_visualization_step(class_visualization_step)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import drawing_problem, in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import Named, emit, state_of

class_visualization_step = Watched(class_visualization_step)


def three_steps():
    image, target, model = drawing_problem(406)
    for _ in range(3):
        image = class_visualization_step(image, target, model, 0.5, 0.3)
    return image


def one_after_the_other():
    """Another image, another target, another network of the same size, and one whose slopes are steep."""
    image, target, model = drawing_problem(401)
    *_, another = drawing_problem(407)
    given = [(image, target, model), (image.flip(-1), target, model), (image, (target + 1) % 5, model)]
    given += [(image, target, another), drawing_problem(408, gain=30)]
    return [class_visualization_step(*each, 0.0, 0.4) for each in given]


def second_step_and_left_as_found():
    image, target, model = drawing_problem(405, trainable=True)
    class_visualization_step(image, target, model, 0.25, 0.5)
    result = class_visualization_step(image, target, model, 0.25, 0.5)
    memory = Named({"the result's memory, which is the caller's": result.data_ptr() == image.data_ptr()})
    return result, memory, left_of(result, image=image), state_of(model), class_visualization_step.left_torch


emit(
    "no regulariser",
    lambda: [*one_after_the_other(), class_visualization_step(*drawing_problem(402, (8, 6), classes=7), 0, 3.0)],
)
emit(
    "a strong regulariser",
    lambda: [
        class_visualization_step(*drawing_problem(403), 0.9, 0.4),
        class_visualization_step(*drawing_problem(402, (8, 6), classes=7), 0.3, 2.5),
    ],
)
emit(
    "float32, a trainable network, three steps one after the other",
    lambda: [
        class_visualization_step(
            *drawing_problem(404, (7, 10), classes=4, dtype=torch.float32, trainable=True), 0.4, 0.7
        ),
        three_steps(),
    ],
)
emit(
    "the image's dtype",
    lambda: in_both_dtypes(class_visualization_step, lambda dtype: (*drawing_problem(409, dtype=dtype), 0.2, 0.5)),
)
emit("a second call, everything left as found", second_step_and_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# ## 4.2 Moves that keep an image an image
#
# Raise the score, and nothing else. With most networks you get what assignment 3 was about: patterns that move the
# score and mean nothing to you. The robust network of the picture book is kinder; even there, grain covers the drawing.
# A picture that a person can read needs help. Each of these moves takes some freedom away, without asking the network:
#
# - **jitter**: shift the image by a few pixels before the step, and back after it. What is drawn must also work a little to the
#   left; a pattern that needs one exact place gets lost.
# - **clamp**: cut values off at 0 and 1. No camera and no screen knows darker than black.
# - **blur**: every few steps, mix neighbouring pixels. Patterns as fine as a pixel fade, broad shapes stay.
#
# They are functions in `helpers/synthesis.py`, a page that is worth reading. The blur treats patterns by their size: below,
# four chessboards of the same contrast.

# %% example
rows, columns = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
for width in (1, 2, 4, 8):
    board = 0.3 + 0.4 * ((rows // width + columns // width) % 2).float().expand(1, 3, 24, 24)
    price = ((board - 0.5) ** 2).sum()
    soft = blur(board, 1.0)
    print(f"squares of {width} pixels: price {price:.1f}   contrast {board.max() - board.min():.2f}   ", end="")
    print(f"contrast left after a blur {soft[..., 6:-6, 6:-6].max() - soft[..., 6:-6, 6:-6].min():.2f}")

print("jitter and back:", torch.equal(jitter(jitter(board, 3, -2), -3, 2), board))

# %% [markdown]
# The four cost the regulariser the same: it sees each pixel alone. The blur wipes out the finest one and hardly touches the coarsest.
# Keep this table for the questions.
#
# ### Exercise 4.2: the loop
#
# **Given** an image, a *step* (any function from an image to a better one), a list of offsets, and how often and how strongly to
# blur. **Return** the image after one iteration for each offset. **Rule**, for iteration $k = 1, 2, \dots$ with the offset (down,
# right):
#
# 1. shift the image by the offset, apply the step, shift back by the same offset;
# 2. clamp;
# 3. if $k$ is a multiple of `blur_every`, blur. `blur_every = 0` means: never.
#
# Since the step is an argument, your loop serves for everything that follows, hidden channels and DeepDream included. Fooling images
# and style transfer are the same loop with another step.
#
# <details>
# <summary>"The shift was not undone"</summary>
#
# `jitter(image, -down, -right)` undoes `jitter(image, down, right)`. Apply it to what the step returns.
#
# </details>
#
# <details>
# <summary>The blur comes one iteration too early or too late</summary>
#
# The first iteration is number 1: `enumerate(offsets, start=1)`.
#
# </details>
#
# <details>
# <summary>ZeroDivisionError: integer modulo by zero</summary>
#
# `blur_every` may be 0. Ask for that first: `if blur_every and ...`.
#
# </details>


# %% exercise="synthesise" minutes=15 difficulty=1
def synthesise(image, step, offsets, blur_every, sigma):
    """Return an image improved by many steps, with the moves that keep it an image.

    Args:
        image: (1, 3, H, W) float tensor, values in [0, 1]: where to start.
        step: a function that takes an image (1, 3, H, W) and returns a better one, a new tensor of the same shape.
        offsets: a list of at least one pair (down, right) of whole numbers; each gives one iteration.
        blur_every: blur after the iterations whose number, counted from 1, is a multiple of this; 0 for never.
        sigma: the standard deviation of the blur, in pixels.

    Returns:
        (1, 3, H, W) new tensor. One iteration is: jitter by the offset, step, jitter back, clamp to [0, 1], and blur
        where it is due.

    Leaves image and offsets as they were.
    """
    ### BEGIN SOLUTION
    for k, (down, right) in enumerate(offsets, start=1):
        shifted = step(jitter(image, down, right))
        image = clamp(jitter(shifted, -down, -right))
        if blur_every and k % blur_every == 0:
            image = blur(image, sigma)
    return image
    ### END SOLUTION


# %% check="synthesise" points=4
checks.synthesise(synthesise)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks.problems import in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import Named, emit

synthesise = Watched(synthesise)


def start(seed, size=(11, 14), dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, *size, generator=generator, dtype=torch.float64).to(dtype)


def pull(seed, size=(11, 14)):
    """A step that depends on the place and on the image, and leaves [0, 1] in both directions."""
    generator = torch.Generator().manual_seed(seed)
    pattern = torch.randn(1, 3, *size, generator=generator, dtype=torch.float64)
    return lambda image: image + 0.5 * pattern.to(image) * (0.4 + image)


def with_everything_left_as_found():
    image, offsets, step = start(415), [(2, -3), (-1, 0), (0, 4)], pull(415)
    synthesise(image, step, offsets, 2, 0.6)
    result = synthesise(image, step, offsets, 2, 0.6)
    facts = {
        "the caller's offsets": offsets == [(2, -3), (-1, 0), (0, 4)],
        "the result's memory, which is the caller's": result.data_ptr() == image.data_ptr(),
    }
    return result, Named(facts), left_of(result, image=image), synthesise.left_torch


def calls():
    """How often the step is asked, and what it is shown."""
    seen = []

    def step(image):
        seen.append(image.clone())
        return image + 0.3 * torch.sign(image - 0.45)

    result = synthesise(start(416, (9, 8)), step, [(1, 2), (-3, 1), (2, -2), (0, 1)], 3, 0.9)
    return result, len(seen), seen


emit(
    "jitter and clamp, no blur",
    lambda: [
        synthesise(start(411), pull(411), [(1, -2), (3, 0), (-2, 4)], 0, 1.0),
        synthesise(start(411), pull(417), [(1, -2), (3, 0), (-2, 4)], 0, 1.0),
        synthesise(start(417), pull(417), [(1, -2), (3, 0), (-2, 4)], 0, 1.0),
        synthesise(start(412, (8, 13)), pull(412, (8, 13)), [(0, 5)], 0, 1.0),
    ],
)
emit(
    "a blur every second iteration",
    lambda: synthesise(start(413), pull(413), [(1, 1), (-2, 3), (0, -4), (2, 2), (-1, -3)], 2, 0.8),
)
emit(
    "a blur after every iteration, float32",
    lambda: synthesise(start(414, dtype=torch.float32), pull(414), [(4, -1), (-3, 2)], 1, 1.1),
)
emit("what the step is shown, a blur every third iteration", calls)
emit(
    "the image's dtype",
    lambda: in_both_dtypes(synthesise, lambda dtype: (start(418, dtype=dtype), pull(418), [(2, 1), (0, -3)], 2, 0.7)),
)
emit("a second run, everything left as found", with_everything_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# One more thing before you draw. The length of a raw step depends on the network: where the score is flat, nothing moves, and
# where it is steep, the image jumps. `normalised(step, length)` goes where your step goes, but always equally far. It works with any
# step, since the direction is what the step changes: `step(image) - image`.
#
# The next cell puts it together: coarse steps with a blur now and then, and short ones without a blur at the end. All experiments
# below call `draw` and change one thing.


# %% example
def draw(target, network, start, *, seed=0, steps=80, length=None, l2_reg=4e-3, reach=None, blur_every=4):
    """Return a picture of the class `target`, (1, 3, side, side), by normalised steps from the image `start`.

    length: of the coarse steps, in pixel units (L2 norm); side / 26 by default. reach: of the jitter; side / 11.
    """
    side = start.shape[-1]
    length = side / 26 if length is None else length
    offsets = random_offsets(steps, side // 11 if reach is None else reach, seed)

    def step(image):
        return class_visualization_step(image, target, network, l2_reg, 1.0)

    coarse = 4 * steps // 5
    image = synthesise(start, normalised(step, length), offsets[:coarse], blur_every, sigma=1.0)
    return synthesise(image, normalised(step, length / 8), offsets[coarse:], 0, sigma=1.0)


def fresh(seed=0, side=side):
    """Return a start without any shape: soft clouds of colour on mid grey, (1, 3, side, side)."""
    return cloud(side, seed, cells=side // 4).to(device)


def judged(image, target, network=model):
    """Return a caption: score and probability of the target."""
    with torch.no_grad():
        scores = network(image)
    return f"score {scores[0, target]:.1f}, p {scores.softmax(dim=1)[0, target]:.2f}"


# %% [markdown]
# **Predict first:** which of the moves matters most? The next figure begins with clamping alone and adds one at a time.

# %% figure="moves"
recipes = {
    "clamp only": dict(l2_reg=0, reach=0, blur_every=0),
    "+ L2": dict(reach=0, blur_every=0),
    "+ jitter": dict(blur_every=0),
    "+ blur": dict(),
}
rows = []
for target in progress(targets, "drawing", "class"):
    drawn = [draw(target, model, fresh(), **recipe) for recipe in recipes.values()]
    rows.append([plots.picture(image[0], judged(image, target)) for image in drawn])
figure = plots.panels(rows, heads=list(recipes), names=[model.classes[target] for target in targets], width=2.2)
save_figure(figure, "04_class_visualization-moves")

# %% [markdown]
# What to see: with clamping alone, the pixels run to black and white, and patterns as fine as a pixel appear. L2 at this
# strength changes little, up or down, as long as the clamp stops the pixels anyway. Jitter cleans up, and blur leaves
# the broad shapes: the picture gets better, and the score **lower**. On the picture book, these two take about half of
# the score away. So the score does not tell you which picture is best: it is what the ascent maximises, and freedom to
# maximise it is what the moves take away.
#
# ## 4.3 Watch it grow
#
# `plots.live` shows figures one after the other in one place, as they are made.
#
# **Predict first:** what appears first, the parts or the outline?


# %% figure="live"
def growing(steps, chunk):
    """Yield both drawings again and again while they grow, after each `chunk` of steps."""
    images = [fresh() for _ in targets]
    offsets = random_offsets(steps, side // 11)
    for done in range(0, steps + 1, chunk):
        drawn = [plots.picture(image[0], model.classes[target]) for image, target in zip(images, targets)]
        yield plots.panels([drawn], title=f"iteration {done} of {steps}", width=3)
        coarse = done < 4 * steps // 5
        for i, target in enumerate(targets):

            def step(image, target=target):
                return class_visualization_step(image, target, model, 4e-3, 1.0)

            go = normalised(step, side / 26 if coarse else side / 208)
            images[i] = synthesise(images[i], go, offsets[done : done + chunk], 4 if coarse else 0, 1.0)


plots.live(growing(320, 16) if len(model.classes) == 1000 else growing(120, 8))

# %% [markdown]
# What to see: the parts come first, wherever the start happened to look a little like them, and the rest is drawn around them. On
# ImageNet, with SqueezeNet, look for the faces: two gorillas or three, more than one terrier.
#
# ### Play with it
#
# Any class, from any of four starts, in steps as long as you like: 1 is the length of the steps above. *Start* lets the picture
# grow until you press *Stop*, and go on after that; another choice begins anew. Cover the caption with your hand, stop as soon as
# **you** would name the class, and read the caption then. Who was first, you or the network? And what do steps of a quarter of
# the length, or of four times the length, draw in the first 80 iterations?


# %% figure="play-class"
def growing_from(target, start, step_length):
    image = {
        "clouds": lambda: fresh(),
        "other clouds": lambda: fresh(seed=1),
        "a picture": lambda: pictures.images[:1],
        "mid grey": lambda: fresh() * 0 + 0.5,
    }[start]()

    def step(image):
        return class_visualization_step(image, target, model, 4e-3, 1.0)

    offsets, chunk = random_offsets(400, side // 11), 4
    for done in range(0, len(offsets) + 1, chunk):
        caption = f"{model.classes[target]}, iteration {done}\n{judged(image, target)}"
        yield plots.strip([plots.picture(image[0], caption)], width=3.2)
        go = normalised(step, step_length * side / 26)
        image = synthesise(image, go, offsets[done : done + chunk], chunk, 1.0)


explore(
    growing_from,
    target={name: number for number, name in enumerate(model.classes)},
    start=["clouds", "other clouds", "a picture", "mid grey"],
    step_length=between(0.125, 8.0, at=1.0, log=True),
)

# %% [markdown]
# <details>
# <summary>What you may have found</summary>
#
# On the picture book the network is first, by far. From *clouds*, its probability is above 0.9 after 4 to 12 iterations, for
# each of the ten classes. With steps of a quarter of the length it takes 16 to 76, and one class is not there after 80; what you
# see by then is one pale object, since each blur takes away nearly as much as four such steps bring. With steps of four times
# the length every class is there after 4. The score ends higher, 30 after 80 iterations in place of 22, in the mean of the
# classes, and the picture is full: three heads in place of one. A higher score is no better drawing.
#
# </details>

# %% [markdown]
# ## 4.4 One choice at a time
#
# A drawing is the answer of a network *and* of your settings. Vary them one by one, so that you know which is which.
#
# ### Where to start
#
# **Predict first:** starting from a picture of something else, will you see both?

# %% figure="starts"
starts = {
    "black": torch.zeros(1, 3, side, side, device=device),
    "white": torch.ones(1, 3, side, side, device=device),
    "fine noise": torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device),
    "clouds": fresh(),
    "other clouds": fresh(seed=1),
    pictures.names[4]: pictures.images[4:5],
}
rows = [[plots.picture(start[0]) for start in starts.values()]]
for target in progress(targets, "drawing", "class"):
    drawn = [draw(target, model, start) for start in starts.values()]
    rows.append([plots.picture(image[0], judged(image, target)) for image in drawn])
plots.panels(rows, heads=list(starts), names=["start", *(model.classes[target] for target in targets)], width=1.6)

# %% [markdown]
# What to see: the class comes out of every start, and the start decides where it stands, how often, and in which colours. A start of
# strong contrast may stay as a background, or be rebuilt: on ImageNet, the gorilla's face grows on the bear's. So there is no such
# thing as *the* picture of a class. $J$ has many tops, and you climb the one next to you. A drawing is one sample; look at several
# before you say what a network wants to see.
#
# ### Ten starts of your own
#
# Put ten pictures into a folder `my_pictures` beside this notebook (in Colab, the cell asks for them; those of assignment
# 1 will do), as unlike as you can find: a face, a wall, a text, a night, a drawing. If your network is the picture book's,
# scenes do: `picture_book(10, seed=...)` with a seed of yours in place of `own_pictures(model)`. The cell climbs the same
# class from each of them.
#
# Before you run it, write down from which starts the class will come out best, and what of each picture will stay. Then
# report: from how many of the ten did the network name the result as the class, and on how many would **you**? In which
# picture was something of yours used for a part of the object, and for which part? Name one thing that all good starts had
# in common, and an experiment that could show that it is not the reason.

# %% local
own = own_pictures(model)
own_drawn = [draw(targets[0], model, image[None]) for image in progress(own.images, "drawing", "picture")]
if own_drawn:
    above = list(map(plots.picture, own.images, own.names))
    below = [plots.picture(image[0], judged(image, targets[0])) for image in own_drawn]
    rows = [row[i : i + 5] for i in range(0, len(own), 5) for row in (above, below)]
    display(plots.panels(rows, title=f"{model.classes[targets[0]]}, from ten starts"))

# %% [markdown] question="q_own" points=3 words=150
# ### BEGIN SOLUTION
# **Model answer.** (One of many.) Ten photographs, SqueezeNet, gorilla. The network named all ten results gorilla, with
# probabilities above 0.99; I recognise a face in six. I had expected the best result from a portrait. It came from a
# coat hanging on a door: the dark collar became the brow, two buttons became eyes. In the portrait my own eyes were
# kept and the rest was redrawn around them. From the page of text nothing came that I can name, though the network is as
# sure as elsewhere. What the good starts shared: a large dark patch with a border. To test whether that is the reason, I
# would start from grey with nothing but such a patch, and from the coat with its brightness inverted; and count on
# several seeds of the jitter, since one drawing is one sample. If the inverted coat does as well, it was not the darkness.
#
# **Rubric.**
# - 1 point: ten starts, with both counts: named by the network, **and** recognised by the student.
# - 1 point: a part of the student's own picture that became a part of the object, told so that a reader can find it.
# - 1 point: what the good starts shared, **and** an experiment that changes this alone and could come out against it.
# ### END SOLUTION

# %% [markdown]
# ### How many steps, how long, and how much L2

# %% figure="steps"
counts = (5, 20, 80, 320)
rows = []
for target in progress(targets, "drawing", "class"):
    drawn = [draw(target, model, fresh(), steps=count) for count in counts]
    rows.append([plots.picture(image[0], judged(image, target)) for image in drawn])
plots.panels(rows, heads=[f"{count} steps" for count in counts], names=[model.classes[target] for target in targets])

# %% [markdown]
# What to see: the network is convinced before you are. There is a picture with a high probability in which you see little more than
# clouds; it would pass for a fooling image. What comes later hardly changes the probability. It comes because the *score* still grows.

# %% figure="settings"
lengths, strengths = (side / 104, side / 26, side / 6.5), (0, 4e-3, 4e-2, 4e-1)
rows = []
for length in progress(lengths, "drawing", "row"):
    drawn = [draw(targets[0], model, fresh(), length=length, l2_reg=strength) for strength in strengths]
    rows.append([plots.picture(image[0], judged(image, targets[0])) for image in drawn])
plots.panels(
    rows,
    heads=[f"l2_reg {strength:g}" for strength in strengths],
    names=[f"length {length:.1f}" for length in lengths],
)

# %% [markdown]
# What to see: from left to right, the price takes colour away, first where the network cares least. In the last column it wins, or
# nearly: the picture is grey before the class had a chance. From top to bottom, longer steps give more contrast, and hard edges: the
# blur works against every step, and short steps lose against it. Length, price and blur have to fit one another.
#
# ### Plain ascent and Adam, clamp and sigmoid
#
# Any optimiser can climb, as long as it gets the gradient. To keep pixels in [0, 1] you may clamp them, or let the optimiser move other
# numbers $z$, free to be anything, and show $x = \sigma(z)$, the sigmoid. By the chain rule
#
# $$\frac{\partial J}{\partial z} = \frac{\partial J}{\partial x} \, x \, (1 - x) ,$$
#
# so that a pixel near black or white moves slowly, and never arrives. The next cell uses your step for the gradient and leaves the
# stepping to `torch.optim`. There is no blur in it, to let the optimisers show their own hand.


# %% example
def uphill(image, target, l2_reg, offset):
    """Return the gradient of J at `image`, measured on the shifted image and shifted back."""
    down, right = offset
    shifted = jitter(image, down, right)
    return jitter(class_visualization_step(shifted, target, model, l2_reg, 1.0) - shifted, -down, -right)


def optimised(target, start, make, squashed, steps=80, l2_reg=4e-3):
    """Return a picture of `target`, climbed to with an optimiser of PyTorch, with jitter and without blur.

    make: a function from a list of tensors to the optimiser. squashed: whether it moves the numbers behind a sigmoid,
    or else the pixels themselves, which are clamped after each step.
    """
    free = unsquash(start) if squashed else start.clone()
    optimiser = make([free])
    for offset in random_offsets(steps, start.shape[-1] // 11):
        image = squash(free) if squashed else free
        gradient = uphill(image, target, l2_reg, offset)
        free.grad = gradient * image * (1 - image) if squashed else gradient
        optimiser.step()
        if not squashed:
            free.clamp_(0, 1)
    return squash(free) if squashed else free


# %% figure="optimisers"
ways = {
    "plain, clamp": (lambda free: torch.optim.SGD(free, lr=0.3, maximize=True), False),
    "momentum, clamp": (lambda free: torch.optim.SGD(free, lr=0.03, momentum=0.9, maximize=True), False),
    "Adam, clamp": (lambda free: torch.optim.Adam(free, lr=0.02, maximize=True), False),
    "plain, sigmoid": (lambda free: torch.optim.SGD(free, lr=5.0, maximize=True), True),
    "Adam, sigmoid": (lambda free: torch.optim.Adam(free, lr=0.1, maximize=True), True),
}
rows = []
for target in progress(targets, "drawing", "class"):
    drawn = [optimised(target, fresh(), make, squashed) for make, squashed in ways.values()]
    rows.append([plots.picture(image[0], judged(image, target)) for image in drawn])
plots.panels(rows, heads=list(ways), names=[model.classes[target] for target in targets])

# %% [markdown]
# What to see: plain ascent spends its steps where the gradient is large, and leaves the rest of the start alone. Adam divides each
# pixel's gradient by its own recent size, so that every pixel moves by about the learning rate, the unimportant ones too: on the
# picture book that gives the highest scores and the harshest pictures. Clamp or sigmoid matters less than that, and none of the
# optimisers replaces the blur.
#
# ## 4.5 Score or log-probability
#
# Assignment 1 compared three quantities to differentiate. Here the difference is one you can see. For the log-probability,
# $\partial \log p_t / \partial x = g_t - \sum_c p_c \, g_c$: it asks for the target **against its rivals**, and it has had enough
# as soon as the network is sure. The score never has enough.
#
# Your step needs no change for this: put a layer behind the network, and its "score" is the log-probability.
# Since the gradients are smaller, so is the price.
#
# **Predict first:** which of the rows will show several copies of the object?

# %% figure="objectives"
objectives = {
    "score": (model, 4e-3),
    "log-probability": (nn.Sequential(model, nn.LogSoftmax(dim=1)), 3e-4),
    "probability": (nn.Sequential(model, nn.Softmax(dim=1)), 3e-4),
}
rows = []
for network, l2_reg in progress(objectives.values(), "drawing", "row"):
    drawn = [(target, draw(target, network, fresh(seed), l2_reg=l2_reg)) for target in targets for seed in (0, 1)]
    rows.append([plots.picture(image[0], judged(image, target)) for target, image in drawn])
plots.panels(
    rows, heads=[model.classes[target] for target in targets for _ in (0, 1)], names=list(objectives), width=1.7
)

# %% [markdown]
# What to see: the score fills the page: a second head scores as much as the first. On the picture book, the log-probability
# draws less, paler, and **one** object on clean grey. (With SqueezeNet it is no paler, and its score stays far lower.) Once the network is sure, its gradient is nearly zero, only the price is left,
# and takes away whatever is not needed to stay sure. The probability has the same direction, since $\partial p_t = p_t \,
# \partial \log p_t$, and the steps are normalised; but against the price it is weaker by the factor $p_t$. With ten classes
# it starts near 0.1 and gets away. With a thousand it starts near 0.001, and the price wins: the picture stays grey.
#
# ## 4.6 Which network?
#
# So far one network has drawn: for the picture book, one that was trained **adversarially**, on pictures changed so as to fool it
# (assignment 3). Here are all ten classes of the picture book by that network, by its score and by its log-probability, all from
# one start. This section always uses the picture book.

# %% example
book = {
    "standard": load_model("picturebook", device="cpu"),
    "ViT": load_model("picturebook-vit", device="cpu"),
    "robust": load_model("picturebook-robust", device="cpu"),
}


def drawings(network, l2_reg=4e-3, seed=0):
    """Return one drawing for each class of the picture book, (10, 3, 64, 64)."""
    start = cloud(64, seed, cells=16)
    classes = progress(range(10), "drawing", "class")
    return torch.cat([draw(target, network, start, seed=seed, l2_reg=l2_reg) for target in classes])


def recognised(images, judge):
    """Return how many of ten drawings, one for each class in order, the network `judge` names right."""
    with torch.no_grad():
        return int((judge(images).argmax(dim=1) == torch.arange(10)).sum())


# %% figure="ten"
robust = book["robust"]
by_score = drawings(robust)
by_log_probability = drawings(nn.Sequential(robust, nn.LogSoftmax(dim=1)), 3e-4)
plots.panels(
    [[plots.picture(image) for image in images] for images in (by_score, by_log_probability)],
    heads=robust.classes,
    names=["score", "log-probability"],
    width=1.3,
)

# %% [markdown]
# What to see: ten things that anybody can name. The score draws more than one of many: two flowers, three trees, an umbrella
# with three handles. Nobody has told it how many there should be.
#
# Now the same recipe and start for three networks, one of each kind. All three name nearly every scene of the picture
# book right:
#
# - the **standard** network has the architecture of the robust one, and was trained on clean and noisy scenes;
# - the **vision transformer** (ViT) reads the picture in patches of 8 x 8 pixels, and compares each with all others;
# - the **robust** network.
#
# Each set of ten drawings is shown to the two networks that did *not* draw it, which makes 20 answers.
#
# **Predict first:** whose drawings do the others recognise, and will that be the ones that you recognise?

# %% figure="networks"
rows, names = [], []
for drawer, network in book.items():
    images = drawings(network)
    rows.append([plots.picture(image) for image in images])
    right = sum(recognised(images, judge) for other, judge in book.items() if other != drawer)
    names.append(f"{drawer}\n{right} of 20")
plots.panels(
    rows, heads=book["robust"].classes, names=names, width=0.85, title="below the name: right answers of the others"
)

# %% [markdown]
# What to see: the robust network's drawings are clear to the other networks and to you. The standard network draws **fragments**, again and
# again: wheels, eyes, petals, masts. You would not call that a car or a cat, but the other networks do. They were trained on the same
# pictures, and have found the same fragments useful. The ViT's drawings are hardly anything to anybody else. So there are two questions,
# whether a drawing looks right to you, and whether it is more than a private quirk of one network; they can have different answers.
# Show the log-probability's drawings to the ViT: to you they may be the clearest of all, and it names only about half of them. They hold
# what *one* network needs to be sure, and no more.
#
# Why does adversarial training help? A network that may be fooled by small changes has a steep score in directions that you cannot see,
# and the ascent takes them first. Training against such changes has flattened them; what is left to climb is large and visible.
#
# ## 4.7 Hidden channels
#
# A class score is only the last of many numbers. A hidden layer has channels, and each is a filter whose answer you can raise
# in the same way. Let $A$ be the layer's output, (1, channels, h, w). You climb the mean of one channel,
#
# $$a_k(x) = \frac{1}{h w} \sum_{ij} A_{kij}(x), \qquad
# x \;\leftarrow\; x + \eta \, \frac{\partial a_k / \partial x}{\lVert \partial a_k / \partial x \rVert} .$$
#
# Activations of different layers have very different sizes, so this step is **normalised**: it is always $\eta$ long. The norm is
# the square root of the sum of squares over all pixels and channels of the image.
#
# For a 1 x 1 convolution you know the answer beforehand. Each output is a weighted sum of the three colours of one pixel, so the
# mean of channel $k$ has the same slope $w_k / (hw)$ at every pixel: the picture of the channel is its **colour**. A forward hook shows
# you the output of a layer in the middle of a network while it runs (assignment 2).

# %% example
colours = nn.Conv2d(3, 2, kernel_size=1, bias=False)
colours.weight.data = torch.tensor([[1.0, 0.5, -1.0], [-0.2, 0.0, 0.9]])[:, :, None, None]
little = nn.Sequential(colours, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).requires_grad_(False)

seen = []
handle = colours.register_forward_hook(lambda module, inputs, output: seen.append(output))
pixels = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
little(pixels)
handle.remove()  # or it would run, and keep a tensor alive, at every later call
for k in (0, 1):
    (slope,) = torch.autograd.grad(seen[0][:, k].mean(), pixels, retain_graph=True)
    print(f"channel {k}: slope times 16 at the first pixel {[round(16 * v, 2) for v in slope[0, :, 0, 0].tolist()]}")

# %% [markdown]
# ### Exercise 4.3: one step for a channel
#
# **Given** an image, a layer of the model, the number of a channel, the model and a learning rate. **Return** the image after one
# normalised step that raises the channel's mean activation. **Rule:** activations are the layer's output, with their sign. No clamp.
# The model is left without your hook, also when something goes wrong on the way.
#
# <details>
# <summary>The check says that a hook was left behind</summary>
#
# `register_forward_hook` returns a handle. Remove it when the model has run: `try: model(pixels)`, `finally: handle.remove()`.
#
# </details>
#
# <details>
# <summary>"element 0 of tensors does not require grad"</summary>
#
# What did your hook keep? `output.detach()` and `output.data` have no graph. Keep `output` itself, and run the model on the
# tensor whose gradient you want.
#
# </details>
#
# <details>
# <summary>IndexError: index 2 is out of bounds for dimension 0 with size 1</summary>
#
# The first axis counts images, the second one channels: `output[:, channel]`.
#
# </details>


# %% exercise="channel_visualization_step" minutes=25 difficulty=2
def channel_visualization_step(image, layer, channel, model, learning_rate):
    """Return the image after one normalised step that raises a hidden channel (after Erhan et al. 2009).

    Args:
        image: (1, 3, H, W) float tensor, float32 or float64; values outside [0, 1] are allowed.
        layer: a module inside `model` whose output is (N, channels, h, w).
        channel: int, the channel to raise, counted from 0.
        model: takes images (N, 3, H, W); in eval mode.
        learning_rate: the length of the step, in pixel units (L2 norm).

    Returns:
        (1, 3, H, W) new tensor, detached: image + learning_rate * g / ||g||, where g is the gradient, with respect to
        the image, of the mean of layer's output [:, channel], and ||g|| the L2 norm of all of g. The result is not
        clamped. An image at which g is zero is not part of the contract.

    Leaves image and model (parameters, mode, hooks, .grad) as they were.
    """
    ### BEGIN SOLUTION
    pixels = image.detach().clone().requires_grad_()
    outputs = []
    handle = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    try:
        model(pixels)
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(outputs[0][:, channel].mean(), pixels)
    return image.detach() + learning_rate * gradient / gradient.norm()
    ### END SOLUTION


# %% check="channel_visualization_step" points=4
checks.channel_visualization_step(channel_visualization_step)
### BEGIN HIDDEN TESTS
import contextlib

import torch

from helpers.checks.problems import drawing_problem, in_both_dtypes, left_of
from helpers.checks.state import Watched
from helpers.inside.emit import Named, emit, state_of

channel_visualization_step = Watched(channel_visualization_step)


def layer_problem(seed, path, **options):
    """An image far from mid grey, a layer by its path in the network, and the model."""
    image, _, model = drawing_problem(seed, **options)
    return image, model.network.get_submodule(path), model


def step(seed, path, channel, learning_rate, **options):
    image, layer, model = layer_problem(seed, path, **options)
    return channel_visualization_step(image, layer, channel, model, learning_rate)


def one_after_the_other():
    """Another image, another channel, and another network of the same size."""
    image, layer, model = layer_problem(421, "body.1")
    _, its_layer, another = layer_problem(427, "body.1")
    given = [(image, layer, 2, model), (image.flip(-1), layer, 2, model), (image, layer, 3, model)]
    return [channel_visualization_step(*each, 0.4) for each in [*given, (image, its_layer, 2, another)]]


def after_a_failure():
    """The hooks of a network that was given an image too small for its head, which stands behind the layer."""
    image, layer, model = layer_problem(428, "body.1", trainable=True)
    with contextlib.suppress(Exception):  # whoever stops at the layer meets none
        channel_visualization_step(image[..., :4, :4], layer, 2, model, 0.6)
    return Named({"the model's hooks, after a run that failed": state_of(model)["the model's hooks"]})


def second_step_and_left_as_found():
    image, layer, model = layer_problem(425, "body.1", trainable=True)
    channel_visualization_step(image, layer, 2, model, 0.6)
    result = channel_visualization_step(image, layer, 2, model, 0.6)
    memory = Named({"the result's memory, which is the caller's": result.data_ptr() == image.data_ptr()})
    left = left_of(result, image=image), state_of(model), after_a_failure()
    return result, memory, left, channel_visualization_step.left_torch


emit(
    "a convolution",
    lambda: [*one_after_the_other(), step(422, "body.1", 1, 2.5, size=(8, 6), classes=7)],
)
emit("early layers", lambda: [step(423, "stem.0", 3, 0.7), step(424, "stem.1", 1, 0.7), step(424, "stem", 2, 3.0)])
emit(
    "float32, a trainable network",
    lambda: step(426, "body.0", 1, 0.5, size=(7, 10), dtype=torch.float32, trainable=True),
)
emit(
    "the image's dtype",
    lambda: in_both_dtypes(
        lambda image, layer, model: channel_visualization_step(image, layer, 1, model, 0.5),
        lambda dtype: layer_problem(429, "body.1", dtype=dtype),
    ),
)
emit("a second call, everything left as found", second_step_and_left_as_found)
### END HIDDEN TESTS

# %% [markdown]
# The next figure draws six channels of four convolutions, from near the pixels to the last one.
#
# **Predict first:** from which depth on will you see objects?


# %% example
def channel_picture(layer, channel, start, steps=50):
    """Return a picture (1, 3, side, side) that drives one channel of a layer: coarse steps with blur, then short ones."""
    side = start.shape[-1]

    def step(image):
        return channel_visualization_step(image, layer, channel, model, side / 26)

    offsets = random_offsets(steps, side // 11)
    coarse = 4 * steps // 5
    image = synthesise(start, step, offsets[:coarse], 4, 1.0)
    return synthesise(image, normalised(step, side / 208), offsets[coarse:], 0, 1.0)


# %% figure="channels"
convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
depths = [round(share * (len(convolutions) - 1)) for share in (0, 0.35, 0.7, 1)]
rows = []
for depth in progress(depths, "drawing", "layer"):
    drawn = [channel_picture(convolutions[depth], channel, fresh()) for channel in range(6)]
    rows.append([plots.picture(image[0]) for image in drawn])
names = [f"convolution\n{depth + 1} of {len(convolutions)}" for depth in depths]
plots.panels(rows, heads=[f"channel {channel}" for channel in range(6)], names=names, width=1.25)

# %% [markdown]
# What to see: the first convolution likes colours: on the picture book its panels are flat. Stripes at the border of a panel
# are the network's and not the class's: around the picture, a convolution reads zeros (its padding), so that a sharp edge
# stands there already. The next layers like stripes, dots and other textures, and objects, or parts that go together,
# appear only near the end. One pattern fills the whole picture, since the mean runs over all places. On the picture
# book, one panel is black, and it is no mistake: what raises channel 3 of convolution 3 most is darkness. Objects of several
# classes may share a channel. In SqueezeNet, the last convolution has one channel for each class: its channels 0 to 5 are fish.
#
# ## 4.8 DeepDream
#
# DeepDream (Mordvintsev, Olah, Tyka 2015) does not choose a channel: it starts from a picture and raises whatever a layer already sees
# in it. Its objective is the mean square of all activations of the layer, whose slope favours the channels that are already loud.
# You can have that without a new step: cut the network off after the layer, and put one more layer behind, with a single channel,
# the mean square. Then `channel_visualization_step` climbs channel 0 of that.
#
# To get patterns of several sizes, the picture is dreamt at a third of its size first, then at two thirds, then whole
# (*octaves*); only what was changed is enlarged, so that the picture keeps its detail. The cell needs a network whose layers stand in
# a sequence called `features` and take any size, as SqueezeNet, VGG and the convolutional networks of the picture book do.


# %% example
class Loudness(nn.Module):
    """The mean square of the activations over the channels: (N, channels, h, w) to (N, 1, h, w)."""

    def forward(self, activations):
        return activations.square().mean(dim=1, keepdim=True)


def dream(image, layers, steps=15):
    """Return the picture (1, 3, side, side) with more of what the first `layers` layers of the model see in it."""
    loud = nn.Sequential(model.normalise, model.network.features[:layers], Loudness())
    full = image.shape[-1]
    for share in (1 / 3, 2 / 3, 1):
        side = 8 * round(share * full / 8)

        def step(image, side=side):
            return channel_visualization_step(image, loud[2], 0, loud, side / 26)

        small = F.interpolate(image, size=(side, side), mode="bilinear", antialias=True)
        better = synthesise(small, step, random_offsets(steps, 8), 0, 1.0)
        image = clamp(image + F.interpolate(better - small, size=(full, full), mode="bilinear"))
    return image


# %% figure="dream"
photo = len(model.classes) == 1000
awake = pictures.images[4:5] if photo else picture_book(1, seed=5, size=192).images.to(device)
depth = len(model.network.features)
middle = 3 * depth // 4
dreams = {
    f"layer {layers} of {depth}": dream(awake, layers) for layers in progress((middle, depth), "dreaming", "layer")
}
plots.panels([[plots.picture(image[0], name) for name, image in ({"awake": awake} | dreams).items()]], width=1.9)

# %% [markdown]
# What to see: the middle layer exaggerates strokes, dots and eyes wherever it finds a hint of them. The last layer turns shapes into
# the objects it was trained on: on the picture book an ear becomes an umbrella or a sail, and eyes become cars. Nothing of that was in
# the picture for you, and no class was asked for. It is the same ascent as before, with an objective that says: more of
# whatever you see.
#
# ## 4.9 Four claims to judge
#
# Each claim below is partly or wholly wrong. Say what holds, what does not, and why, in up to 200 words each.
#
# ### Claim 1: the sign that scored better
#
# Cleo typed a plus where the minus of the regulariser belongs. She noticed, compared, and writes: "With the plus sign the final score
# is twice as high, and the probability is 1.00 as well. The picture is bolder, too. So plus is the better regulariser, and I keep it."
# Judge her conclusion. What does the plus sign do to a pixel, and how would you have noticed the mistake without comparing scores?

# %% [markdown] question="q_sign" points=3 words=200
# ### BEGIN SOLUTION
# **Model answer.** With the plus, every step multiplies a pixel's distance from grey by $1 + 2 \eta \lambda$: it grows like compound
# interest, whatever the network says, until the clamp stops it at black or white. So it is no regulariser; it pays for what the
# regulariser is there to charge for. That the score is higher proves nothing: scores grow with contrast, jitter and blur
# make a picture better and *lower* the score (section 4.2), and the score is not what is maximised, $J$ is. A probability of
# 1.00 is reached by fooling images too. To notice: look at one step, not at the end. Where the network has no slope, a
# pixel must move towards grey, and a grey one must stay; or watch $\lVert x - \frac12 \rVert$, or the share of pixels at 0 and 1, which
# should fall when $\lambda$ is raised and rise instead.
#
# **Rubric.**
# - 1 point: the plus drives pixels away from grey, exponentially or until they are clamped: it rewards what should cost.
# - 1 point: the final score (or probability) does not measure the quality of the picture or the correctness of the step, with a reason.
# - 1 point: a test that would show it. One suffices: a single step on pixels that are not grey, the norm
#   $\lVert x - \frac12 \rVert$, or the share of saturated pixels.
# ### END SOLUTION

# %% [markdown]
# ### Claim 2: one smoother is enough
#
# Dan writes: "L2 and blur both make the picture smoother, so one of them is enough. I set `l2_reg` to 0 and blur twice as often." Judge the
# reason and the plan. For each of the two, describe a picture that it hardly touches and the other one destroys.

# %% [markdown] question="q_smooth" points=3 words=200
# ### BEGIN SOLUTION
# **Model answer.** Only the blur smooths. L2 looks at each pixel alone and charges for its distance from grey: a fine chessboard and
# a coarse one of the same contrast cost the same (the table of section 4.2), and a picture whose pixels are shuffled costs what it
# cost before. What L2 does is shrink: contrast that does not pay for itself in score goes, mostly in the background. The blur
# mixes neighbours: it removes what changes from pixel to pixel and hardly touches broad shapes, however strong their colours.
# So a large patch of saturated red passes the blur and is expensive under L2; a fine chessboard of low contrast is cheap under
# L2 and does not survive the blur. Without L2 and with more blur, nothing removes broad stains of colour that the start left
# or that cost no score, and shapes that matter get softer as well.
#
# **Rubric.**
# - 1 point: L2 does not smooth: it penalises distance from grey (large values), pixel by pixel, whatever the neighbours are.
# - 1 point: blur removes fine patterns (high frequencies) whatever their strength, **and** leaves broad ones.
# - 1 point: a picture for each that only the other one destroys, or an equivalent argument why neither replaces the other.
# ### END SOLUTION

# %% [markdown]
# ### Claim 3: what the standard network does not know
#
# Eve looks at the second figure of section 4.6, the drawings of three networks, and writes: "The standard network gives its own
# drawings a probability of 1.00, and I can hardly recognise one. So it has not learned what these things look like, and decides by
# meaningless patterns. The robust network has learned it, and sees as we do." Judge both halves, and say what adversarial training
# changes. Point to something in the figure. Propose a measurement that could prove one of the halves wrong.

# %% [markdown] question="q_network" points=3 words=200
# ### BEGIN SOLUTION
# **Model answer.** The drawings are made by leaving all pictures that the network was trained on. Training fixed its answers
# on scenes, where it is right nearly always, so it has learned what tells these things apart *there*; nothing fixed
# its answers elsewhere, and the ascent goes where the score rises fastest. That a pattern without meaning *can* raise a score
# does not show that the decision on scenes rests on it. The drawings are not meaningless, either: they hold parts of the object, again and
# again, and the other networks name nearly all of them. For the robust network, small changes were forbidden to move the score much, so
# that the ascent must change what is large and visible. That makes drawings readable. It does not make the network see as
# we do: it draws heads on heads and umbrellas with three handles, and gives such a picture a higher score than a scene. To measure:
# cover parts of objects in real scenes and see which covering changes the answer of each network; let other networks, or people who
# do not know the target, name the drawings; count correct answers on scenes with noise or other colours.
#
# **Rubric.**
# - 1 point: drawings lie outside the data, so poor ones do not show that the network decides by meaningless patterns on scenes.
# - 1 point: readable drawings do not mean human vision, with an observation in the figure (copies, odd shapes, wrong numbers of
#   parts) **and** what adversarial training changes: small changes may not move the score, so the ascent makes large, visible ones.
# - 1 point: a measurement on scenes or with independent judges that could come out against the claim.
# ### END SOLUTION

# %% [markdown]
# ### Claim 4: the channel that detects cars
#
# Finn draws the channels of the last convolution and finds one whose picture shows cars. He writes: "This channel detects cars. On other
# pictures it is silent, and if I remove it, the network can no longer tell cars." Judge each of the three statements: does it follow
# from the picture? For the last two, say what you would measure, and with what you would compare it.

# %% [markdown] question="q_channel" points=3 words=200
# ### BEGIN SOLUTION
# **Model answer.** The picture shows *one* image that drives the mean of the channel up strongly, found from one start; it says that
# something in these cars (wheels, dark arcs, a coloured bar over dark circles) is a strong stimulus. It does not say that nothing else is: other
# starts may end elsewhere, and a channel can answer to several unlike things. So "detects cars" is a hypothesis. "Silent on
# others" does not follow at all, since no other picture was looked at. Measure the channel's mean on a few hundred scenes of each
# class, compare the distributions, and look at the scenes that drive it most. "Needed for cars" does not follow either. The score of
# a class is a sum over many channels, others may do the same work, and this one may count little. Set the channel to zero and count
# the correct answers on cars and on the other classes. Do the same with channels chosen at random, as a control.
#
# **Rubric.**
# - 1 point: the picture shows a strong stimulus, not everything that drives the channel. "One maximum from one start" earns it too.
# - 1 point: silence elsewhere does not follow, **and** the measurement: activations on real pictures of cars and of other classes.
# - 1 point: necessity does not follow, **and** the measurement: remove (zero) the channel and count, compared with other channels
#   or with the other classes.
# ### END SOLUTION

# %% [markdown]
# ## Check yourself
#
# Six questions, as often as you like; nothing is recorded.

# %% local
# @title Quiz
from helpers.widgets import quiz

quiz("04_class_visualization")

# %% [markdown]
# ## Recap
#
# - A class is drawn by climbing $J(x) = s_t(x) - \lambda \lVert x - \frac12 \rVert^2$. Check the *step*; the final score rewards mistakes.
# - L2 shrinks what does not pay, blur removes what is fine, jitter what needs an exact place, clamping what no picture can be.
#   Jitter and blur lower the score; L2 at this strength hardly changes it.
# - Start, length, optimiser and objective change the drawing. Say which you used, and show more than one start.
# - How readable a drawing is depends most of all on how the network was trained.
# - A drawing is a stimulus the network likes, not a statement about the pictures it was trained on.
#
# ## Further reading
#
# - Simonyan, Vedaldi, Zisserman 2014, [arXiv:1312.6034](https://arxiv.org/abs/1312.6034): section 2, figure 1.
# - Erhan, Bengio, Courville, Vincent 2009, *Visualizing Higher-Layer Features of a Deep Network*, technical report 1341,
#   Université de Montréal: hidden units drawn by ascent.
# - Yosinski, Clune, Nguyen, Fuchs, Lipson 2015, *Understanding Neural Networks Through Deep Visualization*,
#   [arXiv:1506.06579](https://arxiv.org/abs/1506.06579): *Visualizing via Regularized Optimization*, L2 decay, blur and two more,
#   compared.
# - Olah, Mordvintsev, Schubert 2017, *Feature Visualization*, [doi:10.23915/distill.00007](https://doi.org/10.23915/distill.00007): on the
#   many faces of one channel, and on better directions than the gradient.
# - Mordvintsev, Olah, Tyka 2015, *Inceptionism: Going Deeper into Neural Networks*: DeepDream.
# - Engstrom and others 2019, *Adversarial Robustness as a Prior for Learned Representations*,
#   [arXiv:1906.00945](https://arxiv.org/abs/1906.00945): why robust networks draw well.

# %% [markdown] mistakes="class_visualization_step"
# = pixels = image.detach().clone().requires_grad_()
# + pixels = model.normalise(image).detach().requires_grad_()
# = score = model(pixels)[0, target]
# + score = model.network(pixels)[0, target]
# You take the slope at the normalised image: it is that at the pixels times `std`. Differentiate at the pixels, and let
# `model` normalise them.
# ~ slope at the normalised image
#
# = score = model(pixels)[0, target]
#
# + score = model(pixels).max()
# You ascend the largest score, whatever class it belongs to. Take the score of the target: model(pixels)[0,
# target].
# ~ target is not used
#
# + score = model(pixels).softmax(dim=1)[0, target]
# You ascend the softmax probability, whose slope vanishes where the network is sure of something else: there is no
# way to start. Use the raw score.
# ~ a softmax
#
# + score = model(pixels).log_softmax(dim=1)[0, target]
# You ascend the log-probability (the cross-entropy, negated), which also pushes all other scores down. It is worth
# an experiment, and section 4.5 makes it; the step takes the raw score.
# ~ a log-softmax
#
# + score = model(pixels)[0, target] - l2_reg * (pixels - 0.5).norm()
# = return image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))
# + return image.detach() + learning_rate * gradient
# Your price is the norm, not its square: then the pull has the same length whether the picture is near grey or far
# from it. Use ||x - 0.5||^2, whose gradient is 2 (x - 0.5).
# ~ norm is not squared
#
# = score = model(pixels)[0, target]
# + score = model(pixels)[0, target] - l2_reg * ((pixels - 0.5) ** 2).mean()
# = return image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))
# + return image.detach() + learning_rate * gradient
# Your price is a mean over the pixels, which makes it thousands of times smaller. The contract sums the squares
# over all pixels and channels.
# ~ a mean where
#
# = score = model(pixels)[0, target]
# + score = model(pixels)[0, target] - l2_reg * ((pixels - 0.5).abs()).sum()
# = return image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))
# + return image.detach() + learning_rate * gradient
# Your price is the sum of the distances from grey, not of their squares: every pixel is pulled equally hard, however
# near to grey it is. Use ||x - 0.5||^2, whose gradient is 2 (x - 0.5).
# ~ an L1 norm
#
# = score = model(pixels)[0, target]
# + score = model(pixels)[0, target] - l2_reg * (pixels.diff(dim=2).square().sum() + pixels.diff(dim=3).square().sum())
# = return image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))
# + return image.detach() + learning_rate * gradient
# Your price is a total variation, which charges for differences between neighbours. This one charges for each pixel's
# distance from mid grey.
# ~ a total variation
#
# = score = model(pixels)[0, target]
# + score = model(pixels)[0, target] - l2_reg * (model.normalise(pixels) ** 2).sum()
# = return image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))
# + return image.detach() + learning_rate * gradient
# You compute the price after the normalisation. It is that of the pixels, counted from mid grey.
# ~ after `model.normalise`
#
# = score = model(pixels)[0, target]
# + scores = model(pixels)
# + score = scores[0, target] - l2_reg * (scores**2).sum()
# = return image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))
# + return image.detach() + learning_rate * gradient
# You regularise the scores: the price is computed from the model's output. It is the image that must not stray far
# from grey.
# ~ small scores
#
# = (gradient,) = torch.autograd.grad(score, pixels)
# + score.backward()
# + gradient = pixels.grad
# .backward() also wrote into .grad of the model's parameters. Ask for the gradient at the pixels alone:
# torch.autograd.grad(objective, pixels), or backward(inputs=[pixels]).
# ~ .grad
#
# = return image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))
#
# + return image.detach() + learning_rate * gradient
# Your regulariser has no effect: it is left out, or computed from a detached tensor, whose gradient is zero.
# Subtract 2 * l2_reg * (image - 0.5) from the gradient, or compute the price from the tensor you differentiate.
# ~ missing, or computed from a detached
#
# + return image.detach() + learning_rate * (gradient + 2 * l2_reg * (image.detach() - 0.5))
# Your regulariser has the wrong sign: it pays for distance from grey instead of charging for it. The picture looks
# bolder and scores higher, and runs away to black and white. Subtract 2 * l2_reg * (image - 0.5).
# ~ sign of the regulariser
#
# + return image.detach() + learning_rate * (gradient - 2 * l2_reg * image.detach())
# You pull the pixels towards black: the centre of the regulariser is mid grey. Replace image by image - 0.5 in the
# price.
# ~ towards black
#
# + return image.detach() + learning_rate * (gradient - 4 * l2_reg * (image.detach() - 0.5))
# You pull twice as hard as you should: the gradient of (x - 0.5)^2 is 2 (x - 0.5).
# ~ has the factor 2 once
#
# + return image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - image.mean()))
# You pull the pixels towards the image's own mean. The centre of the regulariser is mid grey, 0.5, whatever the image.
# ~ own mean
#
# + return learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))
# You return the change and not the image after it. Add it to the image.
# ~ the change alone
#
# + return image.detach() + learning_rate**2 * (gradient - 2 * l2_reg * (image.detach() - 0.5))
# The learning rate is a factor twice. Multiply the gradient of J by it once.
# ~ a factor twice
#
# + return (image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))).float()
# You return float32, whatever the image is. Return the image's dtype: leave `.float()` out.
# ~ torch.float32 tensor
#
# + return image.detach() + learning_rate * (gradient - l2_reg * (image.detach() - 0.5))
# The factor 2 is missing: the gradient of (x - 0.5)^2 is 2 (x - 0.5).
# ~ has a factor 2
#
# + return image.detach() + learning_rate * gradient - 2 * l2_reg * (image.detach() - 0.5)
# The learning rate multiplies the gradient of the score alone. It belongs to both terms: learning_rate * (gradient
# - 2 * l2_reg * (image - 0.5)).
# ~ learning rate belongs to the whole
#
# + moved = image.detach() + learning_rate * gradient
# + return moved - learning_rate * 2 * l2_reg * (moved - 0.5)
# You ascend first and then pull the new image towards grey. Both terms of the gradient are taken at the old image.
# ~ taken at the old image
#
# + direction = gradient - 2 * l2_reg * (image.detach() - 0.5)
# + return image.detach() + learning_rate * direction / direction.norm()
# You normalise the gradient. This step is the raw one: image + learning_rate * gradient; the loop decides about
# lengths.
# ~ a normalisation
#
# + return image.detach() + learning_rate * (gradient / gradient.norm() - 2 * l2_reg * (image.detach() - 0.5))
# You normalise the gradient of the score before you subtract the pull towards grey, so that l2_reg means something
# else. This step is the raw one: no normalisation.
# ~ a normalisation
#
# + saliency = gradient.abs().amax(dim=1, keepdim=True)
# + return image.detach() + learning_rate * (saliency - 2 * l2_reg * (image.detach() - 0.5))
# You step along the saliency map. Its absolute value has lost which way is up, and its maximum over the channels
# has lost which channel. Use the gradient itself.
# ~ lose the direction
#
# + return image.detach() - learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))
# You go downhill: the picture loses what the class is made of. Add the gradient of J to the image.
# ~ downhill
#
# + return image.detach() - learning_rate * (gradient + 2 * l2_reg * (image.detach() - 0.5))
# You descend on the score and still pull towards grey, as if s_target were a loss to be made small. Add the
# gradient of the score; only the price is subtracted.
# ~ downhill
#
# + return (image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))).clamp(0, 1)
# You clamp the result to [0, 1]. The step leaves values as they come; the loop clamps.
# ~ a clamp in the step
#
# + return (image.detach() + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))).squeeze(0)
# Your result has lost its batch axis. Return (1, 3, H, W): leave squeeze and [0] out.
# ~ drops the batch axis
#
# + return pixels + learning_rate * (gradient - 2 * l2_reg * (image.detach() - 0.5))
# Your result still requires a gradient: a loop of a hundred steps would drag all hundred graphs along. Return a
# detached tensor.
# ~ detach
#
# + image += learning_rate * (gradient - 2 * l2_reg * (image - 0.5))
# + return image
# You change the caller's image in place (+=, add_, .data). Return a new tensor: image + learning_rate * ...
# ~ in place
#
# + pixels = pixels + learning_rate * (gradient - 2 * l2_reg * (pixels - 0.5))
# + return image
# The image comes back as it went in: a new tensor was bound to a name inside the function and never returned.
# Return the sum.
# ~ never returned


# %% mutant="class_visualization_step" says="You switch the caller's image to requires_grad and read image.grad: on a second call the gradients pile up. Work on image.detach().clone().requires_grad_()." visible="requires_grad_()"
def class_visualization_step(image, target, model, l2_reg, learning_rate):
    image.requires_grad_()
    objective = model(image)[0, target] - l2_reg * ((image - 0.5) ** 2).sum()
    objective.backward(inputs=[image])
    return image.detach() + learning_rate * image.grad


# %% variant="class_visualization_step"
def class_visualization_step(image, target, model, l2_reg, learning_rate):
    pixels = image.clone().requires_grad_()
    objective = model(pixels)[0, target] - l2_reg * torch.sum((pixels - 0.5) ** 2)
    objective.backward(inputs=[pixels])
    return (pixels + learning_rate * pixels.grad).detach()


# %% variant="class_visualization_step"
def class_visualization_step(image, target, model, l2_reg, learning_rate):
    pixels = nn.Parameter(image.detach().clone())
    optimiser = torch.optim.SGD([pixels], lr=learning_rate, maximize=True)
    score = model(pixels)[:, target].sum()
    price = l2_reg * (pixels - 0.5).norm() ** 2
    (score - price).backward(inputs=[pixels])
    optimiser.step()
    return pixels.data


# %% variant="class_visualization_step"
def class_visualization_step(image, target, model, l2_reg, learning_rate):
    """Weight decay is this regulariser, once the image is counted from grey."""
    centred = (image.detach() - 0.5).requires_grad_()
    optimiser = torch.optim.SGD([centred], lr=learning_rate, weight_decay=2 * l2_reg)
    (-model(centred + 0.5)[0, target]).backward(inputs=[centred])
    optimiser.step()
    return centred.detach() + 0.5


# %% variant="class_visualization_step"
def class_visualization_step(image, target, model, l2_reg, learning_rate):
    def objective(x):
        return model(x).squeeze(0)[target] - l2_reg * ((x - 0.5) ** 2).sum()

    return (image + learning_rate * torch.func.grad(objective)(image)).detach()


# %% variant="class_visualization_step"
def class_visualization_step(image, target, model, l2_reg, learning_rate):
    pixels = torch.tensor(image.tolist(), dtype=image.dtype, device=image.device, requires_grad=True)
    loss = F.nll_loss(model(pixels), torch.tensor([target], device=image.device))  # of raw scores: the score, negated
    loss.backward(inputs=[pixels])
    with torch.no_grad():
        pixels -= learning_rate * pixels.grad
        pixels -= 2 * learning_rate * l2_reg * (image - 0.5)
    return pixels.detach()


# %% variant="class_visualization_step"
import copy


def class_visualization_step(image, target, model, l2_reg, learning_rate):
    frozen = copy.deepcopy(model)
    pixels = image.detach().clone().requires_grad_(True)
    frozen(pixels)[0][target].backward()
    decay = 1 - 2 * learning_rate * l2_reg
    return 0.5 + decay * (image - 0.5) + learning_rate * pixels.grad


# %% [markdown] mistakes="synthesise"
# = for k, (down, right) in enumerate(offsets, start=1):
#
# + for k, (right, down) in enumerate(offsets, start=1):
# Down and right are exchanged. An offset is (down, right), and jitter takes them in this order.
# ~ in this order
#
# + for k, (down, right) in enumerate(offsets):
# You count the iterations from 0, so that the very first one is blurred and the others come one too late. Count
# from 1: enumerate(offsets, start=1).
# ~ counted from 0
#
# + for k, (down, right) in enumerate(reversed(offsets), start=1):
# You go through the offsets from the last to the first. The first iteration has the first offset.
# ~ offset of another iteration
#
# + for k, (down, right) in enumerate([offsets.pop(0) for _ in range(len(offsets))], start=1):
# You take the offsets out of the caller's list, which is empty afterwards. Go through it with a for loop.
# ~ the list is changed
#
# + first = image
# + for k, (down, right) in enumerate(offsets, start=1):
# = shifted = step(jitter(image, down, right))
# + shifted = step(jitter(first, down, right))
# Every iteration starts from the first image again, so that only the last one counts. Go on from the image of the
# iteration before.
# ~ from the first image again
#
# = shifted = step(jitter(image, down, right))
# = image = clamp(jitter(shifted, -down, -right))
#
# + image = clamp(step(image))
# There is no jitter: the step always sees the picture in the same place. Shift it before the step and back after
# it.
# ~ apply it to the shifted one
#
# + shifted = step(jitter(image, -down, -right))
# + image = clamp(jitter(shifted, down, right))
# You shift back before the step instead of forth. The order is jitter(image, down, right), step, jitter(..., -down,
# -right).
# ~ exchanged
#
# + shifted = step(jitter(clamp(image), down, right))
# + image = jitter(shifted, -down, -right)
# You clamp before the step, so that its result goes on unclamped. Clamp what the step returns.
# ~ clamp before the step
#
# = image = clamp(jitter(shifted, -down, -right))
#
# + image = clamp(shifted)
# The shift is not undone: the picture wanders about with the offsets. Apply jitter(..., -down, -right) to what the
# step returns.
# ~ not undone
#
# + image = clamp(jitter(shifted, down, right))
# You shift a second time in the same direction instead of back. Change both signs: jitter(..., -down, -right).
# ~ second shift in the same direction
#
# + image = jitter(shifted, -down, -right)
# Nothing is clamped: values leave [0, 1] and stay there. Clamp at the end of the step, in every iteration.
# ~ no clamp
#
# + image = jitter(shifted, -down, -right)
# + image = (image - image.min()) / (image.max() - image.min())
# You stretch the image to [0, 1] after each step, which changes every pixel. Clamp it: values inside stay as they are.
# ~ rescaled
#
# + image = jitter(shifted, -down, -right).sigmoid()
# You press the image through a sigmoid, which changes every pixel. Clamp it: values inside stay as they are.
# ~ rescaled
#
# + image[:] = clamp(jitter(shifted, -down, -right))
# = image = blur(image, sigma)
# + image[:] = blur(image, sigma)
# You write the result into the caller's image (image[:] = ..., copy_). Bind a name to the new tensor instead.
# ~ in place
#
# = image = clamp(jitter(shifted, -down, -right))
# + image = clamp(shifted)
# = return image
# +     image = jitter(image, -down, -right)
# + return image
# You blur before you shift back, so that the picture's borders are mixed in the wrong place. Shift back, clamp,
# then blur.
# ~ before the second jitter
#
# = image = clamp(jitter(shifted, -down, -right))
# + image = jitter(shifted, -down, -right)
# = return image
# +     image = clamp(image)
# + return image
# You blur first and clamp afterwards. Clamp first: a value of 3 would spread over its neighbours before it is cut
# off.
# ~ blurred before it was clamped
#
# = image = clamp(jitter(shifted, -down, -right))
# + image = jitter(shifted, -down, -right)
# = return image
# + return clamp(image)
# You clamp once, when all iterations are over. In between the picture strays outside [0, 1], and the steps start
# from there. Clamp in every iteration.
# ~ after the last iteration only
#
# = for k, (down, right) in enumerate(offsets, start=1):
# + for k, (down, right) in enumerate(offsets, start=1):
# +     if blur_every and k % blur_every == 0:
# +         image = blur(image, sigma)
# = if blur_every and k % blur_every == 0:
# = image = blur(image, sigma)
# +
# You blur before the step. The blur is the last of an iteration: shift, step, shift back, clamp, blur.
# ~ stands before the step
#
# = if blur_every and k % blur_every == 0:
# + if k % max(1, blur_every) == 0:
# You blur where blur_every is 0, which means never.
# ~ which means never
#
# = image = blur(image, sigma)
#
# + image = blur(image, 1.0)
# Your blur has one strength, whatever sigma is. Pass sigma on.
# ~ strength `sigma`
#
# = if blur_every and k % blur_every == 0:
#
# + if blur_every:
# You blur after every iteration. Blur where k is a multiple of blur_every, and never if that is 0.
# ~ every iteration
#
# = if blur_every and k % blur_every == 0:
# = image = blur(image, sigma)
# +
# You never blur. Blur the clamped image where k is a multiple of blur_every.
# ~ there is no blur
#
# = return image
#
# + return blur(image, sigma) if blur_every else image
# You blur once more at the end. Blur where k is a multiple of blur_every, and nowhere else.
# ~ at the beginning or at the end
#
# + return image.float()
# You return float32, whatever the image is. Return the image's dtype: leave `.float()` out.
# ~ torch.float32 tensor
#
# +     return image
# You return inside the loop, after the first iteration. Return when the loop is over.
# ~ `return` inside the loop


# %% variant="synthesise"
def synthesise(image, step, offsets, blur_every, sigma):
    result = image.clone()
    k = 0
    while k < len(offsets):
        shift = tuple(offsets[k])
        result = step(torch.roll(result, shifts=shift, dims=(2, 3)))
        result = torch.roll(result, shifts=(-shift[0], -shift[1]), dims=(2, 3)).clip(0, 1)
        k += 1
        if blur_every > 0 and k % blur_every == 0:
            result = blur(result, sigma)
    return result


# %% variant="synthesise"
def synthesise(image, step, offsets, blur_every, sigma):
    """Clamping and shifting may change places: clamping treats every pixel alike."""
    for k, (down, right) in enumerate(offsets):
        moved = clamp(step(jitter(image, down, right)))
        moved = jitter(jitter(moved, -down, 0), 0, -right)
        due = blur_every != 0 and (k + 1) % blur_every == 0
        image = blur(moved, sigma) if due else moved
    return image


# %% variant="synthesise"
def synthesise(image, step, offsets, blur_every, sigma):
    if not offsets:
        return image.clone()
    *before, (down, right) = offsets
    image = synthesise(image, step, before, blur_every, sigma)
    image = jitter(step(jitter(image, down, right)), -down, -right)
    image = torch.minimum(torch.maximum(image, torch.zeros_like(image)), torch.ones_like(image))
    return blur(image, sigma) if blur_every and len(offsets) % blur_every == 0 else image


# %% variant="synthesise"
import math

from torchvision.transforms import functional as transforms


def synthesise(image, step, offsets, blur_every, sigma):
    size = 2 * math.ceil(3 * sigma) + 1
    countdown = blur_every
    for down, right in offsets:
        height, width = image.shape[-2:]
        ys = (torch.arange(height) - down) % height
        xs = (torch.arange(width) - right) % width
        shifted = step(image[:, :, ys][:, :, :, xs])
        image = shifted[:, :, (torch.arange(height) + down) % height][..., (torch.arange(width) + right) % width]
        image = image.clamp(min=0).clamp(max=1)
        countdown -= 1
        if countdown == 0:
            image = transforms.gaussian_blur(image, [size, size], [sigma, sigma])
            countdown = blur_every
    return image


# %% [markdown] mistakes="channel_visualization_step"
# = pixels = image.detach().clone().requires_grad_()
# + pixels = image.requires_grad_()
# = (gradient,) = torch.autograd.grad(outputs[0][:, channel].mean(), pixels)
# + outputs[0][:, channel].mean().backward(inputs=[image])
# + gradient = image.grad
# You switch the caller's image to requires_grad and read image.grad: on a second call the gradients pile up. Work
# on image.detach().clone().requires_grad_().
# ~ requires_grad_()
#
# = pixels = image.detach().clone().requires_grad_()
# + pixels = model.normalise(image).detach().requires_grad_()
# = model(pixels)
# + model.network(pixels)
# You take the slope at the normalised image: it is that at the pixels times `std`. Differentiate at the pixels, and let
# `model` normalise them.
# ~ slope at the normalised image
#
# = handle = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
#
# + handle = model.cam_layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
# You always watch the last feature map, model.cam_layer. Put the hook on the layer that was passed in.
# ~ another layer
#
# + handle = layer.register_forward_hook(lambda module, inputs, output: outputs.append(inputs[0]))
# Your hook keeps what goes into the layer. Its third argument is the output: keep that one.
# ~ keep `output`
#
# = handle.remove()
# + pass
# Your hook stays on the layer: it runs at every later call and keeps its output alive. Remove it: handle.remove().
# ~ never removed
#
# + layer._forward_hooks.clear()
# You remove all hooks of the layer, those of the caller's as well. Remove your own by its handle: handle.remove().
# ~ hooks of the caller's
#
# = try:
# = model(pixels)
# = finally:
# = handle.remove()
# + model(pixels)
# + handle.remove()
# Your hook stays on the layer when the model fails, since the line that removes it is never reached. Put it into a
# `finally` clause.
# ~ stays when the model fails
#
# = (gradient,) = torch.autograd.grad(outputs[0][:, channel].mean(), pixels)
#
# + (gradient,) = torch.autograd.grad(model(pixels)[0, channel], pixels)
# You raise a class score: channel was taken for a class. The activations come from the layer's output, by a hook.
# ~ another output of the model
#
# + (gradient,) = torch.autograd.grad(outputs[0][:, channel - 1].mean(), pixels)
# You raise the channel before the one that was asked for. Channels are counted from 0.
# ~ counted from 0
#
# + (gradient,) = torch.autograd.grad(outputs[0][:, channel].abs().mean(), pixels)
# You raise the mean of absolute activations: negative ones then grow more negative. Activations count with their sign.
# ~ absolute activations
#
# + (gradient,) = torch.autograd.grad(outputs[0].mean(), pixels)
# You raise all channels of the layer together: the channel is not used. Take outputs[:, channel].
# ~ channel is not used
#
# + (gradient,) = torch.autograd.grad(outputs[0][channel].mean(), pixels)
# outputs[channel] picks an image of the batch, not a channel: the first axis counts images. Take outputs[:,
# channel].
# ~ second axis
#
# + (gradient,) = torch.autograd.grad(outputs[0][:, channel].max(), pixels)
# You raise the largest activation of the channel, one place of it. The contract asks for the mean over all places.
# ~ largest activation
#
# + height, width = outputs[0].shape[2:]
# + (gradient,) = torch.autograd.grad(outputs[0][0, channel, height // 2, width // 2], pixels)
# You raise the activation in the middle of the channel. The contract asks for the mean over all places.
# ~ one place
#
# + (gradient,) = torch.autograd.grad(outputs[0][:, channel].relu().mean(), pixels)
# You apply a ReLU to the activations, so that places with negative ones have no slope. Activations count with their
# sign.
# ~ a ReLU
#
# + (gradient,) = torch.autograd.grad((outputs[0][:, channel] ** 2).mean(), pixels)
# You raise the mean square of the channel (its norm), as DeepDream does for whole layers: negative activations then
# grow more negative. The contract asks for the mean.
# ~ a square
#
# + outputs[0][:, channel].mean().backward()
# + gradient = pixels.grad
# .backward() also wrote into .grad of the model's parameters. Ask for the gradient at the pixels alone:
# torch.autograd.grad(mean, pixels), or backward(inputs=[pixels]).
# ~ .grad
#
# = return image.detach() + learning_rate * gradient / gradient.norm()
#
# + return image.detach() + learning_rate * gradient
# The gradient is not normalised, so the length of your step depends on the layer. Divide by gradient.norm().
# ~ not normalised
#
# + return image.detach() + learning_rate * gradient / (gradient**2).sum()
# You divide by the squared norm: a flat slope then gives a huge step. Divide by the norm.
# ~ squared norm
#
# + return image.detach() + learning_rate * gradient / gradient.flatten(2).norm(dim=2)[..., None, None]
# You normalise each colour channel by itself, which changes the direction. The norm is one number, over all pixels
# and channels: gradient.norm().
# ~ whole gradient
#
# + return image.detach() + learning_rate * gradient / gradient.abs().max()
# You divide by the largest value of the gradient. The contract asks for its L2 norm, gradient.norm().
# ~ largest value
#
# + return image.detach() + learning_rate * gradient / gradient.std()
# You divide by the standard deviation of the gradient. The contract asks for its L2 norm, gradient.norm().
# ~ standard deviation
#
# + return image.detach() + learning_rate * gradient / gradient.abs().sum()
# You divide by the L1 norm, the sum of sizes. The contract asks for the L2 norm, gradient.norm().
# ~ L1 norm
#
# + return image.detach() + learning_rate * gradient / gradient.square().mean().sqrt()
# You divide by the root mean square, so that your steps grow with the number of pixels. Divide by the L2 norm,
# gradient.norm().
# ~ root mean square
#
# + return (image.detach() + learning_rate * gradient / gradient.norm()).float()
# You return float32, whatever the image is. Return the image's dtype: leave `.float()` out.
# ~ torch.float32 tensor
#
# + return image.detach() + learning_rate * gradient.sign()
# You step by the sign of the gradient, as FGSM does: every pixel moves equally far. Use the gradient divided by its
# norm.
# ~ `sign`
#
# + return image.detach() + gradient / gradient.norm()
# The learning rate is not used: every step has length 1. Multiply the normalised gradient by it.
# ~ learning rate is not used
#
# + return image.detach() - learning_rate * gradient / gradient.norm()
# You go downhill: the picture loses what the channel answers to. Add the gradient.
# ~ downhill
#
# + return (image.detach() + learning_rate * gradient / gradient.norm()).clamp(0, 1)
# You clamp the result to [0, 1]. The step leaves values as they come; the loop clamps.
# ~ a clamp in the step
#
# + return pixels + learning_rate * gradient / gradient.norm()
# Your result still requires a gradient: a loop of a hundred steps would drag all hundred graphs along. Return a
# detached tensor.
# ~ detach
#
# + image += learning_rate * gradient / gradient.norm()
# + return image
# You change the caller's image in place (+=, add_, .data). Return a new tensor: image + learning_rate * ...
# ~ in place


# %% variant="channel_visualization_step"
def channel_visualization_step(image, layer, channel, model, learning_rate):
    """The sum in place of the mean: the same direction."""
    pixels = image.clone().requires_grad_()
    kept = {}

    def keep(module, inputs, output):
        kept["output"] = output

    with layer.register_forward_hook(keep):  # a handle removes its hook at the end of a `with`
        model(pixels)
    kept["output"][:, channel].sum().backward(inputs=[pixels])
    return (pixels + learning_rate * F.normalize(pixels.grad, dim=(1, 2, 3))).detach()


# %% variant="channel_visualization_step"
def channel_visualization_step(image, layer, channel, model, learning_rate):
    """No hook at all: the layer's forward, replaced for one call."""
    pixels, outputs = image.detach().clone().requires_grad_(), []
    forward = layer.forward

    def watched(*inputs):
        outputs.append(forward(*inputs))
        return outputs[-1]

    layer.forward = watched
    try:
        model(pixels)
    finally:
        del layer.forward
    gradient = torch.autograd.grad(outputs[0][0, channel].mean(), pixels)[0]
    return image + gradient * (learning_rate / torch.linalg.vector_norm(gradient))


# %% variant="channel_visualization_step"
class Enough(Exception):
    """The layer has spoken; the rest of the network need not run."""


def channel_visualization_step(image, layer, channel, model, learning_rate):
    pixels = image.detach().clone().requires_grad_()

    def stop(module, inputs, output):
        slope = torch.autograd.grad(output.mean(dim=(2, 3))[0, channel], pixels)[0]
        raise Enough(slope)

    handle = layer.register_forward_hook(stop)
    try:
        model(pixels)
    except Enough as enough:
        (gradient,) = enough.args
    finally:
        handle.remove()
    length = gradient.pow(2).sum().sqrt() + 1e-12
    return (image + learning_rate * gradient / length).detach()


# %% variant="channel_visualization_step"
import copy


def channel_visualization_step(image, layer, channel, model, learning_rate):
    """On a copy of the model, which may keep its hook."""
    path = next(path for path, module in model.named_modules() if module is layer)
    model = copy.deepcopy(model)
    pixels, outputs = nn.Parameter(image.detach().clone()), []
    model.get_submodule(path).register_forward_hook(lambda module, inputs, output: outputs.append(output))
    model(pixels)
    F.adaptive_avg_pool2d(outputs[0], 1)[0, channel, 0, 0].backward()
    pixels.grad /= pixels.grad.norm()
    torch.optim.SGD([pixels], lr=learning_rate, maximize=True).step()
    return pixels.detach()


# %% variant="channel_visualization_step"
def channel_visualization_step(image, layer, channel, model, learning_rate):
    """The slope arrives at a hook on the activations' tensor, and goes on from there."""
    pixels, outputs = image.detach().clone().requires_grad_(True), []
    with torch.enable_grad():
        handle = layer.register_forward_hook(lambda _, __, output: outputs.append(output))
        try:
            model(pixels)
        finally:
            handle.remove()
        one_hot = torch.zeros_like(outputs[0])
        one_hot[:, channel] = 1 / outputs[0][0, 0].numel()
        (gradient,) = torch.autograd.grad(outputs[0], pixels, grad_outputs=one_hot)
    unit = gradient / gradient.flatten().dot(gradient.flatten()).sqrt()
    return torch.add(image, unit, alpha=learning_rate)
