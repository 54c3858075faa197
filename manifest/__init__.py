"""Tenants write their assistants as YAML. One folder per tenant; no Python."""
