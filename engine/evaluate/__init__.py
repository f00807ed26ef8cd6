"""Compare models on a test set, and thresholds on a pilot run."""
