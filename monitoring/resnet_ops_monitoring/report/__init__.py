"""Room `report`: the pages of a window, and where they are published."""
