"""Serve the simulated Twilio until SIGINT or SIGTERM: `python -m devkit.simulators.twilio`."""

import argparse
import asyncio

import uvloop

from devkit.simulators.twilio.numbers import parse_option
from devkit.simulators.twilio.server import TwilioOptions, serve
from devkit.simulators.twilio.store import SimulatedNumber

NUMBER_HELP = """\
a number, and the URL that its messages are posted to; repeatable. Either separated by colons, with the URL last:
AC…32 hex…:auth token:whatsapp:+551140000000:http://127.0.0.1:8000/api/v1/twilio/webhook
or the JSON object that POST /control/numbers takes: {"account_sid", "auth_token", "address", "webhook_url", "name",
"suggestions"}. The URL may carry connection overrides: #rc=3&rp=ct,rt,5xx&rt=4000"""


def number(text: str) -> tuple[SimulatedNumber, str]:
    """Parse the --number option. Return the number and its account's token."""
    try:
        return parse_option(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> None:
    """Parse the command line, and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m devkit.simulators.twilio",
        description="A Twilio on this machine: Messages API, webhooks, status callbacks, faults, and a phone page.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=4010, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--number", type=number, action="append", default=[], metavar="NUMBER", help=NUMBER_HELP)
    parser.add_argument(
        "--callback-delay",
        type=float,
        default=0.05,
        metavar="SECONDS",
        help="seconds between two statuses of a message (default: %(default)s)",
    )
    parser.add_argument("--auto-read", action="store_true", help="mark delivered messages as read")
    args = parser.parse_args()
    settings = TwilioOptions(args.host, args.port, args.callback_delay, args.auto_read, args.number)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(serve(settings))
        except OSError as error:
            parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
