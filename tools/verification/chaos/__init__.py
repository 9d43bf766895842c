"""Random faults under load, and a checker that uses only public interfaces."""
