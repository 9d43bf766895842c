"""Deliver the log to subscriptions: one batch at a time, by workers that may die at any moment."""
