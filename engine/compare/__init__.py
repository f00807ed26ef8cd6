"""Recipes side by side: one strong model, one number of rows, one split of the seeds."""
