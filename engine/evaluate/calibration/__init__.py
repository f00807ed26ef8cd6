"""Choose θ from a pilot run: what each threshold yields, and how far the judge can be trusted."""
