"""How close training by the program is to float32 torch: `python -m bench.fidelity` writes docs/fidelity.md."""
