"""What an export needs of a task."""
