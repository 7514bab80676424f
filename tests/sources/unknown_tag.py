# %% [markdown]
# # A small page

# %% exercize
double = 2
