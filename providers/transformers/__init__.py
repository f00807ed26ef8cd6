"""Models that torch runs in this process with transformers, such as what `codeclm tune` saves."""
