"""Several messages of one contact within the tenant's debounce: one reply must answer them all."""

import asyncio
import re
from collections import defaultdict

from bench.load.bench_context import BenchContext
from bench.load.closed_loop import check_acknowledged
from bench.report import ReportRow, met_or_missed
from bench.stack import LONG_DEBOUNCE
from bench.twilio_stub import PostedReply
from bench.webhook_client import contact_address

MESSAGES, SECONDS = 5, 0.2
SECONDS_BETWEEN_CONTACTS = 0.1
TOKEN = re.compile(r"\bt\d+-\d+\b")
"""A unique part of a message's text. The simulated model repeats the text, so a reply shows what it answers."""


async def debounce(context: BenchContext) -> list[ReportRow]:
    """Let each contact send 5 messages within 200 ms, and count the replies."""
    await context.restart(workers=1)
    contacts = context.size(80, 40)
    replies: defaultdict[str, list[str]] = defaultdict(list)

    def on_reply(reply: PostedReply) -> None:
        replies[reply.contact].append(reply.body)

    context.reply_listeners.append(on_reply)
    async with asyncio.TaskGroup() as group:
        for contact in range(contacts):
            group.create_task(_send_messages(context, contact))
            await asyncio.sleep(SECONDS_BETWEEN_CONTACTS)
    # Longer than the debounce, so that no turn is still to begin.
    await asyncio.sleep(1.0)
    await context.wait_until_idle()
    of_contact = [replies[contact_address(contact)] for contact in range(contacts)]
    counts = [len(bodies) for bodies in of_contact]
    complete = sum(
        TOKEN.findall(" ".join(bodies)) == [f"t{contact}-{number}" for number in range(MESSAGES)]
        for contact, bodies in enumerate(of_contact)
    )
    met = counts == [1] * contacts and complete == contacts
    return [
        ReportRow(
            "replies to 5 messages of a contact within 200 ms",
            "1, to all messages, in order",
            f"{sum(counts) / contacts:.2f}",
            f"{met_or_missed(met)}, {complete} of {contacts} contacts got all answers in order, {LONG_DEBOUNCE}",
            met,
            {"replies": sum(counts), "contacts": contacts, "complete": complete},
        )
    ]


async def _send_messages(context: BenchContext, contact: int) -> None:
    number, address = context.stack.debounced_number, contact_address(contact)
    for message in range(MESSAGES):
        request = context.client.message_request(number, address, f"t{contact}-{message}")
        check_acknowledged(await context.client.post_for_status(request))
        await asyncio.sleep(SECONDS / MESSAGES)
