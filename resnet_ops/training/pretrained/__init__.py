"""Room `pretrained`: weights to start from."""
