"""The law in integers alone, without a float or an array: what the spec maps over arrays."""
