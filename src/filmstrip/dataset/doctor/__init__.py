"""A folder of strangers' videos becomes a list of what is wrong with them, and why."""
