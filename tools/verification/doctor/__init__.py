"""The doctor's self-test: each fault is injected for real, and the doctor must find it and nothing
else."""
