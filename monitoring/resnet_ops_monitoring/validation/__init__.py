"""Room `validation`: whether data can be judged at all."""
