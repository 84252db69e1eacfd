"""Data sets that are folders of files: which files make a sample, and which part it belongs to."""
