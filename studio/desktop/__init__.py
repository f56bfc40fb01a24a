"""What the Neiroha desktop application holds in its SQLite file, brought into this installation.

database.py opens the file, which anybody may have made; schema.py says what is looked for in it; reading.py turns rows
into values. imports.py brings them here: sounds.py finds their audio files and preparing.py stores those, voices.py
makes providers, characters and banks of them, projects.py and takes.py projects, lines and takes. known.py remembers
what became of each row, and report.py tells what happened, or would.
"""
