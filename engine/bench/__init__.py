"""The measurements of ``codeclm bench``: this machine, and an endpoint."""
