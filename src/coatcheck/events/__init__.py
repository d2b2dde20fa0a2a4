"""Webhook events: stored in the transaction of the change, signed, and delivered with retries."""
