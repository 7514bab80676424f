# %% [markdown]
# # A small page

# %%setup
import math
