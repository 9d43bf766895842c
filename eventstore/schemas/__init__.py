"""Schemas of events: generated, published, compared."""
