"""Cursors over the outbox, parked messages, and waking the workers."""
