"""What operators look at and do by hand."""
