"""Data quality beyond the paper: rules that a run can add, and human review."""
