"""The options of a job: from an upload's object metadata, or from the fields of a request.

| option             | value                                                        | default      |
| ------------------ | ------------------------------------------------------------ | ------------ |
| `not-after`        | Unix seconds, or ISO 8601 with offset: no removal after that | none         |
| `message-group-id` | tenant of the job's messages, for fair queues                | the job's id |
| `separator`        | the character between the tags of a CSV cell                 | `|`          |
| `on-fault`         | `stop`: nothing is sent if a row breaks a rule; `skip`       | `stop`       |
| `dry-run`          | `true`: only check the file                                  | `false`      |
| `requested-by`     | free text, kept as evidence                                  | empty        |

Object metadata is ASCII, at most 2 KB in all: there, `separator` and `requested-by` may be
percent-encoded UTF-8. https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
(2026-11). Metadata of other names is ignored, except a misspelling such as `dry_run`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.header import decode_header, make_header
from typing import Any, Literal
from urllib.parse import quote, unquote

from timpush.messages import MAX_NOT_AFTER

MAX_REQUESTED_BY = 128
"""Characters: percent-encoded, 1,536 bytes at most, which leaves 512 of the 2 KB to the rest."""
GROUP_ID = re.compile(r"[!-~]{1,128}")
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
(2026-11): letters, digits and punctuation."""
ENCODED = frozenset({"separator", "requested-by"})
PLAIN = " !#$&'()*+,/:;<=>?@[]^`{|}"
"""Left as it is where metadata is percent-encoded, besides letters, digits and `-._~`."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the uploader asked for. `not_after` is in Unix seconds; an empty `message_group_id`
    stands for the job's id."""

    not_after: float | None = None
    message_group_id: str = ""
    separator: str = "|"
    on_fault: Literal["stop", "skip"] = "stop"
    dry_run: bool = False
    requested_by: str = ""

    def to_document(self) -> dict[str, str]:
        """As the job's document shows them: by their names in the metadata, as text."""
        values = {name: getattr(self, name.replace("-", "_")) for name in NAMES}
        values["dry-run"] = "true" if self.dry_run else "false"
        values["not-after"] = "" if self.not_after is None else repr(self.not_after)
        return values

    @classmethod
    def from_document(cls, values: Mapping[str, str]) -> "Options":
        """Read what `to_document` wrote."""
        return read_fields({name: value for name, value in values.items() if value})


class OptionsError(ValueError):
    """Options that break a rule, each named; `faults` holds (option, rule) pairs, at least one."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name} {rule}" for name, rule in faults))
        self.faults = faults


def read_options(metadata: Mapping[str, str]) -> Options:
    """The options that an object's metadata holds; one that is empty has its default.

    Raises:
        OptionsError: with each option that breaks a rule.
    """
    given = {name: _plain_text(value).strip() for name, value in metadata.items()}
    known = {name: value for name, value in given.items() if value and _near(name)}
    return read_fields(
        {name: _decoded(value) if name in ENCODED else value for name, value in known.items()}
    )


def read_fields(fields: Mapping[str, Any]) -> Options:
    """The options as given in JSON: text, or a number for `not-after` and a boolean for `dry-run`.

    Raises:
        OptionsError: with each option that breaks a rule or that there is not.
    """
    values: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for name, value in fields.items():
        if name not in _READERS:
            faults.append((name, _unknown(name)))
            continue
        try:
            values[name.replace("-", "_")] = _READERS[name](value)
        except ValueError as error:
            faults.append((name, str(error)))
    if faults:
        raise OptionsError(faults)
    return Options(**values)


def write_options(options: Options) -> dict[str, str]:
    """The metadata that `read_options` reads as these options; defaults are left out."""
    written: dict[str, str] = {}
    for name in _READERS:
        field = name.replace("-", "_")
        value = getattr(options, field)
        if value != getattr(_DEFAULTS, field):
            written[name] = _written(name, value)
    return written


def read_moment(value: Any) -> float:
    """A time as Unix seconds, or as a date and time with its offset in ISO 8601; in Unix seconds.

    Raises:
        ValueError: with the rule that is broken.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be Unix seconds, or ISO 8601 with an offset")
    try:
        moment = float(value)
    except OverflowError:
        moment = float("inf")
    except ValueError:
        moment = _read_date(str(value))
    if not abs(moment) <= MAX_NOT_AFTER:
        raise ValueError("must be in seconds, not milliseconds")
    return moment


def check_ahead(moment: float, now: float) -> None:
    """Check that a time, in Unix seconds, has not passed.

    Raises:
        ValueError: it has.
    """
    if moment <= now:
        raise ValueError("is in the past: no removal would be made")


def _read_date(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("must be Unix seconds, or such as 2027-01-31T18:00:00+08:00")
    return moment.timestamp()


def _read_group_id(value: Any) -> str:
    if value == "" or (isinstance(value, str) and GROUP_ID.fullmatch(value)):
        return str(value)
    raise ValueError("must be at most 128 ASCII letters, digits and punctuation characters")


def _read_separator(value: Any) -> str:
    if isinstance(value, str) and len(value) == 1 and value not in '"\r\n':
        return value
    raise ValueError("must be one character, not a quote or the end of a line")


def _read_on_fault(value: Any) -> str:
    if value in ("stop", "skip"):
        return str(value)
    raise ValueError("must be stop or skip")


def _read_dry_run(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError("must be true or false")


def _read_requested_by(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_REQUESTED_BY:
        raise ValueError(f"must be text of at most {MAX_REQUESTED_BY} characters")
    if not value.isprintable():
        raise ValueError("must hold no control characters and be valid Unicode")
    return value.strip()


_READERS: dict[str, Callable[[Any], Any]] = {
    "not-after": read_moment,
    "message-group-id": _read_group_id,
    "separator": _read_separator,
    "on-fault": _read_on_fault,
    "dry-run": _read_dry_run,
    "requested-by": _read_requested_by,
}
NAMES = tuple(_READERS)
_DEFAULTS = Options()


def _squeezed(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


_SQUEEZED = {_squeezed(name): name for name in _READERS}


def _near(name: str) -> str | None:
    """The option that this is the name of, or a misspelling of."""
    return _SQUEEZED.get(_squeezed(name))


def _unknown(name: str) -> str:
    near = _near(name)
    return f"must be written {near}" if near else f"is not an option: one of {', '.join(NAMES)}"


def _plain_text(value: str) -> str:
    """S3 returns a value that is not ASCII encoded as a header of mail (RFC 2047)."""
    if not value.startswith("=?"):
        return value
    try:
        return str(make_header(decode_header(value)))
    except (ValueError, LookupError):
        return value


def _decoded(value: str) -> str | None:
    """Percent-decoded; None, which no reader takes, when that is not UTF-8."""
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        return None


def _written(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if name not in ENCODED:
        return str(value)
    # A header's value loses the blanks at its ends.
    return quote(value, safe=PLAIN.strip() if name == "separator" else PLAIN)
