"""Give the command damaged files, settings, answers and folders, and check what must always hold.

``scripts/fuzz --minutes 10 --seed 1`` prints what went wrong, each kind once, with the command that
repeats it, and exits with 1 if anything did. A case is drawn whole from its seed and its number.
A case belongs to a family (`families`): it writes files into an empty folder and names commands.
After each command (`invariants`):

* the exit status is one of `ExitStatus`, and there is no traceback, nor a warning of Python's;
* no control character is on the terminal;
* no secret of the environment is in the output or in any file;
* it ends within ``TIMEOUT`` seconds and ``MEMORY`` bytes of address space.
"""
