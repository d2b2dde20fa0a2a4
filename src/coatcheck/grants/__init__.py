"""Permission: every secret a stranger may present is minted, kept as a hash and checked here."""
