"""The sandbox bank: a connector like any other, with customers, money and bad days that are computed."""
