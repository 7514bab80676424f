# %% [markdown]
# # A small page

# %% [markdown]
# Is doubling linear?

# %% [markdown] question="q_linear" points=3 words=0
# ### BEGIN SOLUTION
# **Model answer.** Yes.
#
# **Rubric.**
# - 3 points: the reason.
# ### END SOLUTION
