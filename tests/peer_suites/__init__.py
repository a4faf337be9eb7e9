"""The tests of other packages, with the types and fields of this one in place of theirs."""
