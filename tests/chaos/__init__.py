"""Random faults under load, then checks from outside that nothing is lost or done twice."""
