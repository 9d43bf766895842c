"""The whole platform on one machine: PostgreSQL, Redis, web and workers, started and stopped
together."""
