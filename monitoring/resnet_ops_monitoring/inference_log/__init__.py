"""Room `inference_log`: the answers that were given, with their labels, in one database."""
