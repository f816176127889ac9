"""The end of the local run: what it proved, its figures, and what to try next."""

from collections import defaultdict
from collections.abc import Iterator
from textwrap import fill

from local.job import JobDone
from local.screen import BOLD, FAINT, GREEN, RED, aligned, coloured, line
from local.workload import Workload

REASONS = {"70107": "account not imported", "90034": "tag refused", "Expired": "NotAfter passed"}
NEXT = (
    ("make local", "the same set-up, left running, to send what you like"),
    ("make test", "all tests but the slow ones"),
    ("./ops --help", "check a deployed stack, send it files, operate it"),
    ("sam build && sam deploy --guided", "into an AWS account of yours"),
)


def summarize(work: Workload, calls: int, seconds: float, job: JobDone, faults: list[str]) -> None:
    """Print it all; `calls` to TIMPush, `seconds` from the first message to an empty queue."""
    line()
    line(coloured("What was proven" if not faults else "Not as expected", BOLD))
    for text in proven(work, job) if not faults else faults[:20]:
        mark = coloured("NO", RED) if faults else coloured("ok", GREEN)
        line(f"  {mark}  {fill(text, 92, subsequent_indent='      ')}")
    line()
    line(coloured("Figures", BOLD))
    for text in aligned(figures(work, calls, seconds, job, faults)):
        line(text)
    line()
    line(coloured("Try next", BOLD))
    width = max(len(command) for command, _ in NEXT)
    for command, what in NEXT:
        line(f"  {command:<{width}}  {coloured(what, FAINT)}")


def proven(work: Workload, job: JobDone) -> Iterator[str]:
    """What a run without faults has shown, in sentences."""
    tags = sum(map(len, work.removed.values()))
    yield "sam deploy created the stack; its rotation signed and tested the UserSig that was used."
    yield (
        f"{len(work.removed):,} users lost exactly the tags that were asked for, {tags:,} in all, "
        "and kept their others."
    )
    users = users_by_code(work)
    reasons = ", ".join(
        f"{len(one)} {REASONS.get(code, '')} ({code})" for code, one in users.items()
    )
    yield (
        f"{sum(map(len, users.values()))} users that can never succeed are on the dead-letter "
        f"queue with the reason: {reasons}."
    )
    yield f"{len(work.malformed)} malformed message is on the dead-letter queue as it was sent."
    yield "The endpoint answered 200, 202, 400 and 403 as documented."
    yield (
        f"A job removed the tags of {job.document['Removed']:,} of the file's {job.users:,} users; "
        f"its report names the other {job.document['NotRemoved']:,} and agrees with the stand-in."
    )


def users_by_code(work: Workload) -> dict[str, set[str]]:
    """The users expected on the dead-letter queue, by code."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    for account, _, code in work.dead_letters:
        users[code].add(account)
    return users


def figures(
    work: Workload, calls: int, seconds: float, job: JobDone, faults: list[str]
) -> list[tuple[str, str, str]]:
    """Rows of name, figure and what the figure is."""
    failing = {account for account, _, _ in work.dead_letters}
    removed = set(work.removed)
    tags = sum(map(len, work.removed.values()))
    users = (
        f"{len(removed - failing):,} lost their tags, {len(failing - removed)} were dead-lettered, "
        f"{len(removed & failing)} lost a tag and was dead-lettered"
    )
    return [
        ("messages", f"{len(work.bodies):,}", "with 50 users, 5 users or 1 user; one is malformed"),
        ("users", f"{len(removed | failing):,}", users),
        ("tags removed", f"{tags:,}", "about two a user"),
        ("calls to TIMPush", f"{calls:,}", "of up to 100 users, at most 100 a second"),
        ("seconds", f"{seconds:.1f}", "on the emulator: no benchmark"),
        ("users in the job's file", f"{job.users:,}", "from upload to report by the state machine"),
        ("seconds of the job", f"{job.seconds:.1f}", "on the emulator: no benchmark"),
        ("every user accounted for", "no" if faults else "yes", "in the stand-in's store of tags"),
    ]
