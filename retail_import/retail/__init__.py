"""A shop's past invoices in the format of the Online Retail data: read, classified, counted."""
