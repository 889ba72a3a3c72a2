"""What a training needs of a task."""
