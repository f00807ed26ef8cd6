"""Streams of events, put together into the body that the vendor sends without streaming.

So each dialect is read in one place, whether its reply was streamed or not.
"""
