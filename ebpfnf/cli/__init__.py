"""The command line: one file for each group of verbs; text.py is the only printer."""
