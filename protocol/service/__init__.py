"""The coordinator: the signed message log, and the state that follows from it."""
