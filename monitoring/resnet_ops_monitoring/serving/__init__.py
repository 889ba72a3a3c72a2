"""Room `serving`: answering requests with a registered version."""
