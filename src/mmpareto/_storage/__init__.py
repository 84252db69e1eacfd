"""Files that are whole or not there: tables, settings, seals and locks in plain data."""
