"""A finished run as one page that a reviewer can read without the run, the data or a network."""
