"""Many seeded games of a toy job, on a network that loses, doubles and reorders, among parties that crash and cheat."""
