"""The usual ports of the simulated tool servers. The demo's tenants name them in their files."""

PORTS = {"shop": 4030, "school": 4040}
