"""The values that all other folders speak of: targets, batches, counts, reports. Knows no database and no network."""
