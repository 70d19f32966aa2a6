"""A trained classifier as graphs that run without Filmstrip, checked against it."""
