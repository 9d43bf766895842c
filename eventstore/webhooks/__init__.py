"""Webhooks: integration events sent to the endpoints that their receivers register."""
