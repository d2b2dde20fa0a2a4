"""What the surfaces share: the endpoint, errors, headers, negotiation, compression, files, the message page."""
