"""A simulated model: replies that look like a model's, made from a hash of the request.

For trying things out without a key, for tests, and for measuring the engine's overhead. The same
request gets the same reply on every machine. The quality of a reply shows in its number of bullet
points, which the scripted judge counts: a model named ``strong`` is able, one named ``target`` is
weaker, and any other model's ability follows from its name.
"""
