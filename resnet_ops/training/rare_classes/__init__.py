"""Room `rare_classes`: how classes with few images are drawn and weighed in training."""
