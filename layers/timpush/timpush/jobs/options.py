"""Metadata of an upload -> the job's options; every fault is named."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from email.header import decode_header, make_header
from typing import Literal, cast

from timpush.messages import MAX_NOT_AFTER

NAMES = (
    "not-after",
    "message-group-id",
    "separator",
    "on-fault",
    "dry-run",
    "requested-by",
)
MAX_REQUESTED_BY = 500
_GROUP_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
(2026-11)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What an upload may say. `not_after` is in Unix seconds; an empty group id is the job's id."""

    not_after: float | None = None
    message_group_id: str = ""
    separator: str = "|"
    on_fault: Literal["stop", "skip"] = "stop"
    dry_run: bool = False
    requested_by: str = ""

    def to_document(self) -> dict[str, str]:
        """As the job's document shows them: by their names in the metadata, as text."""
        values = {name.replace("_", "-"): str(value) for name, value in asdict(self).items()}
        values["dry-run"] = "true" if self.dry_run else "false"
        values["not-after"] = "" if self.not_after is None else repr(self.not_after)
        return values

    @classmethod
    def from_document(cls, values: Mapping[str, str]) -> "Options":
        """Read what `to_document` wrote."""
        return read_options(values)


class OptionsError(ValueError):
    """Options that cannot be; the text names each and its rule."""


def read_options(metadata: Mapping[str, str]) -> Options:
    """Read the metadata of an upload; an option that is missing or empty has its default.

    Raises:
        OptionsError: naming each option that is unknown or impossible, and the rule.
    """
    given = {name.lower(): _decode(value).strip() for name, value in metadata.items()}
    faults = [f"{name} is no option: {', '.join(NAMES)}" for name in given if name not in NAMES]
    not_after = _read_not_after(given.get("not-after", ""), faults)
    group_id = given.get("message-group-id", "")
    if group_id and not _GROUP_ID.fullmatch(group_id):
        faults.append("message-group-id must be 1 to 128 letters, digits and punctuation marks")
    separator = given.get("separator") or "|"
    if len(separator) != 1 or separator in '",\r\n':
        faults.append("separator must be one character, and no comma or quotation mark")
    on_fault = _choose("on-fault", given, ("stop", "skip"), faults)
    dry_run = _choose("dry-run", given, ("false", "true"), faults)
    requested_by = given.get("requested-by", "")
    if len(requested_by) > MAX_REQUESTED_BY:
        faults.append(f"requested-by must be at most {MAX_REQUESTED_BY} characters")
    if faults:
        raise OptionsError("; ".join(faults))
    return Options(
        not_after,
        group_id,
        separator,
        cast(Literal["stop", "skip"], on_fault),
        dry_run == "true",
        requested_by,
    )


def _decode(value: str) -> str:
    """S3 returns a value that is not ASCII encoded as a header of mail (RFC 2047)."""
    if not value.startswith("=?"):
        return value
    try:
        return str(make_header(decode_header(value)))
    except (ValueError, LookupError):
        return value


def _choose(name: str, given: Mapping[str, str], values: tuple[str, ...], faults: list[str]) -> str:
    """One of the values; the first is the default."""
    value = given.get(name) or values[0]
    if value not in values:
        faults.append(f"{name} must be {' or '.join(values)}")
    return value


def _read_not_after(text: str, faults: list[str]) -> float | None:
    """Unix seconds, or a date and time with its offset in ISO 8601."""
    if not text:
        return None
    try:
        moment = float(text)
    except ValueError:
        moment = _read_date(text)
    if not 0 <= moment <= MAX_NOT_AFTER:
        faults.append("not-after must be Unix seconds, or such as 2027-01-31T18:00:00+08:00")
    return moment


def _read_date(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return -1.0
    return moment.timestamp() if moment.tzinfo else -1.0
