"""A loyalty program: another service, which knows the shop by its topics and schemas only.

It reads the shop's order events from a broker, keeps an account of points for each customer, and
publishes what it has credited.
"""
