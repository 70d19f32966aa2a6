"""From a folder, a list or packed arrays to a split index of labelled clips."""
