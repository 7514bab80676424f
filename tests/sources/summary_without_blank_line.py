# %% [markdown]
# # A small page

# %% [markdown]
# <details>
# <summary>My gradient is None</summary>
# Call `requires_grad_`.
# </details>
