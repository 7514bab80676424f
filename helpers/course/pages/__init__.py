"""A source file becomes a page, or all of its faults."""
