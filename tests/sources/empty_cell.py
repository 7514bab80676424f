# %% [markdown]
# # A small page

# %% setup

# %%
print(1)
