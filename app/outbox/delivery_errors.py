"""Why a message was not delivered, in words that operators understand."""

WINDOW_CLOSED = "24 hours are over"
"""The reason of a row that was not posted because WhatsApp takes no free text any more."""

REASONS = {
    WINDOW_CLOSED: "the contact's last message is more than 24 hours old: WhatsApp takes no free text until it writes",
    "21211": "the number is not valid",
    "21408": "the account may not send to this country",
    "21610": "the contact has opted out",
    "21614": "the number cannot receive messages",
    "21617": "the text is too long",
    "63003": "WhatsApp does not know the number",
    "63005": "WhatsApp does not accept the content",
    "63007": "our number is not set up as a sender at Twilio",
    "63013": "WhatsApp refused the message because of its policy",
    "63014": "the contact has blocked us",
    "63015": "the contact has not joined the sandbox",
    "63016": "the contact's last message is more than 24 hours old: WhatsApp takes no free text until it writes",
    "63018": "WhatsApp limits how many messages the number may send",
    "63020": "the WhatsApp account is not accepted by Meta",
    "63024": "the number is not on WhatsApp",
    "63032": "WhatsApp does not deliver to this contact at present",
    "63049": "WhatsApp does not deliver marketing to this contact at present",
    "63051": "the WhatsApp account is locked",
}
"""By Twilio's code, or by our own words: https://www.twilio.com/docs/api/errors."""


def reason_in_words(error_code: str | None) -> str:
    """Return why a message was not delivered."""
    if not error_code:
        return "Twilio did not say why"
    if error_code in REASONS:
        return f"{REASONS[error_code]} ({error_code})" if error_code.isdigit() else REASONS[error_code]
    return f"Twilio's error {error_code}" if error_code.isdigit() else error_code
