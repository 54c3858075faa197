"""Where the parts of a simulated world usually listen: the demo's tenants name these addresses in their files."""

PORTS = {"shop": 4030, "school": 4040}
