"""Room `cards`: model cards, made of signed evidence."""
