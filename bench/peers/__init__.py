"""Others' programs that do what Doorward does, measured in turns with it: `make bench-peers`."""
