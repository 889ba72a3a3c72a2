"""How production sees the answers of each task: what the inference log keeps of them and drift is judged by."""
