"""Consumers: what they read from a broker is stored in the outbox first, and then delivered to them
like any other message of a subscription."""
