"""What all other folders speak of: targets, batches, counts, reports, policy. Knows no database and no network."""
