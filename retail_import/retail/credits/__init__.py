"""Credit notes: which sales they refer to, and what they add up to."""
