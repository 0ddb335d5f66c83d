"""Job files in plain torch, with the data that they train on. `isobit trace` executes one; nothing imports them."""
