"""Compare recipes: one strong model, one number of rows, one split of the seeds."""
