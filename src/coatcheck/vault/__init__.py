"""What is kept: secrets and personal data, sealed and the one exit for them, which tells who read."""
