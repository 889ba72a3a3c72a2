"""What preparing data needs of a task."""
