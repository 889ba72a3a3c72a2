"""Room `drift`: a reference, and the verdict on a window against it."""
