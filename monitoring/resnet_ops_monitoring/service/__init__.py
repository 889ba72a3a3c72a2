"""Room `service`: which windows are due, judging them, telling of them and acting."""
