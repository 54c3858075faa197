"""Metrics of sending, in the text format of Prometheus. They are read from Postgres, so any API process can answer."""

from app.db import Database, Transaction


async def record_clock_skew(tx: Transaction, worker_id: int, seconds: float) -> None:
    """Store by how many seconds the provider's clock is ahead of a worker's."""
    await tx.run(
        "update workers set provider_clock_skew = %(seconds)s where id = %(id)s",
        {"id": worker_id, "seconds": seconds},
    )


async def sending_metrics(system: Database) -> str:
    """Return the number of suspended channels, and the clock skew that each live worker has measured."""
    async with system.statement() as tx:
        suspended = await tx.all(dict, "select count(*) as number from channels where suspended_at is not null", {})
        skews = await tx.all(
            dict,
            """select id, provider_clock_skew as seconds from workers
               where provider_clock_skew is not null and id in (select id from live_workers) order by id""",
            {},
        )
    lines = [
        "# HELP recado_channels_suspended Channels whose credentials the provider refuses.",
        "# TYPE recado_channels_suspended gauge",
        f"recado_channels_suspended {suspended[0]['number']}",
        "# HELP recado_provider_clock_skew_seconds The provider's time minus the worker's.",
        "# TYPE recado_provider_clock_skew_seconds gauge",
        *(f'recado_provider_clock_skew_seconds{{worker="{row["id"]}"}} {row["seconds"]:.1f}' for row in skews),
    ]
    return "\n".join(lines) + "\n"
