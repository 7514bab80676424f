# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A toy writeup
#
# Two questions, and two figures from another notebook.

# %% local
from helpers.writeup import saved_figure

# %% [markdown]
# ### Question 1: why the sum is sound
#
# The gradient of a sum of scores is one picture per image. Why?

# %% local
saved_figure("01_toy-dots")

# %% local
saved_figure("01_toy-lines")

# %% [markdown] question="q_sum" points=3 words=12
# ### BEGIN SOLUTION
# **Model answer.** Score $s_i$ depends on image $x_i$ alone, so $\partial s_j / \partial x_i = 0$ for $j \ne i$.
#
# Train-mode BatchNorm breaks this.
#
# **Rubric.**
# - 1 point: says *when* it holds: no score depends on another image, $\partial s_j / \partial x_i = 0$,
#   whatever the "size" of the batch.
# - 2 points: names a layer that breaks it.
# ### END SOLUTION

# %% [markdown]
# ### Question 2: a claim
#
# "A brighter map is a better map." Judge it.

# %% [markdown] question="q_claim" points=1
# ### BEGIN SOLUTION
# **Model answer.** Brightness is a matter of scaling.
#
# **Rubric.**
# - 1 point: each map is scaled to its own maximum.
# ### END SOLUTION
