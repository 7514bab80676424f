# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Twice
#
# **You will** double a number $x \in \mathbb{R}$.

# %% setup
import numpy as np

# %% [markdown]
# ### Exercise 1.1: Double
# Return $2x$.
#
# <details>
# <summary>My result is a list</summary>
#
# A list times 2 is the list twice.
# </details>

# %%
# A cat has four legs.
legs = np.array([4])

# %% exercise="double" minutes=5 difficulty=1
def double(x):
    """Return twice x."""
    # One multiplication is enough.
    ### BEGIN SOLUTION
    secret_answer = 2
    return secret_answer * x
    ### END SOLUTION

# %% check="double" points=1
assert double(legs) == 8, "found another number, 8 was wanted"
### BEGIN HIDDEN TESTS
from helpers.inside.emit import emit

emit("negative", lambda: double(np.array([-3.0])))
### END HIDDEN TESTS

# %% judge="double"
def judge(part, got, want, given):
    return got == want

# %% figure="legs"
doubled = double(legs)
doubled

# %%
print(double(legs))

# %% [markdown]
# ### Exercise 1.2: Triple

# %% exercise="triple" minutes=1 difficulty=3
def triple(x):
    """Return three times x."""
    ### BEGIN SOLUTION
    return 3 * x
    ### END SOLUTION

# %% check="triple" points=4
assert triple(1) == 3
### BEGIN HIDDEN TESTS
assert triple(3) == 9
### END HIDDEN TESTS

# %% [markdown]
# Is doubling a number linear?

# %% [markdown] question="q_linear" points=3
# ### BEGIN SOLUTION
# **Model answer.** Yes, model_answer: $f(a + b) = f(a) + f(b)$.
#
# **Rubric.**
# - 3 points: the reason.
# ### END SOLUTION

# %% [markdown]
# # Written answers
#
# ### Question 1.3: Is tripling linear?
#
# Judge: "it is, since $3x$ is a line."

# %% local
from helpers.writeup import saved_figure

# %% local
saved_figure("01_tiny-legs")

# %% [markdown] question="q_triple" points=1 words=20
# ### BEGIN SOLUTION
# **Model answer.** Yes, model_answer again, but a line need not go through the origin.
#
# **Rubric.**
# - 1 point: the reason.
# ### END SOLUTION

# %% local
# @title Afterwards
print("on the student's machine")

# %% [markdown] mistakes="double"
# = secret_answer = 2
# + secret_answer = 3
# This triples x.
# ~ another number
#
# = return secret_answer * x
#
# + return secret_answer + x
# This adds two.
#
# + return x
# Nothing is doubled.

# %% mutant="double" says="This squares x."
def double(x):
    return x * x  # squared_mutant

# %% variant="double"
def double(x):
    return x + x  # added_variant
