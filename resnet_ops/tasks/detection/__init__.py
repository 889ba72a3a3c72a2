"""Objects in boxes: their labels, how detections are measured, and detectors. Knows no other task."""
