"""Control totals: what a file of invoices adds up to, and what its import has come to.

Shares no code with the importer: a mistake in its reading, its classes or its matching shows here
as a difference.
"""
