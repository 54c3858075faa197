"""A loopback online shop: products, orders, refunds; bearer tokens and Idempotency-Keys as real shops want them."""
