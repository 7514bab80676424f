import math

# %% [markdown]
# # A small page
