"""What a step costs: `make bench`. See README.md beside this file."""
