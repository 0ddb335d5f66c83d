"""Benchmarks: ours beside torch and the best library within its reach, in interleaved runs."""
