"""How many requests and failed authentications are allowed in a period."""
