"""What admins and schedulers run: finds stored tokens, re-encrypts them under the primary key, proves the result."""
