"""Room `cli`: the commands; nothing imports it."""
