"""A service and a worker that hand tokens around, for the trial of a retirement."""
