"""One file for each theme; the docstring of each says what it is about."""
