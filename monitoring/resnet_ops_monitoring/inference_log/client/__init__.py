"""Room `client`: what a server that answers requests uses to write the inference log, without ever waiting for it."""
