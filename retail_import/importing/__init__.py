"""A shop's history through the real path: every document becomes commands, and the outcome is
compared with it."""
