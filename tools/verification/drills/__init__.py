"""Failover and restore drills under load, with the fate of every order."""
