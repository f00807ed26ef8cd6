"""The functions of the public API; `codeclm` and `codeclm.engine` document and export them.

The command line is built on them. None of them prints, and none touches signals unless it owns the
process: called in the main thread, with no event loop running.
"""
