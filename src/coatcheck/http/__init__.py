"""What the surfaces share: routes, authentication, errors, documentation, the endpoint, headers, files, pages."""
