"""The page that shows runs: a local server with live figures, or one self-contained file."""
