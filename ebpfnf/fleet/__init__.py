"""Hosts and how they are reached."""
