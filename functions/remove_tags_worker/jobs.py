"""Messages of jobs: dropped when their job was stopped, and recorded before they are acknowledged.

A message belongs to a job when it has the attributes `JobId` and `Chunk` and the table knows the
job. All others never wait for the table, and without a table there are no jobs.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from remove_tags_worker.batch import Batch
from timpush.aws import DYNAMODB_THREADS, make_dynamodb
from timpush.jobs.chunks import STOPPED, ChunkId, Settlement, read_chunk_id
from timpush.messages import UserTags
from timpush.outcomes import Outcome
from timpush.queue.attributes import CHUNK, JOB_ID, read_attribute
from timpush.tencent.codes import meaning

if TYPE_CHECKING:
    from timpush.jobs.table import Table

CACHE_SECONDS = 5.0
"""How long a job's state is remembered: so long after a stop, its messages are still removed."""
MAX_STATES = 100
MAX_JOB_ID = 80
REASON = "jobs"
"""Why a message returns to the queue whose record was not written."""
logger = Logger()


class State(NamedTuple):
    """What is remembered of a job, until `until` (of the worker's clock)."""

    until: float
    is_known: bool = False
    is_stopped: bool = False
    expires_at: int = 0


@dataclass(slots=True)
class JobMessages:
    """The messages of one job in a batch: the chunk of each key, and the users of dropped ones."""

    chunks: dict[int, ChunkId] = field(default_factory=dict)
    dropped: dict[int, list[UserTags]] = field(default_factory=dict)


class JobsTable:
    """The table of jobs; states of jobs are remembered for some seconds."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.clock = clock
        self._states: dict[str, State] = {}

    @cached_property
    def table(self) -> "Table":
        """Made with the first message of a job: a start without one does without."""
        from timpush.jobs.table import Table

        return Table(make_dynamodb(), self.name)

    def read_state(self, job_id: str) -> State | None:
        """A job's state; None: the table cannot be read."""
        from timpush.jobs.table import read_stored

        now = self.clock()
        held = self._states.get(job_id)
        if held and now < held.until:
            return held
        try:
            item = read_stored(self.table, job_id)
        except (BotoCoreError, ClientError) as error:
            logger.warning("the job was not read", extra={"job_id": job_id, "reason": str(error)})
            return None
        state = State(now + CACHE_SECONDS)
        if item:
            state = State(state.until, True, item["State"] == "stopped", item["ExpiresAt"])
        others = [(key, value) for key, value in self._states.items() if key != job_id]
        self._states = dict([*others[1 - MAX_STATES :], (job_id, state)])
        return state


Jobs = dict[str, JobMessages]
"""The messages of a batch by the id of their job."""


def drop_stopped(batch: Batch, jobs_table: JobsTable) -> Jobs:
    """Find the messages of jobs, and take those of stopped jobs out of the batch's documents."""
    jobs = find_jobs(batch) if jobs_table.name else {}
    for job_id, messages in list(jobs.items()):
        state = jobs_table.read_state(job_id)
        if state and not state.is_known:
            del jobs[job_id]
        elif state and state.is_stopped:
            for key in messages.chunks:
                messages.dropped[key] = batch.documents.pop(key).users
    return jobs


def find_jobs(batch: Batch) -> Jobs:
    """The messages with a job's id and a chunk. A malformed one is left out: it has no users."""
    jobs: Jobs = {}
    for key in batch.documents:
        record = batch.records[key]
        chunk = read_chunk_id(read_attribute(record, CHUNK))
        job_id = read_attribute(record, JOB_ID)
        if chunk and job_id and len(job_id) <= MAX_JOB_ID:
            jobs.setdefault(job_id, JobMessages()).chunks[key] = chunk
    return jobs


def record_jobs(batch: Batch, jobs: Jobs, jobs_table: JobsTable, deadline: float) -> None:
    """Record what became of the messages of jobs; what is not recorded by `deadline` returns.

    `deadline` is a time of the worker's clock.
    """
    settled = {
        job_id: keys
        for job_id, messages in jobs.items()
        if (keys := [key for key in messages.chunks if key not in batch.returned])
    }
    if not settled:
        return
    executor = ThreadPoolExecutor(DYNAMODB_THREADS)
    futures = {
        executor.submit(record_job, batch, job_id, jobs[job_id], keys, jobs_table): job_id
        for job_id, keys in settled.items()
    }
    done, _ = wait(futures, max(0.0, deadline - jobs_table.clock()))
    executor.shutdown(wait=False, cancel_futures=True)
    written = {futures[future] for future in done if future.result()}
    for job_id, keys in settled.items():
        for key in keys if job_id not in written else ():
            batch.give_back(key, REASON)


def record_job(
    batch: Batch, job_id: str, messages: JobMessages, keys: Iterable[int], jobs_table: JobsTable
) -> bool:
    """Record the messages `keys` of a job; whether the table took it."""
    from timpush.jobs.table import WriteError, record_chunks

    state = jobs_table.read_state(job_id)
    if state is None:
        return False
    done: list[ChunkId] = []
    stopped: list[ChunkId] = []
    settlements: dict[str, Settlement] = {}
    for key in keys:
        chunk = messages.chunks[key]
        if key in messages.dropped and not chunk.rest:
            stopped.append(chunk)
        elif key in messages.dropped:
            settlements[str(chunk)] = drop(messages.dropped[key])
        elif key in batch.rejected or key in batch.rests or chunk.rest:
            settlements[str(chunk)] = settle(batch, key)
        else:
            done.append(chunk)
    try:
        record_chunks(jobs_table.table, job_id, state.expires_at, done, stopped, settlements)
    except (BotoCoreError, ClientError, WriteError) as error:
        extra = {"job_id": job_id, "reason": str(error)}
        logger.warning("the record of a job was not written", extra=extra)
        return False
    return True


def settle(batch: Batch, key: int) -> Settlement:
    """What became of a message that was not wholly removed, or is a rest itself."""
    rejected = [
        (account, tag, str(one.code), explain(one))
        for account, tag, one in batch.rejected.get(key, ())
    ]
    places = {(account, tag) for account, tag, *_ in rejected}
    users = batch.documents[key].users
    hit = sum(any((account, tag) in places for tag in tags) for account, tags in users)
    rest = batch.rests[key].users if key in batch.rests else []
    names = [message.attributes[CHUNK] for message in batch.successors.get(key, ())]
    return Settlement(rejected, rest, names, hit)


def explain(outcome: Outcome) -> str:
    """The reason in words; TIMPush's own are missing for users that it names in `ErrorList`."""
    return ": ".join(filter(None, (meaning(outcome.code), outcome.text)))


def drop(users: list[UserTags]) -> Settlement:
    """The settlement of a message that was dropped because its job was stopped."""
    lists = [(account, tag, *STOPPED) for account, tags in users for tag in tags]
    return Settlement(lists, [], (), len(users))
