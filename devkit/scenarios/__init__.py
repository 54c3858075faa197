"""Conversation tests in a tenant's YAML, on virtual time: `recado tenants test FOLDER`."""
