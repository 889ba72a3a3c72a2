"""What a model answers with, in one noun: nothing outside of this room asks which task it is.

`task` names the tasks and their settings. Each folder is one side of a task, as a stage needs it: its protocol, who
does it, and a module for each task. They are apart so that a stage runs, and DVC watches, no side without need.
"""
