"""A value that the law forbids."""


class Fault(Exception):
    """The law gives no value here: an index out of range, an integer divided by zero, a step that is too large."""
