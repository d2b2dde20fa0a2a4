"""What processors may read: API keys, codes, tokens and their restrictions; links and sessions of the widget."""
