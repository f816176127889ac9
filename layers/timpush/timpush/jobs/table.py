"""The table of jobs: items read and written, and a job's document with its live figures.

Keys and items are described in the package's docstring. Reads of a job's document are strongly
consistent: a job that was just stopped reads as stopped.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from timpush.jobs.chunks import (
    ChunkId,
    Records,
    Settlement,
    add_item,
    group_key,
    make_items,
)
from timpush.jobs.progress import Figures, count
from timpush.jobs.ranges import Range
from timpush.jobs.state import RUNNING, Document, State, timestamp
from timpush.queue.split import cut

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

JOB = "job"
LISTING = "job"
INDEX = "JobsByStart"
DAY = 86_400
MAX_BATCH, MAX_BATCH_BYTES = 25, 8 * 1024 * 1024
"""Of a BatchWriteItem, which takes 25 items of up to 16 MB.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html (2026-11).
"""
PAUSES = (0.05, 0.2, 0.5)
"""Seconds before what a throttled table left is written again."""

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


@dataclass(frozen=True, slots=True)
class Table:
    """The table of jobs, reached with a client of DynamoDB."""

    client: "DynamoDBClient"
    name: str

    def get(self, job_id: str, item: str) -> dict[str, Any] | None:
        """One item of a job."""
        key: Any = {"JobId": {"S": job_id}, "Item": {"S": item}}
        reply = self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True)
        return read_item(reply["Item"]) if "Item" in reply else None

    def query(self, job_id: str, prefix: str) -> list[dict[str, Any]]:
        """A job's items whose sort key begins so, in the order of their sort keys."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="JobId = :job AND begins_with(#item, :prefix)",
            ExpressionAttributeNames={"#item": "Item"},
            ExpressionAttributeValues={":job": {"S": job_id}, ":prefix": {"S": prefix}},
            ConsistentRead=True,
        )
        return [read_item(item) for page in pages for item in page["Items"]]

    def put(self, item: Mapping[str, Any]) -> None:
        """Write an item, over what was there."""
        self.client.put_item(TableName=self.name, Item=write_item(item))

    def update(
        self, job_id: str, item: str, values: Mapping[str, Any], condition: str = "", **bound: Any
    ) -> bool:
        """Set attributes of an item; False when the condition does not hold.

        In `condition`, `:NAME` stands for the value of the keyword argument NAME.
        """
        names = {f"#{index}": name for index, name in enumerate(values)}
        written = {f":{index}": value for index, value in enumerate(values.values())}
        written |= {f":{name}": value for name, value in bound.items()}
        extra: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
        try:
            self.client.update_item(
                TableName=self.name,
                Key=write_item({"JobId": job_id, "Item": item}),
                UpdateExpression="SET " + ", ".join(f"#{n} = :{n}" for n in range(len(values))),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=write_item(written),
                **extra,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True


def read_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as DynamoDB holds it -> plain values."""
    return {name: _plain(_deserialize(value)) for name, value in item.items()}


def write_item(item: Mapping[str, Any]) -> Any:
    """Plain values -> an item as DynamoDB takes it."""
    return {name: _serialize(value) for name, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, Binary):
        return cast(Any, value).value
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, set):
        return {_plain(one) for one in value}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


def create_job(table: Table, document: Document, expires_at: int) -> None:
    """Write a job's document, unless it is there: a repeated start changes nothing."""
    item = {**document, "Item": JOB, "Listing": LISTING, "ExpiresAt": expires_at}
    try:
        table.client.put_item(
            TableName=table.name,
            Item=write_item(item),
            ConditionExpression="attribute_not_exists(JobId)",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise


def read_stored(table: Table, job_id: str) -> dict[str, Any] | None:
    """A job's item as it stands, without live figures; None: there is no such job."""
    return table.get(job_id, JOB)


def read_job(table: Table, job_id: str) -> Document | None:
    """A job's document with its live figures; None: there is no such job."""
    stored = read_stored(table, job_id)
    if stored is None:
        return None
    if not stored["EndedAt"]:
        stored.update(read_figures(table, job_id)._asdict())
    return to_document(stored)


def list_jobs(table: Table, limit: int = 100) -> list[Document]:
    """The latest jobs, latest first. Their figures are those last stored, not live ones."""
    reply = table.client.query(
        TableName=table.name,
        IndexName=INDEX,
        KeyConditionExpression="Listing = :listing",
        ExpressionAttributeValues={":listing": {"S": LISTING}},
        ScanIndexForward=False,
        Limit=limit,
    )
    return [to_document(read_item(item)) for item in reply["Items"]]


def stop_job(table: Table, job_id: str, reason: str) -> bool:
    """Stop a job; False when there is none, or it was stopped or has ended before.

    Messages that are queued already are dropped by workers as soon as they read this.
    """
    running = ", ".join(f":{state}" for state in RUNNING)
    return table.update(
        job_id,
        JOB,
        {"State": "stopped", "Reason": reason},
        f"attribute_exists(JobId) AND #0 IN ({running})",
        **{state: state for state in RUNNING},
    )


def change_state(table: Table, job_id: str, state: State, values: Mapping[str, Any]) -> bool:
    """Move a running job on and set values of its document; False when it was stopped."""
    return table.update(
        job_id, JOB, {"State": state, **values}, "#0 <> :stopped", stopped="stopped"
    )


def end_job(table: Table, job_id: str, values: Mapping[str, Any], now: datetime) -> None:
    """Write a job's last figures, and that it has ended."""
    table.update(job_id, JOB, {**values, "EndedAt": timestamp(now)})


def to_document(item: Mapping[str, Any]) -> Document:
    """A job's item -> the document that is shown."""
    return cast(Document, {name: item[name] for name in Document.__annotations__})


def put_ranges(table: Table, job_id: str, ranges: Iterable[Range], expires_at: int) -> None:
    """Write a job's byte ranges."""
    for one in ranges:
        table.put({"JobId": job_id, "ExpiresAt": expires_at, **one.to_item()})


def read_range(table: Table, job_id: str, number: int) -> Range:
    """One byte range of a job."""
    item = table.get(job_id, Range.key(number))
    if item is None:
        raise LookupError(f"job {job_id} has no range {number}")
    return Range.from_item(item)


def read_ranges(table: Table, job_id: str) -> list[Range]:
    """All byte ranges of a job, in the order of the file."""
    return [Range.from_item(item) for item in table.query(job_id, "range#")]


def read_records(table: Table, job_id: str, number: int | None = None) -> Records:
    """What workers recorded of a job, or of one range of it, without the lists of users."""
    suffix = "" if number is None else f"{number:05d}#"
    records = Records()
    for prefix in ("chunks#", "part#"):
        for item in table.query(job_id, f"{prefix}{suffix}"):
            add_item(records, item)
    return records


def read_figures(table: Table, job_id: str) -> Figures:
    """A job's figures as of now."""
    return count(read_ranges(table, job_id), read_records(table, job_id))


def record_chunks(
    table: Table,
    job_id: str,
    expires_at: int,
    done: Iterable[ChunkId] = (),
    stopped: Iterable[ChunkId] = (),
    settlements: Mapping[str, Settlement] | None = None,
) -> None:
    """Record what became of chunks. A repeated call, also one in parallel, changes nothing more.

    `done` and `stopped` are whole chunks; anything else is a settlement, by the text of its id.
    """
    items = [
        {"JobId": job_id, "ExpiresAt": expires_at, **item} for item in make_items(settlements or {})
    ]
    put_items(table, items)
    for name, chunks in (("Done", done), ("Stopped", stopped)):
        groups: dict[str, set[int]] = {}
        for chunk in chunks:
            key = group_key(chunk.range_number, chunk.number)
            groups.setdefault(key, set()).add(chunk.number)
        for key, numbers in groups.items():
            add_numbers(table, job_id, key, name, numbers, expires_at)


def add_numbers(
    table: Table, job_id: str, item: str, name: str, numbers: Iterable[int], expires_at: int
) -> None:
    """Add numbers to the set `name` of an item."""
    table.client.update_item(
        TableName=table.name,
        Key=write_item({"JobId": job_id, "Item": item}),
        UpdateExpression=f"ADD {name} :numbers SET ExpiresAt = :expires",
        ExpressionAttributeValues={
            ":numbers": {"NS": [str(number) for number in sorted(numbers)]},
            ":expires": {"N": str(expires_at)},
        },
    )


def put_items(table: Table, items: Sequence[Mapping[str, Any]]) -> None:
    """Write items in their order, up to 25 at once.

    Raises:
        WriteError: the table did not take all of them.
    """
    for batch in cut(((item, item_size(item)) for item in items), MAX_BATCH_BYTES, MAX_BATCH):
        requests: Any = {table.name: [{"PutRequest": {"Item": write_item(item)}} for item in batch]}
        for pause in PAUSES:
            requests = table.client.batch_write_item(RequestItems=requests)["UnprocessedItems"]
            if not requests:
                break
            time.sleep(pause)
        else:
            raise WriteError("the table did not take all items")


def item_size(item: Mapping[str, Any]) -> int:
    """About as many bytes as DynamoDB counts for an item of a record."""
    return 200 + len(item.get("Detail", b"")) + len(item.get("Summaries", ""))


class WriteError(Exception):
    """The table did not take what was written."""
