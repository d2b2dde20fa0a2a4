"""All changes to clients, processors, users and manual accounts, for the API and for the commands."""
