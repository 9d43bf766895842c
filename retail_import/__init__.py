"""Imports a retail history into the shop: an application on top of the contexts."""
