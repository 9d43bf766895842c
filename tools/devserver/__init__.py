"""The whole platform on one machine: starts and stops PostgreSQL, Redis, web and workers."""
