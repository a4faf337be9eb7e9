"""Whether a key may be retired: the evidence, and the decision. Pure."""
