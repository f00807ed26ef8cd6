"""End a thread that somebody else started, as a fault of the machine might."""

import ctypes
import threading


def kill(name: str) -> threading.Thread:
    """Raise `SystemExit` in the thread *name*, wherever it is in its Python code."""
    [thread] = [thread for thread in threading.enumerate() if thread.name == name]
    assert thread.ident is not None
    ident = ctypes.c_ulong(thread.ident)
    count = ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(SystemExit))
    assert count == 1
    return thread
