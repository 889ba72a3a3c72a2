"""ResNet families, their data, training, evaluation, benchmark and export. Needs torch, nothing of MLOps."""
