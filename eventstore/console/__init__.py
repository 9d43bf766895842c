"""The operators' pages in the Django admin: a window on the log, and the few things that people do
by hand."""
