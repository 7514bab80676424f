"""A notebook in, outputs and captured values out, in a jail."""
