"""Twilio's errors, by code."""

from aiohttp import web

from devkit.simulators.twilio.store import dump_json

ERRORS: dict[int, tuple[int, str]] = {
    20001: (400, "Invalid parameter {}"),
    20003: (401, "Authenticate"),
    20404: (404, "The requested resource {} was not found"),
    20429: (429, "Too Many Requests"),
    20500: (500, "An internal server error has occurred"),
    21211: (400, "Invalid 'To' Phone Number: {}"),
    21212: (400, "Invalid From Number (caller ID): {}"),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (400, "The 'From' phone number {} is not a valid, message-capable Twilio phone number for this account."),
    21609: (400, "The 'StatusCallback' URL {} is not a valid URL."),
    21617: (400, "The concatenated message body exceeds the 1600 character limit."),
    21623: (400, "Number of media files exceeds allowed limit."),
    21655: (400, "The ContentSid {} is Invalid"),
    21656: (400, "The ContentVariables Parameter is invalid."),
    21705: (400, "The Messaging Service Sid {} is invalid."),
    21910: (400, "Invalid From and To pair. From and To should be of the same channel"),
}


class TwilioError(Exception):
    """An error that is sent as Twilio's JSON error. `subject` is inserted into its text."""

    def __init__(self, code: int, subject: str = "") -> None:
        self.code = code
        self.status, text = ERRORS[code]
        self.text = text.format(subject)
        super().__init__(self.text)

    def response(self) -> web.Response:
        """Return the response with the error."""
        headers = {"Content-Type": "application/json"}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
        body = {
            "code": self.code,
            "message": self.text,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        return web.Response(body=dump_json(body), status=self.status, headers=headers)
