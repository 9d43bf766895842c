"""Calls to the world outside: each made under a lease, once or again."""
