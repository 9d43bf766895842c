"""Import through the real path: each document becomes commands, and the outcome is compared with
the file."""
