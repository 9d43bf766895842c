"""What the platform can do, measured beside its peers: `make bench`."""
