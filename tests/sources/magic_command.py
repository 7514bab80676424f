# %% [markdown]
# # A small page

# %%
# cat in a tree
import math
%matplotlib inline
