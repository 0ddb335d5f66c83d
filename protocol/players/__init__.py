"""Who plays: honest players, and the dishonest ones that tests and the demonstration need."""
