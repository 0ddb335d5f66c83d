"""The law of the game: pure functions of (state, message, now, params). No clock, network, randomness or floats."""
