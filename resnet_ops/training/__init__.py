"""Training: recipe, augmentation, the loop and its learning curve."""
