"""A loopback Twilio: the Messages API, signed webhooks, status callbacks, faults on demand and a phone to chat from."""
