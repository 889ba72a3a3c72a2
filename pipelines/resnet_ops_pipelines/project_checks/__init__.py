"""What `check_project` looks at before anything runs: names, and the repository."""
