"""A backbone over many videos, each computed once and kept."""
