"""What people do by hand and look at."""
