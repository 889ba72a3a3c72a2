"""Reading boxes as people keep them, into one form, with every fault listed before anything else happens."""
