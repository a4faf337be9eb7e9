"""The scheduled checks: facts, policy and the time in; findings and a verdict out."""
