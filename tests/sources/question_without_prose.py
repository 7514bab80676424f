# %% [markdown]
# # A small page

# %% [markdown]
# ### Exercise 1.1: Double

# %% exercise="double" minutes=5 difficulty=1
def double(x):
    """Return twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% check="double" points=2
assert double(1) == 2
### BEGIN HIDDEN TESTS
assert double(3) == 6
### END HIDDEN TESTS

# %% [markdown] question="q_linear" points=3
# ### BEGIN SOLUTION
# **Model answer.** Yes.
#
# **Rubric.**
# - 3 points: the reason.
# ### END SOLUTION
