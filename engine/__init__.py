"""A torch model becomes a program; running it leaves commitments."""
