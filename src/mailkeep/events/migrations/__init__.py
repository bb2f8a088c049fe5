"""The history of this room's table."""
