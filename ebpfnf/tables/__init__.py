"""Typed tables: what a key or value looks like in text, in C and in bytes, and how each kind of table is laid out.

Standard library only: the generator makes C from these layouts, the agent reads and writes maps by them.
"""
