"""Data quality beyond the paper: rules one can add to a run. Knows records and texts, no model."""
