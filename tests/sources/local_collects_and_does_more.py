# %% [markdown]
# # A small page

# %% [markdown]
# Is doubling linear?

# %% local
from helpers.writeup import saved_figure

saved_figure("01_tiny-legs")
