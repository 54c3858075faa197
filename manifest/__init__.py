"""The tenant's YAML: schema, validation, compilation and reference."""
