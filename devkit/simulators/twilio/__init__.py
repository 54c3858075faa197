"""A simulated Twilio: the Messages API, signed webhooks, status callbacks, faults, and a phone page to chat from."""
