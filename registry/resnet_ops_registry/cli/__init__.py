"""Room `cli`: the commands, a file for each noun; nothing imports it."""
