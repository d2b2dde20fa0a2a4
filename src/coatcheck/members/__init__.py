"""Data in: members are connected, their jobs sit at the banks, and what the banks gave is kept."""
