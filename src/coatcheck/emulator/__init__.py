"""What only a sandbox can do: move the clock, make connections and tokens in one call, change the bank's side."""
