# %% [markdown]
# # A small page

# %% [markdown]
# Is doubling linear?

# %% question="q_linear" points=3
### BEGIN SOLUTION
print('Yes')
### END SOLUTION
