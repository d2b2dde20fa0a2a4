"""The sandbox bank: invented institutions whose data is a function of the seed and the login."""
