"""Room `augmentation`: random changes of images, from numbers that are drawn for each."""
