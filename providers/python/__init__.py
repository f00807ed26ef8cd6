"""A model that is a program: a function of the user's own, in an installed package."""
