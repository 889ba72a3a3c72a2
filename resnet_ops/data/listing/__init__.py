"""Which image files a data set lists, and what is said of each: its class, its ratings, its columns."""
