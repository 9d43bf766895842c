"""Random faults under load, and a checker that asks from outside."""
