"""Talking to models: hosts, kinds of provider, and the transports that carry calls.

`base` is the vocabulary; `hosts` and `kinds` hold the rows that say what there is.
"""
