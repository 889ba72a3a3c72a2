"""What an evaluation needs of a task."""
