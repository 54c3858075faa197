"""The CPU per reply with thousands of tenants in rotation, and a worker that starts with messages of a thousand."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import LiteralString

from bench.load.bench_context import BenchContext
from bench.load.closed_loop import ClosedLoop, MeasurementFailed, check_acknowledged
from bench.measures.cpu_per_reply import cpu_ms_per_reply, recado_cpu_ms
from bench.report import ReportRow, at_most
from bench.webhook_client import contact_address
from devkit.stack import Number

CONNECTIONS = 8
FIRST_CONTACT = 300_000
COLD_TIMEOUT = 120.0

COPY_TENANT: LiteralString = """
with source as (
    select a.tenant_id, v.content_hash, v.files, v.form, v.debounce, v.debounce_cap, v.published_at, c.account_sid,
        c.auth_tokens
    from channels c join assistants a on a.tenant_id = c.tenant_id join assistant_versions v on v.id = a.version_id
    where c.address = %(address)s
),
made as (
    insert into tenants (id, slug, name)
    select md5('tenant' || n)::uuid, 'copy-' || n, 'Copy' from generate_series(1, %(count)s) n
    returning id, substr(slug, 6)::int as n
),
channels_made as (
    insert into channels (tenant_id, account_sid, address, auth_tokens)
    select made.id, account_sid, %(prefix)s || n, auth_tokens from source, made
),
versions_made as (
    -- Another hash for each, so that no two tenants share what is cached.
    insert into assistant_versions (tenant_id, content_hash, files, form, debounce, debounce_cap, published_at)
    select made.id, content_hash || n, files, form, debounce, debounce_cap, published_at from source, made
    returning id, tenant_id, published_at
),
publications_made as (
    insert into assistant_publications (tenant_id, version_id, published_at)
    select tenant_id, id, published_at from versions_made
)
insert into assistants (tenant_id, version_id, updated_at) select tenant_id, id, published_at from versions_made
"""
"""Copies one tenant with its published version and its number."""
PREFIX = "whatsapp:+5521"


async def many_tenants(context: BenchContext) -> list[ReportRow]:
    """Compare the CPU per reply of messages to thousands of tenants in rotation with that of messages to one."""
    tenants, waiting = context.size(5_000, 800), context.size(1_000, 200)
    await context.restart(workers=1)
    one = await _cpu_ms(context, [context.stack.number], tenants)
    numbers = await _copy_tenants(context, tenants)
    await context.restart(workers=1)
    before_mb = context.stack.resident_mb("worker-1")
    cold = await _cpu_ms(context, numbers, tenants)
    memory_kb = (context.stack.resident_mb("worker-1") - before_mb) * 1024 / tenants
    rotation = await _cpu_ms(context, numbers, tenants, FIRST_CONTACT + tenants)
    elapsed = await _cold_start(context, numbers[:waiting])
    notes = f"{rotation:.2f} and {one:.2f} ms; {cold:.2f} ms when each tenant is loaded for its message"
    return [
        at_most(f"CPU per reply, {tenants:,} tenants in rotation / one tenant", 1.5, rotation / one, "x", notes),
        at_most(f"memory of a worker per tenant in use, {tenants:,} tenants", 100.0, memory_kb, "KB"),
        at_most(
            f"a worker starts with messages of {waiting:,} tenants waiting: until all are answered",
            waiting * 0.03,
            elapsed,
            "s",
            f"{elapsed / waiting * 1000:.1f} ms each",
        ),
    ]


async def _copy_tenants(context: BenchContext, count: int) -> list[Number]:
    address = context.stack.number.address
    await context.storage.fetch_rows(COPY_TENANT, address=address, prefix=PREFIX, count=count)
    await context.storage.analyze()
    return [replace(context.stack.number, address=f"{PREFIX}{number}") for number in range(1, count + 1)]


async def _cpu_ms(
    context: BenchContext, numbers: list[Number], messages: int, first_contact: int = FIRST_CONTACT
) -> float:
    """Return the milliseconds of CPU per reply, of Recado and Postgres. Each message is of a new contact."""
    loop = context.new_closed_loop(*numbers)
    before = context.stack.cpu_seconds()
    contacts = iter(range(first_contact, first_contact + messages))
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(_exchange(loop, contacts))
    await context.wait_until_idle()
    cpu_ms = {"postgres": 0.0} | cpu_ms_per_reply(before, context.stack.cpu_seconds(), messages)
    return cpu_ms["postgres"] + recado_cpu_ms(cpu_ms)


async def _exchange(loop: ClosedLoop, contacts: Iterator[int]) -> None:
    for contact in contacts:
        await loop.measure_exchange(contact)


async def _cold_start(context: BenchContext, numbers: list[Number]) -> float:
    """Return the seconds from the start of a worker until one message of each tenant is answered."""
    await context.restart(workers=0)
    for contact, number in enumerate(numbers):
        request = context.client.message_request(number, contact_address(contact), "olá")
        check_acknowledged(await context.client.post_for_status(request))
    started = time.perf_counter()
    context.stack.start("worker-1")
    if await context.storage.wait_until_idle(COLD_TIMEOUT) is None:
        raise MeasurementFailed(f"messages were still waiting after {COLD_TIMEOUT:.0f} s")
    return time.perf_counter() - started
