"""What the exit status of every command means."""

DONE = 0
FAILED = 1
"""The run failed or was stopped; it can be resumed."""
WRONG = 2
"""The command, its configuration or its seeds are wrong; no call was made."""
SHORT = 3
"""Done, but rows are missing."""
