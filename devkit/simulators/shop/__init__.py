"""A simulated online shop: products, orders and refunds, with a bearer token and Idempotency-Keys."""
