"""WhatsApp through Twilio. Only this package imports twilio; `inbound` does not, to keep the API process small."""
