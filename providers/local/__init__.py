"""A model in this process, run by llama.cpp: no key, no server, no network.

What several roles share is loaded once. Load it after forking, never before: the model's threads do
not follow into a child.
"""

from .provider import Local, open_local
from .runtime import LocalOptions
from .weights import SMOLLM2_SHA256, find_weights

__all__ = ["SMOLLM2_SHA256", "Local", "LocalOptions", "find_weights", "open_local"]
