"""Room `statistics`: estimators and tests over rows; it knows no model and no window."""
