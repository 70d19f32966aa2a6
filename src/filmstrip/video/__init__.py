"""A file or a camera becomes frames, and frames become a file again."""
