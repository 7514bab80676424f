# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A toy assignment
#
# It imports no torch, so that grading it is quick.

# %% setup
import numpy as np

# %% [markdown]
# ### Exercise 1.1: twice


# %% exercise="double" minutes=1 difficulty=1
def double(x):
    """Return 2 x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %% check="double" points=4
assert double(3) == 6, f"double(3): found {double(3)}, wanted 6"
### BEGIN HIDDEN TESTS
from helpers.inside.emit import emit

numbers = np.arange(4.0)
emit("numbers", lambda: double(numbers.copy()))
emit("arguments", lambda: (double(numbers), numbers))
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 1.2: half


# %% exercise="half" minutes=1 difficulty=1
def half(x):
    """Return x / 2."""
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION


# %% check="half" points=2
print("a visible line")
### BEGIN HIDDEN TESTS
assert half(4) == 2  # graded by nbgrader's own rule: an instructor may write plain asserts
### END HIDDEN TESTS

# %% [markdown]
# Is every number twice its half? Give a reason.

# %% [markdown] question="q_half" points=3
# ### BEGIN SOLUTION
# **Model answer.** Yes: 2 (x / 2) = x.
#
# **Rubric.**
# - 3 points: the identity.
# ### END SOLUTION


# %% mutant="double" says="You squared x. Multiply it by two."
def double(x):
    return x**2


# %% mutant="double" says="You changed the argument. Return a new array."
def double(x):
    x *= 2
    return x


# %% variant="double"
def double(x):
    return x + x


# %% mutant="half" says="You doubled x."
def half(x):
    return 2 * x


# %% variant="half"
def half(x):
    return 0.5 * x
