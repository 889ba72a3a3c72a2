"""Room `common`: settings, names and what else every other room may use; it uses none of them."""
