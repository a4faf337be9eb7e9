"""The ledger: a small database of key dates, runs, censuses and instances. It holds no secret."""
