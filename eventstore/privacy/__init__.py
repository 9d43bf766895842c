"""Which data is personal, and how it is masked."""
