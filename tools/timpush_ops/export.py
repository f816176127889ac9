"""Users of dead letters as CSV or JSON lines that `send` reads again."""

import csv
import json
from collections.abc import Callable
from typing import IO, Any

from timpush.jobs.rows import Format
from timpush.queue.dead_letter import Error
from timpush_ops.dead_letters import Letter

COLUMNS = (
    *("To_Account", "Tag", "ErrorCode", "ErrorInfo"),
    *("JobId", "SourceMessageId", "MessageId", "ParkedAt"),
)


def make_writer(file: IO[str], file_format: Format) -> Callable[[Letter], None]:
    """A function that writes a dead letter: a row a tag in CSV, a line a user in JSON lines.

    A malformed message has no users: it is one row without account, or one line with its body.
    """
    if file_format == "jsonl":
        return lambda letter: _write_lines(file, letter)
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    return lambda letter: writer.writerows(_rows(letter))


def _rows(letter: Letter) -> list[list[str]]:
    ends = list(_origin(letter).values())
    if letter.document is None:
        return [["", "", letter.attributes["ErrorCode"], letter.reason, *ends]]
    return [
        [user.account, tag, _joined(user.errors, 0), _joined(user.errors, 1), *ends]
        for user in letter.users
        for tag in user.tags
    ]


def _joined(errors: tuple[Error, ...], part: int) -> str:
    return "; ".join(error[part] for error in errors)


def _write_lines(file: IO[str], letter: Letter) -> None:
    origin = _origin(letter)
    row: dict[str, Any]
    if letter.document is None:
        errors = [{"ErrorCode": letter.attributes["ErrorCode"], "ErrorInfo": letter.reason}]
        row = {"Body": letter.body, "Errors": errors, **origin}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
    for user in letter.users:
        errors = [{"ErrorCode": error.code, "ErrorInfo": error.info} for error in user.errors]
        row = {"To_Account": user.account, "Tags": user.tags, "Errors": errors, **origin}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _origin(letter: Letter) -> dict[str, str]:
    return {
        "JobId": letter.job,
        "SourceMessageId": letter.attributes.get("SourceMessageId", ""),
        "MessageId": letter.message_id,
        "ParkedAt": letter.sent_on,
    }
