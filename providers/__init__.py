"""Talking to models: hosts, kinds of provider, and the transports that carry calls.

`base` defines requests, replies and errors; `hosts` and `kinds` list what is available.
"""
