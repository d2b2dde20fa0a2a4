"""Clients, processors, users and manual accounts: every change of them, for the API and the commands alike."""
