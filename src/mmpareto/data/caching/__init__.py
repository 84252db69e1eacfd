"""Files decoded once, kept as arrays that are mapped into memory: whole or not there."""
