"""A model in this process, run by llama.cpp: no key, no server, no network.

A model that several roles share is loaded once. Load it after forking, never before: the model's
threads do not survive a fork.
"""
