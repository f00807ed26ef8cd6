"""Models compared on a test set, and thresholds compared on a pilot run."""
