"""Room `sink`: the inference log over HTTP, for servers that cannot use the client in Python."""
