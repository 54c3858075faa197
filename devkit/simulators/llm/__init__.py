"""A simulated model server. It speaks the providers' wire formats, and answers from one script per tenant."""
