"""What runs, for those who watch it from outside."""
