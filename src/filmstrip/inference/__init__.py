"""A classifier's answers to new videos."""
