"""The one loop: read a batch, plan, write, count; here or on many machines."""
