"""Public data sets to data/raw: a reader per kind, and one way of laying what they find."""
