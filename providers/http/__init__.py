"""Carrying calls over HTTP: endpoints, two transports, and failures turned into provider errors."""
