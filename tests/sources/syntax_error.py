# %% [markdown]
# # A small page

# %%
total = 1
print(total
