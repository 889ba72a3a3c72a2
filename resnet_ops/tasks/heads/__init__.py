"""The network of a task and what it answers."""
