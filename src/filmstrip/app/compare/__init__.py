"""Recipes against each other on identical splits: runs, figures, costs, page."""
