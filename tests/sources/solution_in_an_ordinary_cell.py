# %% [markdown]
# # A small page

# %%
### BEGIN SOLUTION
answer = 42
### END SOLUTION
