"""A shop's past invoices, in the form of the Online Retail data: read, understood, counted."""
