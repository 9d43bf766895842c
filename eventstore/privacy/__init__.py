"""What is personal, and how it is hidden."""
