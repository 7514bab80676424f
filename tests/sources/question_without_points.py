# %% [markdown]
# # A small page

# %% [markdown]
# Is doubling linear?

# %% [markdown] question="q_linear"
# ### BEGIN SOLUTION
# Yes.
# ### END SOLUTION
