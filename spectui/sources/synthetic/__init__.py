"""A made-up race, for tests and demonstrations of the screen alone."""
