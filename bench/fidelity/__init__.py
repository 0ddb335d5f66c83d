"""How close training by the program is to training by torch in float32: `python -m bench.fidelity` writes docs/fidelity.md."""
