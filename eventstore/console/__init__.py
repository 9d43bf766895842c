"""The console: the operators' pages in the Django admin. They show the log and the machinery, and
run a few recorded actions."""
