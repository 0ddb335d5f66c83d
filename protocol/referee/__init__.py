"""The referee: one element of one operator, computed again from a few openings in integer arithmetic alone."""
