"""An index to trained classifiers, and the run folders that hold them."""
