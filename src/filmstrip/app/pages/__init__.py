"""HTML pages for people: one file each, which needs no network and no other file."""
