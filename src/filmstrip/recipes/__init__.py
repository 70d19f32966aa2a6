"""One small file for each published system, and the Recipe type that they share."""
