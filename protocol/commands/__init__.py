"""The commands of the command line, by who gives them."""
