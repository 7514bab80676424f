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
# # 8 Investigation: two open studies
#
# You have built the methods. Now you choose the question, the data, the network and the method, and you report what
# you found, with what speaks against it.
#
# **You will**
#
# - **visualise a class** by an optimisation of your own, and vary one choice at a time;
# - **explain predictions** by a method of your choice, for a standard and an adversarially trained network;
# - **report** each study so that somebody else could repeat it, and could contradict it.
#
# **Time** about 8 hours, 120 minutes of it for the exercises. **Points** 64 for two exercises, 136 for ten reports:
# 100 for each study. **Prerequisites** assignments 1 to 4; assignment 6 for study 2. **Papers** K. Simonyan, A.
# Vedaldi, A. Zisserman, *Deep Inside Convolutional Networks*, 2014,
# [arXiv:1312.6034](https://arxiv.org/abs/1312.6034). For study 1 also C. Olah, A. Mordvintsev, L. Schubert, *Feature
# Visualization*, 2017, [doi:10.23915/distill.00007](https://doi.org/10.23915/distill.00007).
#
# There is no single right answer. The machine checks what can be checked of any honest answer, and says what it
# found; everything else, a person reads. Each report says how its points are given.
#
# | symbol | meaning | shape |
# |---|---|---|
# | $x$ | image, values in [0, 1] | (3, H, W) |
# | $t$ | target: the class to draw | a number |
# | $y$ | label: the class you ask about | a number |
# | $s_c(x)$ | score of class $c$, before any softmax | a number |
# | $M$ | map: how much each pixel speaks for $y$ | (H, W) |

# %% setup
import tempfile

import torch
from IPython.display import display
from torch.nn import functional as F

from helpers import plots
from helpers.benchmarks import benchmark
from helpers.checks import investigation as checks
from helpers.models import load_model
from helpers.pictures import mistakes, picture_book, picture_pairs
from helpers.progress import progress
from helpers.sounds import draw_sounds
from helpers.sounds.files import own_sounds
from helpers.sounds.shown import panel, play
from helpers.sounds.spectrogram import masked, sounds_of, spectrograms
from helpers.spread import bootstrap
from helpers.synthesis import blur, clamp, cloud, jitter, normalised, squash, unsquash
from helpers.training import train_classifier

# %% [markdown]
# ## 8.1 Data and networks
#
# Both studies need pictures, a **standard** network, a **robust** one (trained adversarially, as in assignment 3),
# and a **judge**: a network that started from other first weights and has no part in what you make. The picture book
# brings all of them. So does any public data set that `helpers/benchmarks.py` knows (CIFAR10, CIFAR100, MNIST,
# FashionMNIST, KMNIST, USPS, SVHN, EuroSAT, STL10, Flowers102 and more): put its name in the next cell. It is
# downloaded once, with torchvision's own bar, and three small networks learn it: reckon with half an hour on a CPU,
# or a few minutes on a GPU. Interrupt the cell when you like. Run it again, and it goes on after the last finished
# epoch.

# %%
DATA = "picture book"  # or "CIFAR10", "FashionMNIST", "EuroSAT", ...

if DATA == "picture book":
    pictures = picture_book(10, seed=80)
    networks = {
        "standard": load_model("picturebook", device="cpu"),
        "robust": load_model("picturebook-robust", device="cpu"),
    }
    judge = load_model("picturebook-seed1", device="cpu")
else:
    pictures, lessons = benchmark(DATA, 10), benchmark(DATA, 5000, "train")
    lessons_options = {"epochs": 12, "mirrored": "MNIST" not in DATA and DATA not in ("USPS", "SVHN")}
    networks = {
        "standard": train_classifier(lessons, f"{DATA}-standard", **lessons_options),
        "robust": train_classifier(lessons, f"{DATA}-robust", attack_radius=1.0, **lessons_options),
    }
    judge = train_classifier(lessons, f"{DATA}-judge", seed=1, **lessons_options)

classes, side = pictures.classes, pictures.images.shape[-1]
print(f"{DATA}: {len(classes)} classes, pictures of 3 x {side} x {side}")

# %% [markdown]
# How well does a network do on pictures it has not seen? Ask that before you explain anything. Below, a network of
# four classes and 32 x 32 pixels, trained in a few seconds. `attack_radius` is the L2 radius of the attack in each
# step of an adversarial training, in pixel units: 1.0 for pictures of 32 x 32 is strong enough to see a difference,
# and more needs longer.


# %% example
def judged(image, target, network=None):
    """Return in words how probable the judge, or another network, finds the target in an image (1, 3, H, W)."""
    asked = network or judge
    with torch.no_grad():
        probability = float(asked(image).softmax(dim=1)[0, target])
    return f"{'network' if network else 'judge'}: {probability:.2f}"


chosen = [classes.index(name) for name in ("cat", "flower", "car", "tree")] if DATA == "picture book" else [0, 1, 2, 3]
small = picture_book(256, seed=1, size=32, labels=[chosen[k % 4] for k in range(256)])
fresh = picture_book(80, seed=2, size=32, labels=[chosen[k % 4] for k in range(80)])
with tempfile.TemporaryDirectory() as folder:  # so that this demonstration leaves no checkpoint
    pupil = train_classifier(small, "four-classes", epochs=4, folder=folder)
with torch.no_grad():
    right = (pupil(fresh.images).argmax(dim=1) == fresh.labels).float().mean()
print(f"right on {len(fresh)} new scenes: {right:.2f}")

# %% [markdown]
# ## 8.2 Study 1: visualise a class
#
# Find an image that a network takes for a class, by an optimisation **unlike that of assignment 4**. There, each step
# added the gradient of the score, minus a pull to grey, to the pixels; the loop jittered, clamped and blurred. The
# next cell has it once more, for comparison. What could be different:
#
# - **what is optimised**: not pixels but what makes them, such as waves (a Fourier transform), a pyramid of small
#   images, or a sigmoid of free numbers;
# - **what is asked for**: the log-probability, the score against its rivals, a price on edges (total variation);
# - **how**: Adam, momentum, L-BFGS, steps by the sign, a population without gradients;
# - **what it must withstand**: noise, shifts, turns, other sizes, a second network.


# %% example
def drawn_as_in_4(target, model, start, steps, rate=1.0, l2_reg=4e-3):
    """Return a drawing by the recipe of assignment 4: normalised steps, a pull to grey, jitter, clamp and blur."""

    def step(image):
        pixels = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(pixels)[0, target], pixels)
        return image + gradient - 2 * l2_reg * (image - 0.5)

    go, image, generator = normalised(step, rate), start, torch.Generator().manual_seed(0)
    for k in range(1, steps + 1):
        down, right = torch.randint(-4, 5, (2,), generator=generator).tolist()
        image = clamp(jitter(go(jitter(image, down, right)), -down, -right))
        if k % 4 == 0:
            image = blur(image, 0.5)
    return image


drawing = drawn_as_in_4(0, networks["robust"], cloud(side), 60)
print(f"the recipe of assignment 4 draws {classes[0]!r}; {judged(drawing, 0)}")

# %% [markdown]
# ### Exercise 8.1: your own way to draw a class
#
# **Given** a target, a model, a start and a number of steps. **Return** an image. **Rule:** whatever you do, the
# image begins at the start: with 0 steps it comes back, up to 0.05 in any pixel. More arguments of your own are
# welcome, with defaults: you need them for the reports.
#
# **What the machine checks**, in eight parts: the picture is valid; it begins at the start; the score of its class
# rises; its first two steps are not those of assignment 4; ten classes give ten different pictures; networks of other
# first weights, which you never see, name at least half of them right, after 40 steps of 48 x 48 pixels on the robust
# network of the picture book; its dtype; and all is left as it was.
#
# <details>
# <summary>With 0 steps, my picture is not the start</summary>
#
# If you optimise free numbers, begin with those that make the start: `unsquash(start)` for a sigmoid, the inverse of
# your transform for waves, zeros for what is added to it.
#
# </details>
#
# <details>
# <summary>Other networks do not name my drawing</summary>
#
# Look at it. Is there a drawing, hidden by grain? Jitter, blur, a price on edges, or fewer waves of short length take
# grain away. Is it pale? Then 40 steps are too short: take longer ones.
#
# </details>
#
# <details>
# <summary>"torch's seed changed", "NumPy's random numbers changed"</summary>
#
# Draw random numbers by `torch.rand` and the like, or from a `torch.Generator()` of your own. A seed that you set is
# everybody's seed.
#
# </details>


# %% exercise="my_visualisation" minutes=60 difficulty=3
def my_visualisation(target, model, start, steps, rate=0.05, price=0.003, fall=1.0):
    """Return an image that a network takes for a class, by an optimisation of your own.

    Args:
        target: int, the class to draw.
        model: images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        start: (1, 3, H, W) float tensor, float32 or float64, values in [0, 1], of any size that the model takes.
        steps: how many steps to take, 0 or more.
        Further arguments are yours, and have defaults.

    Returns:
        (1, 3, H, W) new tensor, detached, of the start's dtype, finite values in [0, 1]. With 0 steps, the start, up to
        0.05 in each pixel. With more, an image on which the score of the target is higher.

    Leaves start and model (parameters, mode, hooks, .grad) as they were, and the seeds of torch, NumPy and Python.
    """
    ### BEGIN SOLUTION
    # The image is a sum of waves, and the waves are what learns. Each has a size that falls with its frequency, as in
    # photographs: so Adam, which moves all numbers equally far, moves the long waves more.
    height, width = start.shape[2:]
    down, right = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    sizes = torch.hypot(down, right).clamp(min=1 / max(height, width)).to(start) ** -fall
    waves = torch.view_as_real(torch.fft.rfft2(unsquash(start.detach()), norm="ortho") / sizes)
    waves = waves.clone().requires_grad_()
    optimiser = torch.optim.Adam([waves], lr=rate)

    def image():
        return squash(torch.fft.irfft2(torch.view_as_complex(waves) * sizes, s=(height, width), norm="ortho"))

    for _ in range(steps):
        drawn = image()
        edges = drawn.diff(dim=2).abs().sum() + drawn.diff(dim=3).abs().sum()
        score = model(jitter(drawn, *torch.randint(-4, 5, (2,)).tolist()))[0, target]
        loss = price * edges - score
        optimiser.zero_grad()
        loss.backward(inputs=[waves])
        optimiser.step()
    return image().detach()
    ### END SOLUTION


# %% check="my_visualisation" points=40
checks.my_visualisation(my_visualisation)
### BEGIN HIDDEN TESTS
from functools import cache

import torch

from helpers.checks import investigation as study
from helpers.checks.named import Named
from helpers.checks.problems import left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of, where_finite
from helpers.synthesis import cloud

my_visualisation = Watched(my_visualisation)


def seeded(seed, *given):
    """Return the picture that is drawn with these random numbers, torch's own."""
    torch.manual_seed(seed)
    return my_visualisation(*given)


def on_a_tiny_network(seed, target, steps, size=(12, 16), **options):
    start = study.start_of(seed, size, options.get("dtype", torch.float64))
    return seeded(seed, target, study.sure_network(seed, size, **options), start, steps)


@cache
def ten_drawings():
    start = cloud(study.SIDE, seed=85)
    return [seeded(850 + target, target, study.book(), start.clone(), study.STEPS) for target in range(10)]


def dtypes():
    results = [(on_a_tiny_network(856, 1, 2, dtype=dtype), dtype) for dtype in (torch.float64, torch.float32)]
    return [(where_finite(result), Named({"the result's dtype": result.dtype == dtype})) for result, dtype in results]


def left_as_found():
    start, model = study.start_of(857), study.sure_network(857, trainable=True)
    seeded(857, 3, model, start, 2)
    result = seeded(858, 3, model, start, 3)
    return where_finite(result), left_of(result, start=start), state_of(model), my_visualisation.left_torch


emit(
    "pictures with values in [0, 1], for three sizes",
    lambda: [
        on_a_tiny_network(851, 2, 12),
        on_a_tiny_network(852, 0, 30, (9, 11), classes=7),
        on_a_tiny_network(853, 3, 5, (16, 8), dtype=torch.float32),
    ],
)
emit("with 0 steps, the start", lambda: [on_a_tiny_network(seed, 1, 0) for seed in (854, 855)])
emit(
    "the score rises, on two networks",
    lambda: [
        seeded(86, target, study.book(name), cloud(study.SIDE, seed=86), study.FEW)
        for name in ("picturebook-robust", "picturebook")
        for target in (2, 7)
    ],
)
emit("another optimisation than that of assignment 4", lambda: [on_a_tiny_network(859, 2, steps) for steps in (1, 2)])
emit("ten classes, ten pictures", ten_drawings)
emit("drawings that networks of other first weights name", ten_drawings)
emit("the start's dtype", dtypes)
emit("everything left as found", left_as_found)
### END HIDDEN TESTS

# %% judge="my_visualisation"
import torch

from helpers.checks import investigation as study
from helpers.course.marks.compare import Finding, close
from helpers.synthesis import cloud


def judge(part, got, want, given):
    """Judge pictures by what they must be, whatever made them, and the facts by their values."""
    if [array.shape for array in got] != [array.shape for array in want] or any(
        mine.dtype.kind != theirs.dtype.kind for mine, theirs in zip(got, want)
    ):
        return False
    if part in ("the start's dtype", "everything left as found"):
        return all(map(close, got, want))
    images = [torch.tensor(array) for array in got]
    if not all(map(study.is_picture, images)):
        return Finding(False, "values are outside [0, 1], or not finite")
    if part.startswith("with 0 steps"):
        away = max(float((x - study.start_of(seed)).abs().max()) for x, seed in zip(images, (854, 855)))
        return Finding(away <= 0.05, f"{away:.2f} away from the start at most")
    if part.startswith("the score rises"):
        start = cloud(study.SIDE, seed=86)
        asked = [(name, target) for name in ("picturebook-robust", "picturebook") for target in (2, 7)]
        rises = [study.rise(start, x, target, study.book(name)) for x, (name, target) in zip(images, asked)]
        told = ", ".join(f"{rise:+.1f}" for rise in rises)
        return Finding(min(rises) > 0 and study.distinct(images) == len(images), f"the scores change by {told}")
    if part.startswith("another optimisation"):
        known = study.is_ascent_of_assignment_4(study.start_of(859), *images, 2, study.sure_network(859))
        return Finding(not known, "the first two steps are " + ("those of it" if known else "other ones"))
    if part.startswith("ten classes"):
        number = study.distinct(images)
        return Finding(number == 10, f"{number} of 10 differ from each other")
    if part.startswith("drawings"):
        hits = study.told_by_others(torch.cat(images), range(10))
        return Finding(hits >= 5, f"{hits} of 10 are named right")
    return True


# %% [markdown]
# The cells below carry out the study on the picture book, with the function above. They are a scaffold: change them,
# or add cells of your own. First the recipe of assignment 4 and yours, from one start.

# %% figure="two-ways"
network, shown = networks["robust"], (0, 3, 5, 7, 9)
rows = []
for draw in progress((drawn_as_in_4, my_visualisation), "drawing", "row"):
    torch.manual_seed(0)
    drawn = [draw(target, network, cloud(side), 100) for target in shown]
    rows.append([plots.picture(image[0], judged(image, target)) for image, target in zip(drawn, shown)])
plots.panels(rows, heads=[classes[target] for target in shown], names=["assignment 4", "mine"])

# %% [markdown]
# ### Report 1.1: what you optimise, and why (20 points)
#
# Say what your image is made of, what is raised or lowered, by which optimiser, and what the image must withstand.
# Say what each of these is for, and in which respect the optimisation differs from that of assignment 4. Show a
# drawing of each, of the same class from the same start, and say what your way gains and what it loses.

# %% [markdown] question="q_drawing" points=20 words=300
# ### BEGIN SOLUTION
# **Model answer.** The image is a sum of waves (a Fourier transform of free numbers, through a sigmoid). Adam raises
# the score minus a price on edges (total variation), on an image that is shifted by up to 4 pixels before each step,
# at random. The waves, divided by their frequency, let long waves learn fast: whole shapes come first, where
# assignment 4 begins with fine patterns. What becomes of the drawing without the division (`fall=0`), I have not
# shown. The sigmoid keeps pixels in [0, 1], so that nothing is clamped. The price makes the ground clean and flat:
# without it (`price=0`, in report 1.3) the ground is covered with scribble. The shift forbids what needs an exact
# place. Assignment 4 optimises pixels with a normalised gradient, pulls them to grey and blurs; here no gradient is
# normalised, nothing is pulled to grey or blurred, and the machine found that the first two steps are other ones.
# Gain: clean ground, crisp lines, and the judge gives each of the five at least the probability it gives to the
# drawing of assignment 4, but for one that is equal. Loss: colours are harsh, black and white rule, shapes are cut
# off at the border, and the object is repeated: three cars, two trees. A step costs a Fourier transform more.
#
# **Rubric.**
# - 5 points: what is optimised, what for, and by which optimiser, so that a reader could write it again.
# - 5 points: what each part is for, said of the image: what is seen where it is left out.
# - 5 points: it differs from assignment 4 in more than a number; the machine's finding on the first two steps is
#   read.
# - 5 points: both ways beside each other, from one start, with a gain **and** a loss.
# ### END SOLUTION

# %% [markdown]
# Two classes, from six starts.

# %% figure="starts"
starts = {
    "clouds": cloud(side),
    "other clouds": cloud(side, seed=1),
    "black": torch.zeros(1, 3, side, side),
    "white": torch.ones(1, 3, side, side),
    "noise": torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)),
    f"a picture: {pictures.names[6]}": pictures.images[6:7],
}
rows = [[plots.picture(start[0]) for start in starts.values()]]
for target in progress((0, 9), "drawing", "row"):
    torch.manual_seed(0)
    drawn = [my_visualisation(target, networks["robust"], start, 100) for start in starts.values()]
    rows.append([plots.picture(image[0], judged(image, target)) for image in drawn])
plots.panels(rows, heads=list(starts), names=["start", classes[0], classes[9]], width=1.5)

# %% [markdown]
# ### Report 1.2: the initial image (10 points)
#
# Draw two classes from at least five starts: two that differ by chance alone, black, white, a picture of another
# class. What of the start can still be seen? What is the same whatever the start, and is it the network's or your
# method's?

# %% [markdown] question="q_start" points=10 words=200
# ### BEGIN SOLUTION
# **Model answer.** Six starts, two classes, 100 steps each. The two clouds differ by chance alone: the place, the
# number and the colours of the objects differ, so these are chance, too. From the picture of a house a cat and
# umbrellas come that show nothing of the house; only the ground keeps its violet. Noise gives more objects and more
# colours. Black leaves a black ground, with parts of the object in it, which the judge still names (0.98 and 0.99).
# From white, nothing comes: the judge gives 0.06 and 0.20. The same from all that work: stripes for umbrellas, eyes
# and ears for cats; those are the network's. That white stays white is my method's: a white pixel is a sigmoid at its
# end, where its slope is 0.01 instead of 0.25, and the first small edges cost more than they bring. To prove it I
# would start from white without the price, and from 0.9 instead of 1.
#
# **Rubric.**
# - 3 points: five starts or more, two of which differ by chance alone, for two classes.
# - 4 points: what stays of a start, and what is the same for all, pointed at in the figure.
# - 3 points: the network's share told from the method's, with a reason or an experiment.
# ### END SOLUTION

# %% [markdown]
# One class, one start, and one parameter at a time.

# %% figure="parameters"
rates, prices = (0.003, 0.01, 0.03, 0.1, 0.3), (0.0, 0.001, 0.003, 0.01, 0.03)
rows, target = [], 7
for settings in progress(
    ([{"rate": rate} for rate in rates], [{"price": price} for price in prices]), "drawing", "row"
):
    torch.manual_seed(0)
    drawn = [my_visualisation(target, networks["robust"], cloud(side), 100, **setting) for setting in settings]
    words = [" ".join(f"{name} {value}" for name, value in setting.items()) for setting in settings]
    rows.append([plots.picture(x[0], f"{setting}\n{judged(x, target)}") for x, setting in zip(drawn, words)])
plots.panels(rows, names=["learning rate", "price on edges"], width=1.5)

# %% [markdown]
# ### Report 1.3: the optimiser's parameters (10 points)
#
# Vary one at a time: the learning rate over at least two orders of magnitude, and one more of your own. Where does it
# break, and how does that look? Which setting did you choose, on which grounds, and before or after you had seen the
# ten examples?

# %% [markdown] question="q_parameters" points=10 words=200
# ### BEGIN SOLUTION
# **Model answer.** Rates from 0.003 to 0.3, prices from 0 to 0.03, each alone, one class (car), one start. At rates
# of 0.003 and 0.01 the price wins: the clouds are smoothed away, and the judge gives 0.04. From 0.03 on there are
# cars; at 0.3 they fill the page in pure colours, and the judge is as sure as ever (1.00), although I find this one
# the worst. Without a price the ground is scribbled over; at 0.003 it is clean; at 0.01 and 0.03 the picture is
# empty. So the two hang together: what counts is whether the first steps bring more score than they cost. I chose
# 0.05 and 0.003 by eye, on six classes, all of which are among the ten examples. So the examples are no test of the
# settings: another start is, and for the ten I used the jitter of another seed only. With the choice made on three
# classes, the other seven would have been one.
#
# **Rubric.**
# - 4 points: the learning rate over two orders of magnitude and another parameter, each alone.
# - 3 points: where it breaks at both ends, and how that looks.
# - 3 points: the choice and its grounds, and that it was made on other pictures than those shown as examples (or was
#   not).
# ### END SOLUTION

# %% [markdown]
# How long? Above each drawing stands what the network that draws says, and what the judge says.

# %% figure="steps"
counts, rows = (1, 5, 20, 80, 320), []
for target in progress((0, 3), "drawing", "row"):
    torch.manual_seed(0)
    drawn = [my_visualisation(target, networks["robust"], cloud(side), count) for count in counts]
    rows.append([plots.picture(x[0], judged(x, target, networks["robust"]) + "\n" + judged(x, target)) for x in drawn])
plots.panels(
    rows, heads=["1 step", *(f"{count} steps" for count in counts[1:])], names=[classes[0], classes[3]], width=1.5
)

# %% [markdown]
# ### Report 1.4: the steps (10 points)
#
# Show the drawing after 1, 5, 20, 80 and 320 steps, with the score and what the judge says. When is the network that
# draws sure? When is the judge? When are you? What does each of the three miss?

# %% [markdown] question="q_steps" points=10 words=200
# ### BEGIN SOLUTION
# **Model answer.** After 1 step nobody sees anything. After 5 the network that draws gives the cat 1.00 and the
# flower 0.56, the judge 0.86 and 0.57; I see a pale patch with eyes, and no flower. After 20 the network is sure of
# both, the judge gives 0.96 and 0.87, and I recognise both. After 80 the ground is clean. After 320 a second cat and
# a second flower have come, and the probabilities have hardly moved. So the network is convinced first, the judge
# soon after, I last: five steps would have been a fooling image for one of them. The score keeps growing after the
# probability is 1.00, and it pays for a second object, which I did not ask for. I take 100 steps, by looking. The
# network misses that nothing can be recognised, the judge misses that there are two, and I cannot say which detail
# the class hangs on.
#
# **Rubric.**
# - 3 points: five numbers of steps over two orders of magnitude, with scores or probabilities of both networks.
# - 4 points: when each of the three is convinced: the drawing network, the judge, the student.
# - 3 points: what follows for a number of steps, or why a score is no measure of a drawing.
# ### END SOLUTION

# %% [markdown]
# Ten classes, one setting, nothing chosen.

# %% figure="ten-drawings"
torch.manual_seed(0)
ten = range(min(10, len(classes)))
drawn = [my_visualisation(target, networks["robust"], cloud(side), 100) for target in progress(ten, "drawing", "class")]
panels = [plots.picture(image[0], f"{classes[target]}\n{judged(image, target)}") for target, image in zip(ten, drawn)]
plots.panels([panels[:5], panels[5:]], width=1.5)

# %% [markdown]
# ### Report 1.5: ten examples (10 points)
#
# Ten drawings of ten classes, or of as many as your data have, all with the same settings. None is chosen: say which
# seeds you used, and show the failures. How many does the judge name right? How many do you, or somebody who has not
# seen the names? The machine has done the same with your function, and has told you what it found (`ten classes, ten
# pictures`, and `drawings that networks of other first weights name`).

# %% [markdown] question="q_ten_drawings" points=10 words=200
# ### BEGIN SOLUTION
# **Model answer.** All ten classes, seed 0, the same start and settings, none left out. The judge names all ten, with
# 0.95 or more. I recognise eight at once, and the butterfly and the house at a second look; but I had read the names,
# and one who has not is still to be asked. The machine found that networks of other first weights name the drawings
# of 48 pixels, too. The house is the weakest for a person: it is rows of windows and doors without a building around
# them. The butterfly has wings on all sides. What the weak ones have in common: the parts that the network counts
# repeat (windows, wing spots, eyes), and the whole is larger than what one unit of the last map sees. The judge does
# not mind, since it counts parts in the same way.
#
# **Rubric.**
# - 4 points: ten different drawings (or all classes there are), with one setting and none chosen, or the choice told.
# - 3 points: how many another network names, **and** how many a person does.
# - 3 points: a failure looked at, or what the classes that fail have in common.
# ### END SOLUTION

# %% [markdown]
# ## 8.3 Study 2: explain a prediction
#
# Which pixels speak for a label? You have half a dozen answers from assignments 1, 2 and 6, and what speaks against
# each. Choose one of them, improve it, or take another:
#
# - from **gradients**: saliency, SmoothGrad, integrated gradients, gradients at many baselines;
# - from **activations**: Grad-CAM, enlarged to the size of the picture;
# - from **changes**: occlusion, random masks (RISE), or a linear model of patches that are switched on and off
#   (LIME).
#
# ### Exercise 8.2: your own way to explain a prediction
#
# **Given** images, a label for each, and a model. **Return** a map for each image: the higher, the more the pixel
# speaks for the label. **Rule:** each map is about its own image and its own label, whatever else is in the batch;
# the scale is yours.
#
# **What the machine checks**, in eight parts: maps of the right shape with finite values; a label changes its own map
# and no other; another network and another picture get other maps; of two objects in a scene of the picture book, the
# one that is asked about ranks higher than when the other one is asked about, in at least 9 of 12 cases; dark and
# black pictures; ten pictures get ten different maps; the dtype; and all is left as it was.
#
# <details>
# <summary>The check finds NaN for a black picture, or for a network without slopes</summary>
#
# Something is divided by its largest value, which is 0. Leave the scaling out, or divide by
# `largest.clamp(min=1e-12)`.
#
# </details>
#
# <details>
# <summary>The maps of images 0 and 2 change with the label of image 1</summary>
#
# A scaling by the largest value of the whole batch, or a score that is summed over all pairs of image and label.
# Noise can do it, too: draw it in the same order whatever the labels are.
#
# </details>
#
# <details>
# <summary>Other networks or sizes than the picture book's raise an error</summary>
#
# Take sizes from the images: `images.shape[2:]`. The last feature map is `model.cam_layer`, whatever its name is.
#
# </details>


# %% exercise="my_explanation" minutes=60 difficulty=3
def my_explanation(images, labels, model, samples=24, sigma=1.0):
    """Return how much each pixel speaks for a label, by a method of your choice.

    Args:
        images: (N, 3, H, W) float tensor, float32 or float64, values in [0, 1], of any size that the model takes.
        labels: (N,) int64 tensor, the class that each image is asked about; not always the predicted one.
        model: a Classifier: images (N, 3, H, W) -> unnormalised scores (N, classes), in eval mode.
        Further arguments are yours, and have defaults.

    Returns:
        (N, H, W) new tensor, detached, of the images' dtype, finite values: the higher, the more the pixel speaks for
        the label. Each map depends on its own image and label alone.

    Leaves images, labels and model (parameters, mode, hooks, .grad) as they were, and the seeds of torch, NumPy and
    Python.
    """
    ### BEGIN SOLUTION
    # Integrated gradients from mid grey, at places of chance on noisy paths. The noise is the same for all images, so
    # that a map does not depend on its place in the batch.
    generator = torch.Generator().manual_seed(0)
    away, total = images - 0.5, torch.zeros_like(images)
    for _ in range(samples):
        share = torch.rand((), generator=generator).to(images)
        noise = 0.1 * torch.randn(images.shape[1:], generator=generator).to(images)
        pixels = (0.5 + share * away + noise).detach().requires_grad_()
        own = model(pixels).gather(1, labels[:, None])
        total += torch.autograd.grad(own.sum(), pixels)[0] * away
    return blur(total.detach() / samples, sigma).sum(dim=1)
    ### END SOLUTION


# %% check="my_explanation" points=24
checks.my_explanation(my_explanation)
### BEGIN HIDDEN TESTS
import torch

from helpers.checks import investigation as study
from helpers.checks.named import Named
from helpers.checks.problems import left_of
from helpers.checks.state import Watched
from helpers.inside.emit import emit, state_of, where_finite
from helpers.pictures import picture_pairs

my_explanation = Watched(my_explanation)


def seeded(seed, images, labels, model):
    """Return the maps that are made with these random numbers, torch's own."""
    torch.manual_seed(seed)
    return my_explanation(images.clone(), labels.clone(), model)


def on_a_tiny_network(seed, *given, **options):
    return seeded(seed, *study.explained_problem(seed, *given, **options))


def asked_about_each(problem):
    """Return maps of three images, and of the same ones when each of the labels is another one, one after the other."""
    images, labels, model = problem
    changes = [torch.zeros(3, dtype=torch.int64), *torch.eye(3, dtype=torch.int64)]
    return [seeded(82, images, (labels + change) % 5, model) for change in changes]


def of_other_networks_and_pictures(seed):
    images, labels, model = study.explained_problem(seed, 3)
    *_, other = study.explained_problem(seed + 50, 3)
    return [
        seeded(83, images, labels, model),
        seeded(83, images, labels, other),
        seeded(83, images.flip(-1), labels, model),
    ]


def of_two_objects():
    pictures = picture_pairs(6, seed=90)
    return [seeded(84, pictures.images, pictures.labels[:, k], study.book()) for k in (0, 1)]


def of_dark_pictures():
    images, labels, model = study.explained_problem(861, 2)
    flat = study.tiny_network(861, (12, 16), gain=0)
    return [
        where_finite(seeded(86, factor * images, labels, network)) for factor, network in ((0.01, model), (0, flat))
    ]


def of_ten_scenes():
    scenes = study.ten_scenes(seed=87)
    return seeded(87, scenes.images, scenes.labels, study.book())


def dtypes():
    results = [(on_a_tiny_network(862, 2, dtype=dtype), dtype) for dtype in (torch.float64, torch.float32)]
    return [(where_finite(result), Named({"the result's dtype": result.dtype == dtype})) for result, dtype in results]


def left_as_found():
    images, labels, model = study.explained_problem(863, 2, trainable=True)
    my_explanation(images, labels, model)
    result = my_explanation(images, labels, model)
    return (
        where_finite(result),
        left_of(result, images=images, labels=labels),
        state_of(model),
        my_explanation.left_torch,
    )


emit(
    "maps of three images, of one, and of another size",
    lambda: [
        on_a_tiny_network(864, 3),
        on_a_tiny_network(865, 1, (9, 11), classes=7),
        on_a_tiny_network(866, 2, (16, 8), dtype=torch.float32),
    ],
)
emit("a label changes its own map alone", lambda: asked_about_each(study.explained_problem(867, 3)))
emit("another network, another picture", lambda: of_other_networks_and_pictures(868))
emit("two objects", of_two_objects)
emit("dark pictures, a network without slopes", of_dark_pictures)
emit("ten pictures, ten maps", of_ten_scenes)
emit("the images' dtype", dtypes)
emit("everything left as found", left_as_found)
### END HIDDEN TESTS

# %% judge="my_explanation"
import torch

from helpers.checks import investigation as study
from helpers.checks.measure import same
from helpers.course.marks.compare import Finding, close
from helpers.pictures import picture_pairs


def judge(part, got, want, given):
    """Judge maps by what they must be, whatever made them, and the facts by their values."""
    if [array.shape for array in got] != [array.shape for array in want] or any(
        mine.dtype.kind != theirs.dtype.kind for mine, theirs in zip(got, want)
    ):
        return False
    if part in ("dark pictures, a network without slopes", "the images' dtype", "everything left as found"):
        return all(map(close, got, want))
    maps = [torch.tensor(array) for array in got]
    if not all(bool(torch.isfinite(each).all()) for each in maps):
        return Finding(False, "values are not finite")
    if part.startswith("a label"):
        first, *others = maps
        moved = [[not same(other[i], first[i]) for i in range(3)] for other in others]
        own = sum(moved[i][i] for i in range(3))
        alien = sum(moved[k][i] for k in range(3) for i in range(3) if i != k)
        return Finding(
            own >= 2 and not alien, f"{own} of 3 change with their own label, {alien} of 6 with that of another image"
        )
    if part.startswith("another network"):
        return not any(same(other, maps[0]) for other in maps[1:])
    if part.startswith("two objects"):
        hits = study.turned_to_the_object(torch.stack(maps), picture_pairs(6, seed=90).masks)
        return Finding(hits >= 9, f"in {hits} of 12 cases the object that is asked about ranks higher")
    if part.startswith("ten pictures"):
        number = study.distinct(maps[0])
        return Finding(number == 10, f"{number} of 10 differ from each other")
    return any(each.max() > each.min() for batch in maps for each in batch)


# %% [markdown]
# ### Report 2.1: the method (16 points)
#
# Say what your map measures, in one sentence that could be wrong. Say what each part of the method is for, what it
# costs, and what it cannot show. Name one test of assignment 6 that it passes and one that it might fail.

# %% [markdown] question="q_method" points=16 words=250
# ### BEGIN SOLUTION
# **Model answer.** The map says how the score of the label changes if a pixel goes from mid grey to what it is, while
# the others do so as well: values of a map add up to about the score's rise from the grey picture. That could be
# wrong, and can be measured. Places of chance on the path in place of a fixed grid give each of 24 gradients another
# place; noise of 0.1 takes away slopes that hold at one point only; the blur of 1 pixel adds up neighbours of
# opposite sign. The cost is 24 gradients for a map. A limit: a pixel that is grey has value 0 whatever it means,
# since it does not move (`away`). The noise breaks the exact sum. It passed the test of two objects: the machine
# found that the object that is asked about ranks higher in all or nearly all of 12 cases. It could fail the
# randomisation of the lower layers: the factor `away` is the picture itself, and shows edges of the object whatever
# the gradient is. I would compare it with `away` alone.
#
# **Rubric.**
# - 4 points: what the map measures, in a sentence that could be wrong.
# - 4 points: what each part of the method is for, and its cost.
# - 4 points: a limit of it that follows from how it is made.
# - 4 points: a test that it passed, with its result, and one that could go against it.
# ### END SOLUTION

# %% [markdown]
# The same pictures for both networks: red speaks for the label, blue against it. Then the share of the positive
# values that lies on the object, with 95 % intervals of the mean.

# %% figure="two-networks"
shown, rows = pictures[:5], []
rows.append([plots.picture(image, name) for image, name in zip(shown.images, shown.names)])
for network in networks.values():
    rows.append([plots.signed(each) for each in my_explanation(shown.images, shown.labels, network)])
plots.panels(rows, names=["picture", *networks], width=1.5)

# %% figure="energy"
scenes = picture_book(40, seed=81) if DATA == "picture book" else pictures
inside = scenes.masks if scenes.masks is not None else torch.ones_like(scenes.images[:, 0], dtype=torch.bool)
groups = {}
for name, network in networks.items():
    maps = my_explanation(scenes.images, scenes.labels, network).clamp(min=0)
    groups[name] = ((maps * inside).sum(dim=(1, 2)) / maps.sum(dim=(1, 2)).clamp(min=1e-12)).tolist()
groups["a map without shape"] = inside.float().mean(dim=(1, 2)).tolist()
plots.bars(
    {f"{len(scenes)} pictures": groups}, ylabel="share of the positive values that lies on the object", size=(6, 2)
)

# %% [markdown]
# ### Report 2.2: the standard and the robust network (20 points)
#
# Explain the same pictures for both networks. Do the maps differ as you expected? Measure it where a mask is known,
# on at least twenty pictures, with an interval; a difference that you see in five may be chance. Does a clearer map
# mean a better explanation, a better network, or neither?

# %% [markdown] question="q_networks" points=20 words=300
# ### BEGIN SOLUTION
# **Model answer.** Both networks have seven convolutions and were trained on the picture book, the robust one
# starting from the standard one, against attacks of L2 radius 5. Ten scenes, same labels and settings; five are
# shown. I expected the robust maps to look more like the object, and they do: wings, petals and the hat of the
# mushroom are filled, where the standard maps are spots on eyes, dots and stripes. So I expected more of them to lie
# on the object, and that was wrong: of the positive values, 0.85 lie on the object for the standard network and 0.75
# for the robust one (40 scenes, intervals about 0.03 each way); a map without shape has 0.23. The robust maps are
# wider and have weak red on the ground. Why? The robust network may not hang on single spots, and so collects from
# larger, paler parts, the ground included. A clear map is one that a person can read. It does not show that the
# network is right, nor that the map is: both networks name nearly all scenes right. And the noise of my method is
# 0.1, at which the standard network is less sure than the robust one; without noise, the comparison may differ.
#
# **Rubric.**
# - 5 points: the same pictures, labels and settings for both networks, side by side.
# - 5 points: a difference measured on twenty pictures or more, with its spread and a baseline.
# - 5 points: how both networks were trained, and what of the difference that may explain.
# - 5 points: a clear map told from a true one: what the comparison does not show.
# ### END SOLUTION

# %% [markdown]
# One picture at six factors for both networks, and then the curves of several pictures.

# %% figure="factor"
factors, rows = (0.01, 0.1, 0.3, 0.5, 0.7, 1.0), []
one = pictures[3]
for network in networks.values():
    scaled = torch.cat([factor * one.images for factor in factors])
    asked = one.labels.expand(len(factors))
    maps = my_explanation(scaled, asked, network)
    rows.append([plots.signed(each, judged(x[None], int(one.labels), network)) for each, x in zip(maps, scaled)])
rows.insert(0, list(map(plots.picture, scaled)))
plots.panels(rows, heads=[f"times {factor}" for factor in factors], names=["picture", *networks], width=1.5)

# %% figure="factor-curves"
curves, few = {}, scenes[:20]
for name, network in networks.items():
    whole = my_explanation(few.images, few.labels, network)
    for factor in progress(factors, name, "factor"):
        maps = my_explanation(factor * few.images, few.labels, network)
        alike = F.cosine_similarity(maps.flatten(1), whole.flatten(1)).mean()
        with torch.no_grad():
            told = network(factor * few.images).argmax(dim=1)
        curves.setdefault(f"{name}: cosine of the map with that at 1.0", []).append(float(alike))
        curves.setdefault(f"{name}: share named right", []).append(float((told == few.labels).float().mean()))
plots.lines(factors, curves, xlabel="factor of the input", ylabel=f"mean of {len(few)} pictures")

# %% [markdown]
# ### Report 2.3: the factor of the input (20 points)
#
# Multiply the picture by a factor from 0.01 to 1.0 and explain it anew. What happens to the score, to the prediction
# and to the map, with its size and its shape told apart? Which part of that is the network's, and which is your
# method's (its baseline, its noise)?

# %% [markdown] question="q_factor" points=20 words=300
# ### BEGIN SOLUTION
# **Model answer.** Factors 0.01 to 1.0, one flower in pictures, 20 scenes in the curves. Up to 0.3 both networks name
# one picture in ten right, as by chance: all dark pictures get the same class. The map there is a frame and a grid,
# much the same for 0.01, 0.1 and 0.3, and its cosine with the map of the whole picture is near 0, for the robust
# network below it. At 0.5 about a third and a half of the scenes are named right, and the cosines are 0.4 and 0.2; at
# 0.7 all are, and both cosines are above 0.8. So the shape of the map follows what the network does. Its **size**
# tells little: the values are of the same order at 0.01 as at 1.0 (0.011 and 0.016 for the standard network). A plain
# gradient times the picture would have shrunk by the factor; here the baseline is mid grey, so that a black picture
# is one that is far from the baseline, and the map explains its darkness. That part is my method's. That the networks
# fail is theirs: they have never seen such pictures, and the first layer subtracts 0.5. The frame is theirs as well:
# zeros beyond the border are mid grey to them. With black as the baseline I expect small maps of the shape of noise;
# I have not tried it.
#
# **Rubric.**
# - 5 points: factors from 0.01 to 1.0, five or more, on more than one picture, with score or prediction.
# - 5 points: size and shape of the map told apart.
# - 5 points: what the network does to a dark picture told from what the method does (baseline, noise, scaling of
#   colours).
# - 5 points: a conclusion that the figures carry, with the factor at which it changes.
# ### END SOLUTION

# %% [markdown]
# Scenes of two objects, asked about either, and about the class that has the lowest score. Then pictures that the
# standard network takes for something else.

# %% figure="labels"
both = picture_pairs(3, seed=83) if DATA == "picture book" else None
images = both.images if both else pictures.images[:3]
with torch.no_grad():
    least = networks["robust"](images).argmin(dim=1)
asked = [both.labels[:, 0], both.labels[:, 1], least] if both else [pictures.labels[:3], pictures.labels[1:4], least]
rows = [[plots.picture(image) for image in images]]
for labels in asked:
    maps = my_explanation(images, labels, networks["robust"])
    rows.append([plots.signed(each, classes[label]) for each, label in zip(maps, labels)])
plots.panels(list(map(list, zip(*rows))), heads=["picture", "one label", "another", "the lowest score"], width=1.5)

# %% figure="mistaken"
erring = networks["standard"]
wrong = mistakes(erring, 4) if DATA == "picture book" else pictures[:4]
with torch.no_grad():
    told = erring(wrong.images).argmax(dim=1)
rows = [[plots.picture(image, f"is: {name}") for image, name in zip(wrong.images, wrong.names)]]
for labels in (wrong.labels, told):
    maps = my_explanation(wrong.images, labels, erring)
    rows.append([plots.signed(each, classes[label]) for each, label in zip(maps, labels)])
plots.panels(rows, names=["picture", "right label", "what it says"], width=1.5)

# %% [markdown]
# ### Report 2.4: right and wrong labels (10 points)
#
# Explain the right label, the wrong one that the network gives (a picture that it takes for something else), and a
# class that is nowhere in the picture. What do the maps have in common, and where do they differ? What is a map of an
# absent class?

# %% [markdown] question="q_labels" points=10 words=200
# ### BEGIN SOLUTION
# **Model answer.** Three scenes of two objects, so that either label is right, and the class with the lowest score
# for one that is absent. Asked about the car, the car is red and the tree faintly blue; asked about the tree, the
# colours change places. What stays is **where** something is: the same windows, dots and wheels are marked in all
# maps of a picture, and only the sign changes. For an absent class (house, sailboat) both objects are blue: they
# speak against it. Nothing speaks for it strongly; but there is some red at the umbrella's handle for "sailboat",
# which a reader who saw the red alone would take for a reason. Where the standard network errs, the map for its wrong
# label has its strongest values on the object, as that for the right one has: red on parts of it in three of four
# pictures, and blue in the fourth, where a small house is called a tree. A map of a wrong label tells what speaks for
# it, and not whether the network is right; it looks as convincing as the other one.
#
# **Rubric.**
# - 3 points: right, wrong and absent labels, on the same pictures.
# - 4 points: what changes with the label and what does not, pointed at in the figure.
# - 3 points: what a map of an absent class, or of a wrong prediction, does and does not tell.
# ### END SOLUTION

# %% [markdown]
# Ten pictures and their maps.

# %% figure="ten-maps"
maps = my_explanation(pictures.images, pictures.labels, networks["robust"])
drawn = [plots.picture(image, name) for image, name in zip(pictures.images, pictures.names)]
shown = [plots.signed(each) for each in maps]
plots.panels([drawn[:5], shown[:5], drawn[5:], shown[5:]], width=1.5)

# %% [markdown]
# ### Report 2.5: ten examples (10 points)
#
# Ten pictures with their maps, none of them chosen: say how they were drawn from the data. Say of each in a few words
# whether the map shows what you expected. Count. The machine has asked your function about ten scenes, too, and has
# told you what it found.

# %% [markdown] question="q_ten_maps" points=10 words=200
# ### BEGIN SOLUTION
# **Model answer.** The first ten scenes of seed 80, one of each class, in order; nothing was left out. I had expected
# the parts by which I tell the classes apart. As expected: the eyes and face of the cat, the stripes of the fish, the
# wings, the dots of the mushroom, the windows of the car, the hull of the boat, the canopy of the umbrella (7). Half:
# the flower, where petals are marked and the middle is as strong as they are, and the tree, where the trunk counts
# more than the crown (2). Not: the house, whose door and windows are marked and whose roof is weak (1). All ten have
# their strongest values on the object. The machine found ten different maps. The tree surprised me: are trunks rarer
# than round crowns among the classes, where flowers, umbrellas and mushrooms are round, too? To find out, I would
# cover trunk and crown in turn, and compare the drop of the score.
#
# **Rubric.**
# - 4 points: ten different pictures with their maps, and how they were drawn from the data.
# - 3 points: expectation and finding for each, counted.
# - 3 points: one that surprised, and what could be done to find out why.
# ### END SOLUTION

# %% [markdown]
# ## 8.4 Not only images
#
# Nothing in these methods asks for a photograph. They take a float tensor (N, 3, H, W) with values in [0, 1] and a network
# that is made for such tensors. Whatever can be brought to this shape can be explained, and can be drawn. Here it is
# **sound**.
#
# A sound $a$ is a row of numbers, here 8000 a second. The short-time Fourier transform cuts it into windows of 256 numbers
# whose middles are 64 apart, and tells how much of each frequency is in each window:
#
# $$S_{ft} = \sum_{n=0}^{255} w_n\, a_{64 t + n - 128}\, e^{-2 \pi i f n / 256} ,$$
#
# with $f$ the frequency in steps of 31.25 Hz, $t$ the number of the window, and $w$ a bell-shaped weight (Hann) that fades
# each window in and out. $S_{ft}$ is a complex number: its size tells how loud, its phase when the wave begins. The
# **spectrogram** keeps the size alone, in decibels as ears have it:
#
# $$x_{ft} = 1 + \tfrac{1}{80} \cdot 20 \log_{10} \left( |S_{ft}| / 64 \right), \quad \text{cut off to [0, 1].}$$
#
# The 64 is half the sum of the weights, so that white is a sine as loud as can be, and black is 80 dB below it. The picture
# has high frequencies at the top, and is given three times, once for each channel.
#
# `helpers/sounds/` draws sounds of six classes, each with noise, clicks and faint pips behind it. It knows where in the
# picture the sound itself is: where it is louder than all else, and at most 30 dB below its loudest place. The network
# `sounds` is the picture book's, narrower: it has an eighth of the weights, and six scores.
#
# **Predict first:** what will a bell look like?

# %% example
ear = load_model("sounds", device="cpu")
heard = draw_sounds(120, seed=98)
with torch.no_grad():
    named = ear(heard.images).argmax(dim=1)
low, high = bootstrap(named == heard.labels)
print(f"right on {(named == heard.labels).float().mean():.2f} of {len(heard)} new sounds ({low:.2f} to {high:.2f})")
play(dict(zip(heard.names[:6], heard.waveforms)))

# %% figure="sounds"
plots.panels(
    [
        [panel(image, name) for image, name in zip(heard.images[:6], heard.names)],
        [panel(image, mask=mask) for image, mask in zip(heard.images[:6], heard.masks)],
    ],
    names=["spectrogram", "where the sound is"],
)

# %% [markdown]
# What to see: a chirp is a short line that climbs or falls, once or several times. A bell is a comb of level lines that begin
# at one moment, and the higher ones fade first. A siren is one long wave with its overtones, a drum a column with a bright
# foot, a burst of noise a grey block, a vibrato a stack of small waves. The short bars and thin columns beside them are the
# pips and clicks, which mean nothing.
#
# ### Where does the network listen?
#
# The next cell has the functions of assignments 1, 2 and 6 once more, in short. If you have your own at hand, put them in
# their place: they run as they are, as `my_explanation` and `my_visualisation` do below.


# %% example
def compute_saliency_maps(images, labels, model):
    pixels = images.clone().requires_grad_()
    own = model(pixels).gather(1, labels[:, None])
    return torch.autograd.grad(own.sum(), pixels)[0].abs().amax(dim=1)


def grad_cam(images, labels, model, layer):
    outputs = []
    handle = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    own = model(images.clone().requires_grad_()).gather(1, labels[:, None])
    handle.remove()
    (gradient,) = torch.autograd.grad(own.sum(), outputs[0])
    return (gradient.mean(dim=(2, 3), keepdim=True) * outputs[0]).sum(dim=1).clamp(min=0).detach()


def energy_inside(maps, masks):
    whole, inside = maps.sum(dim=(1, 2)), (maps * masks).sum(dim=(1, 2))
    return torch.where(whole > 0, inside / whole, masks.float().mean(dim=(1, 2)))


cams = grad_cam(heard.images, heard.labels, ear, ear.cam_layer)
heat = {
    "saliency": compute_saliency_maps(heard.images, heard.labels, ear),
    "Grad-CAM": F.interpolate(cams[:, None], size=heard.images.shape[2:], mode="bilinear")[:, 0],
}

# %% figure="sound-maps"
plots.panels(
    [
        [panel(image, name) for image, name in zip(heard.images[:6], heard.names)],
        [plots.unsigned(values) for values in heat["saliency"][:6]],
        [plots.overlay(image, values) for image, values in zip(heard.images[:6], heat["Grad-CAM"])],
        [plots.signed(values) for values in my_explanation(heard.images[:6], heard.labels[:6], ear)],
    ],
    names=["spectrogram", "saliency", "Grad-CAM", "mine"],
)

# %% [markdown]
# What to see: saliency is grainy, and many of its grains lie beside the sound. Grad-CAM lays a warm patch on the chirps, the
# bell, the burst of noise and the middle of the vibrato. On the siren it fills the places between the lines, and on the drum it
# is warm at the foot, and in the silence above it, too. One place of its 16 x 16 map is 0.06 seconds wide and 250 Hz high, and
# sees 0.5 seconds and 1.9 kHz around it: where in there it has heard something, the map does not tell. The last row is yours;
# in the expected picture it follows the lines of chirp, bell and vibrato. And look at the drum: all three maps are bright at
# the pip at 2.5 kHz, which is no part of it.
#
# How much of a map lies on the sound? Two maps take part that have never seen a network: an even one, and the loudness, which
# is the spectrogram itself.
#
# **Predict first:** which of the four has most energy on the sound?

# %% figure="sound-energy"
loudness = heard.images[:, 0]
contenders = {**heat, "loudness": loudness, "even": torch.ones_like(loudness)}
energies = {name: energy_inside(maps, heard.masks).tolist() for name, maps in contenders.items()}
plots.bars(
    {"all six classes": energies},
    ylabel=f"energy on the sound, mean over {len(heard)} sounds, with its 95 % bootstrap interval",
    highlight=list(heat),
    size=(7, 2.2),
)

# %% [markdown]
# What to see: the even map tells how much of the picture the sound covers, 0.07. Saliency has 0.12 of its energy there,
# Grad-CAM 0.17: sound by sound, it leads by 0.052 on average (0.041 to 0.063). But the loudness has 0.16, and has never seen a
# network. It leads saliency by 0.041 (0.030 to 0.052), and Grad-CAM is not safely above it. You know this from the edges in
# assignment 6: a map that lies on the thing need not know why the network named it.
#
# ### Hear what a map keeps
#
# A map of a sound can be heard. Multiply $S$ by a mask and go back: where the mask is 0, nothing is left, and where it is
# 1, size and phase are those of the sound. `masked` in `helpers/sounds/spectrogram.py` does so. A mask of ones gives the sound
# back, and a mask and its complement give two sounds that add up to it. Below, the mask is the fifth of the places where
# Grad-CAM is largest.


# %% example
def largest(maps, share):
    """Return where each map (N, H, W) is among its largest values: a `share` of the places, as bool masks."""
    return maps > maps.flatten(1).quantile(1 - share, dim=1)[:, None, None]


chosen = largest(heat["Grad-CAM"], 0.2)
kept, thrown = masked(heard.waveforms, chosen), masked(heard.waveforms, ~chosen)
print(f"kept + thrown away - sound: {(kept + thrown - heard.waveforms).abs().max():.0e} at most")
play(
    {
        f"{heard.names[k]}, {what}": sounds[k]
        for k in (0, 1, 2, 5)
        for what, sounds in (("whole", heard.waveforms), ("kept", kept), ("thrown away", thrown))
    }
)

# %% [markdown]
# You may ask the network, too: does it name the sound by what is kept? And by what is thrown away? Three controls have masks of
# the same size: the loudest fifth, which knows nothing of the network; the masks of Grad-CAM, moved by half a second; and
# places drawn at random.
#
# **Predict first:** which of the five keeps most?

# %% figure="sound-kept"
masks = {"Grad-CAM": chosen, "saliency": largest(heat["saliency"], 0.2), "loudness": largest(loudness, 0.2)}
masks |= {"Grad-CAM, moved": chosen.roll(64, dims=2)}
masks |= {"random places": largest(torch.rand(loudness.shape, generator=torch.Generator().manual_seed(0)), 0.2)}
groups = {"kept": {}, "thrown away": {}}
for name, mask in masks.items():
    for group, part in zip(groups.values(), (mask, ~mask)):
        with torch.no_grad():
            group[name] = (ear(spectrograms(masked(heard.waveforms, part))).argmax(dim=1) == heard.labels).tolist()
plots.bars(
    groups,
    ylabel=f"share of {len(heard)} sounds that the network still names, with its 95 % bootstrap interval",
    highlight=list(heat),
    size=(9, 2.2),
)

# %% [markdown]
# What to see: by what Grad-CAM keeps, the network names 0.79 of the sounds, by what it throws away 0.47. The same masks, half
# a second later, keep little of use and take little away. The loudness does better where something is thrown away: without
# the loudest fifth, the network names 0.23. Now look at saliency, and at the fifth that was drawn at random.
#
# **Think:** a fifth of the places, drawn at random, is as good to the network as the fifth that Grad-CAM has chosen. Does
# Grad-CAM know no more than chance? And how can the fifth of saliency be enough, and not be needed?
#
# <details>
# <summary>What to think of</summary>
#
# Read both halves of the figure. What random places keep is enough (0.85), and so is what they throw away (0.99). They lie
# all over the picture, and a thinned picture still shows every line; besides, windows overlap by three quarters, so that
# what is cut out of one is heard in the next. The largest values of saliency are strewn like grains and do much the same.
# So what is kept tells little by itself. Only Grad-CAM and the loudness take away what the network misses.
#
# A control must have the same grain as the map. For one warm patch, that is the patch in another place: it keeps 0.28.
# And a hole of silence is a picture that no training has shown, as in the retraining of assignment 6: part of what you
# measure is how the network takes holes.
#
# </details>
#
# ### Draw a sound
#
# `my_visualisation` takes a target, a model, a start and a number of steps. Nothing in it knows what a picture is of. A
# drawing has three channels and no phase, and it may be a picture that no sound has. `sounds_of` takes the mean of the channels,
# and seeks a phase that fits by the method of Griffin and Lim (1984): it begins with a random one, goes to the sound and back,
# keeps the phase that comes, puts the sizes of the drawing back, and so on. Below the drawings, the spectrograms of the sounds
# that it found.
#
# **Predict first:** will the drawing of a siren have a wave in it?

# %% figure="drawn-sounds"
dark = cloud(ear.input_size, seed=1, contrast=0.05) - 0.25
drawn = []
for target in progress(range(6), "drawing", "sound"):
    torch.manual_seed(0)
    drawn.append(my_visualisation(target, ear, dark, 60)[0])
drawn = torch.stack(drawn)
found = sounds_of(drawn)
again = spectrograms(found)
display(play(dict(zip(ear.classes, found))))
with torch.no_grad():
    p = {"drawing": ear(drawn).softmax(dim=1).diagonal(), "sound": ear(again).softmax(dim=1).diagonal()}
plots.panels(
    [
        [
            plots.picture(image, f"{name}\np {value:.2f}")
            for image, name, value in zip(drawn, ear.classes, p["drawing"])
        ],
        [panel(image, f"p {value:.2f}") for image, value in zip(again, p["sound"])],
    ],
    names=["drawing", "its sound"],
)

# %% [markdown]
# What to see: where a photograph has a place for a thing, a drawing of a sound is full of it. The chirp's has short slanted
# strokes everywhere, the bell's level lines, the burst's bright blots, the vibrato's rows of dashes, the drum's a few bright
# spots at the foot. The siren's has long slanted strokes, up and down, and no wave: the network need not follow one from end
# to end. The colours mean nothing to an ear. In all spectrograms the three channels are equal, and so nothing in training
# told the network what to do where they differ. That is one reason why a drawing and its sound are two things: the network
# names five of the sounds with probability 0.91 or more, and gives the drum's 0.25.
#
# ### Sounds of your own
#
# Put WAV files into the folder `my_sounds` beside this notebook: a whistle, a doorbell, a knock on the table. Any rate will
# do; of a long file, the loudest second is taken. Convert other formats first, with Audacity or by the command
# `ffmpeg -i song.mp3 song.wav`. The network must choose among its six classes, whatever it hears.

# %% example
own = own_sounds()
for name, sound in own.items():
    with torch.no_grad():
        probabilities = ear(spectrograms(sound[None])).softmax(dim=1)[0]
    print(f"{name}: {ear.classes[probabilities.argmax()]}, probability {probabilities.max():.2f}")
play(own)

# %% [markdown]
# ## Check yourself
#
# Seven questions, as often as you like; nothing is recorded.

# %% local
# @title Quiz
from helpers.widgets import quiz

quiz("08_investigation")

# %% [markdown]
# ## Recap
#
# - A drawing convinces a network long before it convinces you. Ask a network that had no part in it, and a person.
# - Vary one choice at a time, from the same start, and show what was not chosen.
# - A map is an answer to a question: which label, which network, against which baseline. Change each, and see what
#   moves.
# - What you can measure, measure on many pictures, with its spread and beside a baseline.
# - Whatever can be brought to the shape of a picture can be explained, and drawn. Controls need the grain of the map.
#
# ## Further reading
#
# - Olah, Mordvintsev, Schubert 2017, [doi:10.23915/distill.00007](https://doi.org/10.23915/distill.00007): images as
#   waves, and what they must withstand.
# - Erion, Janizek, Sturmfels, Lundberg, Lee 2021, *Improving Performance of Deep Learning Models with Axiomatic
#   Attribution Priors and Expected Gradients*, [arXiv:1906.10670](https://arxiv.org/abs/1906.10670): gradients at
#   places of chance on many paths.
# - Ribeiro, Singh, Guestrin 2016, *"Why Should I Trust You?"*, [arXiv:1602.04938](https://arxiv.org/abs/1602.04938):
#   LIME.
# - Etmann, Lunz, Maass, Schönlieb 2019, *On the Connection Between Adversarial Robustness and Saliency Map
#   Interpretability*, [arXiv:1905.04172](https://arxiv.org/abs/1905.04172): why maps of robust networks look like the
#   object.
# - Griffin, Lim 1984, *Signal Estimation from Modified Short-Time Fourier Transform*,
#   [doi:10.1109/TASSP.1984.1164317](https://doi.org/10.1109/TASSP.1984.1164317): a sound for a spectrogram.
# - Wang 2005, *On Ideal Binary Mask As the Computational Goal of Auditory Scene Analysis*,
#   [doi:10.1007/0-387-22794-6_12](https://doi.org/10.1007/0-387-22794-6_12): where a sound is louder than all else.

# %% [markdown] mistakes="my_visualisation"
# = return squash(torch.fft.irfft2(torch.view_as_complex(waves) * sizes, s=(height, width), norm="ortho"))
# + return torch.fft.irfft2(torch.view_as_complex(waves) * sizes, s=(height, width), norm="ortho")
# You show the free numbers themselves, which may be any. Put them through a sigmoid (squash).
# ~ nothing keeps the pixels in [0, 1]
#
# = return image().detach()
#
# + return image()
# Your picture still hangs on its graph. Return it detached.
# ~ still requires a gradient
#
# + return image().detach()[0]
# You drop the batch axis. A picture is (1, 3, H, W).
# ~ shape (3, 12, 16)
#
# + return image().detach().float()
# You return float32, whatever the start is. Return the start's dtype: leave .float() out.
# ~ a torch.float32 tensor
#
# + return image().detach().double()
# You return float64, whatever the start is. Return the start's dtype: leave .double() out.
# ~ a torch.float64 tensor
#
# + return blur(image().detach(), 1.5)
# You blur once more at the end, even where no step was taken. With 0 steps, the start comes back.
# ~ away from the start
#
# + drawn = image().detach()
# + return (drawn - drawn.min()) / (drawn.max() - drawn.min())
# You stretch the picture to [0, 1] at the end. With 0 steps, the start comes back as it is.
# ~ away from the start
#
# = waves = torch.view_as_real(torch.fft.rfft2(unsquash(start.detach()), norm="ortho") / sizes)
# + waves = torch.view_as_real(torch.fft.rfft2(torch.zeros_like(start), norm="ortho") / sizes)
# You begin with grey, whatever the start is. Begin with the numbers that make the start.
# ~ away from the start
#
# = height, width = start.shape[2:]
# + height, width = start.shape[2:]
# + start.mul_(0.99)
# You change the caller's start in place. Work on a copy.
# ~ an operation in place
#
# = for _ in range(steps):
#
# + for _ in range(30):
# The number of steps is not used. Take as many as are asked for.
# ~ `steps` is not used
#
# + torch.manual_seed(0)
# + for _ in range(steps):
# You set torch's seed, and with it that of everybody who draws numbers later. Draw from a torch.Generator of your own.
# ~ torch's seed changed
#
# = score = model(jitter(drawn, *torch.randint(-4, 5, (2,)).tolist()))[0, target]
#
# + score = model(jitter(drawn, *torch.randint(-4, 5, (2,)).tolist()))[0].sum()
# You raise all scores together: the target is not used. Take that of the target.
# ~ lower after 15 steps
#
# + score = model(jitter(drawn.detach(), *torch.randint(-4, 5, (2,)).tolist()))[0, target]
# The score is cut off from the picture, so that only the price on edges is felt. Leave detach() out.
# ~ lower after 15 steps
#
# + model.train()
# + score = model(jitter(drawn, *torch.randint(-4, 5, (2,)).tolist()))[0, target]
# You put the model into training mode, where Dropout draws and BatchNorm learns. Leave it in eval mode.
# ~ `model.train()`
#
# = loss = price * edges - score
# + loss = price * edges + score
# You go downhill: an optimiser makes its loss small. Give it minus the score.
# ~ minus the score
#
# = loss.backward(inputs=[waves])
# + loss.backward()
# .backward() also wrote into .grad of the model's parameters. Ask for the gradient at your own numbers: inputs=[waves].
# ~ .grad
#
# = optimiser.step()
# + pass
# The optimiser never steps. Call optimiser.step() after backward.
# ~ unchanged by
#
# = optimiser = torch.optim.Adam([waves], lr=rate)
# + optimiser = torch.optim.Adam([waves], lr=rate / 300)
# = loss = price * edges - score
# + loss = -score
# Your steps are so short that 40 of them draw nothing that another network would name. Take longer ones.
# ~ neither of two drawings


# %% mutant="my_visualisation" says="You take the steps of assignment 4: along the gradient of the score, and towards grey. The study asks for another optimisation." visible="the steps are those of `class_visualization_step`"
def my_visualisation(target, model, start, steps):
    image = start.detach()
    for _ in range(steps):
        pixels = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(pixels)[0, target], pixels)
        image = clamp(image + 0.4 * gradient / gradient.norm() - 0.001 * (image - 0.5))
    return image.clone()


# %% variant="my_visualisation"
def my_visualisation(target, model, start, steps, rate=0.03, price=0.002):
    """Pixels, Adam and total variation, cut off after each step."""
    pixels = start.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([pixels], lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        shifted = jitter(pixels, *torch.randint(-3, 4, (2,)).tolist())
        edges = pixels.diff(dim=2).abs().sum() + pixels.diff(dim=3).abs().sum()
        (price * edges - model(shifted)[0, target]).backward(inputs=[pixels])
        optimiser.step()
        with torch.no_grad():
            pixels.clamp_(0, 1)
    return pixels.detach()


# %% variant="my_visualisation"
def my_visualisation(target, model, start, steps, rate=0.3):
    """The log-probability, with momentum and a blur now and then."""
    image, speed = start.detach().clone(), torch.zeros_like(start)
    for k in range(1, steps + 1):
        pixels = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(pixels).log_softmax(dim=1)[0, target], pixels)
        speed = 0.9 * speed + gradient / gradient.norm().clamp(min=1e-12)
        image = clamp(image + rate * speed)
        if k % 10 == 0:
            image = blur(image, 0.5)
    return image


# %% variant="my_visualisation"
def my_visualisation(target, model, start, steps, rate=0.05):
    """A pyramid: images of four sizes, enlarged and added up."""
    height, width = start.shape[2:]
    layers = [start.new_zeros(1, 3, max(1, height // n), max(1, width // n)).requires_grad_() for n in (1, 2, 4, 8)]
    optimiser = torch.optim.Adam(layers, lr=rate)

    def image():
        return squash(
            unsquash(start) + sum(F.interpolate(layer, size=(height, width), mode="bilinear") for layer in layers)
        )

    for _ in range(steps):
        optimiser.zero_grad()
        (-model(image())[0, target]).backward(inputs=layers)
        optimiser.step()
    return image().detach()


# %% variant="my_visualisation"
def my_visualisation(target, model, start, steps):
    """L-BFGS on free numbers, with a price on squared edges."""
    free = unsquash(start.detach()).requires_grad_()
    optimiser = torch.optim.LBFGS([free], lr=0.5, max_iter=3)

    def closure():
        optimiser.zero_grad()
        image = squash(free)
        edges = image.diff(dim=2).square().sum() + image.diff(dim=3).square().sum()
        loss = 0.02 * edges - model(image)[0, target]
        loss.backward(inputs=[free])
        return loss

    for _ in range(steps):
        optimiser.step(closure)
    return squash(free).detach()


# %% variant="my_visualisation"
def my_visualisation(target, model, start, steps, rate=0.02):
    """Steps of one size in every pixel, by the sign of a smoothed gradient."""
    image = start.clone()
    for _ in range(steps):
        pixels = image.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model(pixels)[:, target].sum(), pixels)
        image = clamp(image + rate * blur(gradient, 1.0).sign())
    return image.detach()


# %% [markdown] mistakes="my_explanation"
# = generator = torch.Generator().manual_seed(0)
#
# + torch.manual_seed(0)
# + generator = torch.Generator().manual_seed(0)
# You set torch's seed, and with it that of everybody who draws numbers later. Draw from a torch.Generator of your own.
# ~ torch's seed changed
#
# + images.mul_(0.99)
# + generator = torch.Generator().manual_seed(0)
# You change the caller's images in place. Work on a copy.
# ~ an operation in place
#
# = own = model(pixels).gather(1, labels[:, None])
#
# + own = model(pixels).amax(dim=1)
# You explain the class with the largest score. Take the score of the label that is asked about.
# ~ the label is not used
#
# + own = model(pixels)[:, labels[0]]
# You ask all images about the label of the first one. Take score i at label i.
# ~ the label of the first image
#
# + own = model(pixels)[:, labels]
# You ask every image about the labels of all. Pair them with gather.
# ~ pairs each with each
#
# + own = model.train()(pixels).gather(1, labels[:, None])
# You put the model into training mode, where Dropout draws and BatchNorm mixes the images of a batch. Leave it in eval mode.
# ~ images 0 and 2 changed
#
# = total += torch.autograd.grad(own.sum(), pixels)[0] * away
#
# + total -= torch.autograd.grad(own.sum(), pixels)[0] * away
# Your maps are upside down: high values stand for what speaks against the label. Turn the sign.
# ~ turn the sign
#
# + total += away.abs()
# Your maps show how far the picture is from grey, and ask no network. Multiply by the slope of the score.
# ~ the same result for two different labels
#
# + own.sum().backward()
# + total += pixels.grad * away
# .backward() also wrote into .grad of the model's parameters. Ask for the gradient at the pixels alone:
# torch.autograd.grad.
# ~ .grad
#
# = return blur(total.detach() / samples, sigma).sum(dim=1)
#
# + return blur(total.detach() / samples, sigma)
# You return three channels. A map has one value for each pixel: take a sum, or the largest size, over the channels.
# ~ one axis too many
#
# + return torch.zeros_like(images[:, 0])
# Your maps have one value everywhere, and explain nothing.
# ~ one value everywhere
#
# + maps = blur(total.detach() / samples, sigma).sum(dim=1)
# + return maps / maps.abs().max()
# You scale by the largest value of the whole batch, so that a map depends on the other images. Scale each by its own, or
# none.
# ~ images 0 and 2 changed
#
# + maps = blur(total.detach() / samples, sigma).sum(dim=1)
# + return maps / maps.abs().amax(dim=(1, 2), keepdim=True)
# You divide by the largest value of a map, which is 0 where a network has no slopes. Divide by a number that is not 0.
# ~ NaN or infinite
#
# + return blur(total.detach() / samples, sigma).sum(dim=1).float()
# You return float32, whatever the images are. Return the images' dtype: leave .float() out.
# ~ a torch.float32 tensor
#
# + return blur(total.detach() / samples, sigma).sum(dim=1).double()
# You return float64, whatever the images are. Return the images' dtype: leave .double() out.
# ~ a torch.float64 tensor


# %% mutant="my_explanation" says="You keep a map for each picture and label, and give it again when another network is asked. Keep nothing from call to call." visible="a global network is asked"
kept = {}


def my_explanation(images, labels, model):
    place = (tuple(labels.tolist()), float(images[0, 0, 0, 0]), images.dtype)
    if place not in kept:
        pixels = images.detach().clone().requires_grad_()
        own = model(pixels).gather(1, labels[:, None])
        kept[place] = torch.autograd.grad(own.sum(), pixels)[0].abs().amax(dim=1)
    return kept[place].clone()


# %% variant="my_explanation"
def my_explanation(images, labels, model):
    """Saliency."""
    pixels = images.detach().clone().requires_grad_()
    own = model(pixels)[torch.arange(len(images)), labels]
    return torch.autograd.grad(own.sum(), pixels)[0].abs().max(dim=1).values


# %% variant="my_explanation"
def my_explanation(images, labels, model, samples=10, spread=0.1):
    """SmoothGrad of the log-probability, with torch's own chance."""
    total = torch.zeros_like(images)
    for _ in range(samples):
        pixels = (images + spread * torch.randn_like(images)).detach().requires_grad_()
        told = model(pixels).log_softmax(dim=1).gather(1, labels[:, None])
        total = total + torch.autograd.grad(told.sum(), pixels)[0]
    return (total / samples).square().sum(dim=1).sqrt()


# %% variant="my_explanation"
def my_explanation(images, labels, model):
    """Grad-CAM, enlarged."""
    kept = []
    pixels = images.detach().clone().requires_grad_()
    with model.cam_layer.register_forward_hook(lambda module, inputs, output: kept.append(output)):
        own = model(pixels).gather(1, labels[:, None]).sum()
    (slopes,) = torch.autograd.grad(own, kept[0])
    maps = (slopes.mean(dim=(2, 3), keepdim=True) * kept[0].detach()).sum(dim=1, keepdim=True).relu()
    return F.interpolate(maps, size=images.shape[2:], mode="bilinear")[:, 0]


# %% variant="my_explanation"
@torch.no_grad()
def my_explanation(images, labels, model, fill=0.5):
    """Occlusion: how much the score drops, averaged over all patches on a pixel."""
    height, width = images.shape[2:]
    side = max(2, min(height, width) // 6)
    before = model(images).gather(1, labels[:, None])
    total, count = torch.zeros_like(images[:, 0]), torch.zeros_like(images[0, 0])
    for y in range(0, height - side + 1, side // 2):
        for x in range(0, width - side + 1, side // 2):
            covered = images.clone()
            covered[:, :, y : y + side, x : x + side] = fill
            drop = before - model(covered).gather(1, labels[:, None])
            total[:, y : y + side, x : x + side] += drop[:, :, None]
            count[y : y + side, x : x + side] += 1
    return total / count.clamp(min=1)


# %% variant="my_explanation"
@torch.no_grad()
def my_explanation(images, labels, model, samples=120, cells=6):
    """LIME's idea: a linear model of patches that are shown or grey."""
    maps = []
    for image, label in zip(images, labels):
        shown = (torch.rand(samples, 1, cells, cells, dtype=images.dtype, device=images.device) < 0.5).to(images.dtype)
        large = F.interpolate(shown, size=images.shape[2:])
        scores = model(image * large + 0.5 * (1 - large))[:, label]
        known = shown.flatten(1) - 0.5
        ridge = torch.eye(cells**2, dtype=images.dtype, device=images.device)
        weights = torch.linalg.solve(known.T @ known + ridge, known.T @ (scores - scores.mean()))
        maps.append(F.interpolate(weights.view(1, 1, cells, cells), size=images.shape[2:], mode="bilinear")[0, 0])
    return torch.stack(maps)
