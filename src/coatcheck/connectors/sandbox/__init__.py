"""The sandbox bank: a connector like any other, whose customers, money and bad days are computed, not stored."""
