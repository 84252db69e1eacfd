"""Handwritten, coloured and spoken digits, from the files that people have of them."""
