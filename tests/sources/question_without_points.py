# %% [markdown]
# # A small page

# %% [markdown]
# Is doubling linear?

# %% [markdown] question="q_linear"
# ### BEGIN SOLUTION
# **Model answer.** Yes.
#
# **Rubric.**
# - 1 point: the reason.
# ### END SOLUTION
