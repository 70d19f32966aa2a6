"""The doctor's whole visit: files, copies, labels, splits and leaks, and a page that shows them."""
