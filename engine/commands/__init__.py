"""One file for each group of commands: its flags, and what it does."""
