"""Import a shop's past invoices: an application above the contexts."""
