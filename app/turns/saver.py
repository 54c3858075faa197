"""A LangGraph checkpointer that buffers checkpoints until the turn's commit writes them.

The commit writes them into LangGraph's own tables, in the same statement as everything else of the turn. LangGraph's
Postgres checkpointer, and so Studio, can read them there.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.postgres.base import BasePostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg.types.json import Jsonb

SERDE = JsonPlusSerializer(allowed_msgpack_modules=None)
"""Deserializes known safe types only."""

INLINE = (str, int, float, bool)
"""Values of these types are stored in the checkpoint's JSON, as LangGraph's saver does. Other values are blobs."""


@dataclass
class SavedCheckpoint:
    """The latest checkpoint of one namespace. `is_new`: no commit has written it."""

    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    values: dict[str, Any]
    parent_id: str | None
    writes: list[tuple[str, str, Any]]
    is_new: bool = False

    @property
    def id(self) -> str:
        """The checkpoint's id."""
        return str(self.checkpoint["id"])


class BufferingSaver(BasePostgresSaver):
    """Serves the checkpoints of a claim, and buffers the checkpoints of a run for the commit."""

    def __init__(self, thread_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(serde=SERDE)
        self._thread_id = thread_id
        self._latest: dict[str, SavedCheckpoint] = {}
        self._blobs: dict[tuple[str, str, str], tuple[str, bytes]] = {}
        self._writes: dict[tuple[str, str, str, int], tuple[str, str, str, bytes]] = {}
        for row in sorted(rows, key=lambda row: row["checkpoint_id"]):
            self._latest[row["checkpoint_ns"]] = SavedCheckpoint(
                checkpoint=row["checkpoint"],
                metadata=row["metadata"],
                values=self._load_blobs(row["channel_values"]),
                parent_id=row["parent_checkpoint_id"],
                writes=self._load_writes(row["pending_writes"]),
            )

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the latest checkpoint of the namespace, committed or buffered."""
        namespace = config["configurable"].get("checkpoint_ns", "")
        saved = self._latest.get(namespace)
        wanted = get_checkpoint_id(config)
        if saved is None or (wanted and wanted != saved.id):
            return None
        values = {**(saved.checkpoint.get("channel_values") or {}), **saved.values}
        parent = self._config(namespace, saved.parent_id) if saved.parent_id else None
        return CheckpointTuple(
            self._config(namespace, saved.id),
            {**saved.checkpoint, "channel_values": values},  # type: ignore[typeddict-item]
            saved.metadata,  # type: ignore[arg-type]
            parent,
            saved.writes,
        )

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Buffer a checkpoint, split into JSON and blobs as LangGraph's saver does."""
        namespace = config["configurable"].get("checkpoint_ns", "")
        values = checkpoint["channel_values"]
        inline = {name: value for name, value in values.items() if value is None or isinstance(value, INLINE)}
        large = {name: value for name, value in values.items() if name not in inline}
        for name, version in new_versions.items():
            if name in large:
                self._blobs[namespace, name, str(version)] = self.serde.dumps_typed(large[name])
        self._latest[namespace] = SavedCheckpoint(
            checkpoint={**checkpoint, "channel_values": inline},
            metadata=dict(get_checkpoint_metadata(config, metadata)),
            values=large,
            parent_id=get_checkpoint_id(config) or None,
            writes=[],
            is_new=True,
        )
        return self._config(namespace, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Buffer the pending writes of a task: an interrupt, or the value that it is resumed with."""
        namespace = config["configurable"].get("checkpoint_ns", "")
        checkpoint_id = str(config["configurable"]["checkpoint_id"])
        dumped = self._dump_writes(self._thread_id, namespace, checkpoint_id, task_id, task_path, writes)
        for _, _, _, _, path, index, channel, kind, blob in dumped:
            self._writes[namespace, checkpoint_id, task_id, index] = (path, channel, kind, blob)
        saved = self._latest.get(namespace)
        if saved is not None and saved.id == checkpoint_id:
            saved.writes.extend((task_id, channel, value) for channel, value in writes)

    def alist(self, config: RunnableConfig | None, **_: Any) -> AsyncIterator[CheckpointTuple]:
        """Raise NotImplementedError: a turn reads only the latest checkpoint."""
        raise NotImplementedError("a turn reads only the latest checkpoint")

    @property
    def has_new(self) -> bool:
        """Whether a run has written a checkpoint since the last commit."""
        return any(saved.is_new for saved in self._latest.values())

    def mark_committed(self) -> None:
        """Clear the buffers after the commit of a leg."""
        self._blobs.clear()
        self._writes.clear()
        for saved in self._latest.values():
            saved.is_new = False

    def drop_subgraphs(self) -> None:
        """Drop the checkpoints of subgraphs. After the end of a turn only the root graph continues."""
        self._latest = {namespace: saved for namespace, saved in self._latest.items() if namespace == ""}

    def commit_parameters(self) -> dict[str, Any]:
        """Return the parameters of the commit, one list per column. `kept_*` name the stored rows that must stay."""
        new = [(namespace, saved) for namespace, saved in self._latest.items() if saved.is_new]
        kept_ids = {saved.id for saved in self._latest.values()}
        kept = {
            (namespace, channel, str(version))
            for namespace, saved in self._latest.items()
            for channel, version in saved.checkpoint["channel_versions"].items()
        }
        blobs = [(key, value) for key, value in self._blobs.items() if key in kept]
        writes = [(key, value) for key, value in self._writes.items() if key[1] in kept_ids]
        return {
            "checkpoint_ns": [namespace for namespace, _ in new],
            "checkpoint_ids": [saved.id for _, saved in new],
            "checkpoints": [Jsonb(saved.checkpoint) for _, saved in new],
            "metadata": [Jsonb(saved.metadata) for _, saved in new],
            "blob_ns": [key[0] for key, _ in blobs],
            "blob_channels": [key[1] for key, _ in blobs],
            "blob_versions": [key[2] for key, _ in blobs],
            "blob_types": [value[0] for _, value in blobs],
            "blobs": [value[1] for _, value in blobs],
            "write_ns": [key[0] for key, _ in writes],
            "write_checkpoints": [key[1] for key, _ in writes],
            "write_tasks": [key[2] for key, _ in writes],
            "write_indexes": [key[3] for key, _ in writes],
            "write_paths": [value[0] for _, value in writes],
            "write_channels": [value[1] for _, value in writes],
            "write_types": [value[2] for _, value in writes],
            "writes": [value[3] for _, value in writes],
            "kept_ids": list(kept_ids),
            "kept_ns": [namespace for namespace, _, _ in kept],
            "kept_channels": [channel for _, channel, _ in kept],
            "kept_versions": [version for _, _, version in kept],
        }

    def _config(self, namespace: str, checkpoint_id: str) -> RunnableConfig:
        return {
            "configurable": {
                "thread_id": self._thread_id,
                "checkpoint_ns": namespace,
                "checkpoint_id": checkpoint_id,
            }
        }
