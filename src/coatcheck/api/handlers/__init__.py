"""What each operation does: find, ask one room, show."""
