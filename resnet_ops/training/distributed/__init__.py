"""Room `distributed`: workers, and what each has of a batch."""
