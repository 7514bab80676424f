# %% [markdown]
# # A small page

# %% [markdown]
# Is doubling linear?

# %% [markdown] question="q_linear" points=3
# Yes.
