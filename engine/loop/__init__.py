"""Rounds of making data, tuning the target on them and evaluating it, each with the tuned target.

Every step continues where it was stopped by what its own folder holds; nothing here says which
steps are done. The folder of a loop holds ``config.toml``, ``loop.json`` (the table of rounds),
``start`` (the untuned target's answers and evaluation), and for each round a folder ``round-N``
with ``data``, ``model``, ``answers.jsonl`` and ``evaluation``.
"""
