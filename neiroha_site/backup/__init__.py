"""A whole installation in one file: its database, its files and its keys."""
