"""The user's own table: its cells, what its columns hold, its parts, and what is wrong with it."""
