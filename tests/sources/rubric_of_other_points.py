# %% [markdown]
# # A small page

# %% [markdown]
# Is doubling linear?

# %% [markdown] question="q_linear" points=3
# ### BEGIN SOLUTION
# **Model answer.** Yes.
#
# **Rubric.**
# - 1 point: the reason.
# - 1 point: an example.
# ### END SOLUTION
