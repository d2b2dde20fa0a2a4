"""The pages of the dashboard: each handler calls the verbs of a capability and fills a template."""
