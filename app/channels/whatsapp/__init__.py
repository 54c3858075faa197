"""WhatsApp through Twilio. Only this folder imports twilio; `inbound` stays light for the webhook's process."""
