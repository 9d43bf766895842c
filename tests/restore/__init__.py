"""The log loses its tail while processes use it: stale memory, promises and payments are
noticed."""
