"""What an admin writes into rotation.toml: targets, key sets, policy, ignored columns."""
