"""Schemas of event types: generated from the classes, stored in files, compared."""
