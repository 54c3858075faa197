"""Several messages written in one breath: one answer that covers them all."""

import asyncio
import re
from collections import defaultdict

from bench.load.closed_loop import Stalled
from bench.load.context import Lab
from bench.receiver import Sent
from bench.report import Row
from bench.system import FOLDING
from bench.traffic import contact_address

MESSAGES, WITHIN = 5, 0.2
BETWEEN_CONTACTS = 0.1
TOKEN = re.compile(r"\bt\d+-\d+\b")


async def folding(lab: Lab) -> list[Row]:
    """Five messages of a contact within 200 ms; many contacts, begun one after another."""
    await lab.ready(workers=1)
    count = lab.scaled(80, 40)
    replies: defaultdict[str, list[str]] = defaultdict(list)

    def heard(sent: Sent) -> None:
        replies[sent.contact].append(sent.body)

    lab.listeners.append(heard)
    async with asyncio.TaskGroup() as group:
        for contact in range(count):
            group.create_task(_write(lab, contact))
            await asyncio.sleep(BETWEEN_CONTACTS)
    await asyncio.sleep(1.0)
    await lab.calm()
    answers = [len(replies[contact_address(contact)]) for contact in range(count)]
    whole = sum(
        TOKEN.findall(" ".join(replies[contact_address(contact)])) == [f"t{contact}-{n}" for n in range(MESSAGES)]
        for contact in range(count)
    )
    met = answers == [1] * count and whole == count
    return [
        Row(
            "5 messages of a contact within 200 ms",
            "1 answer, all covered, in order",
            f"{sum(answers) / count:.2f} answers",
            f"{'met' if met else 'MISSED'}, {whole} of {count} contacts covered in order, {FOLDING}",
            met,
            {"answers": sum(answers), "contacts": count, "covered": whole},
        )
    ]


async def _write(lab: Lab, contact: int) -> None:
    for number in range(MESSAGES):
        request = lab.poster.webhook(lab.system.folding_number, contact_address(contact), f"t{contact}-{number}")
        if (status := await lab.poster.status_of(request)) != 200:
            raise Stalled(f"the webhook answered {status or 'nothing'}")
        await asyncio.sleep(WITHIN / MESSAGES)
