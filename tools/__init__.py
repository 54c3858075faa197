"""What an agent may do. Imports nothing of the product: what a tool needs comes through the ports of `context`."""
