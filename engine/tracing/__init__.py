"""From a torch training step to a program: capture, lowering, optimizer formulas. engine/trace.py is the door."""
