"""Why users of a job were not removed: the codes in its report, counted."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from timpush.jobs.report import NOT_SENT
from timpush.jobs.state import Document, report_key
from timpush.tencent.codes import meaning

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READ_BYTES = 4 * 1024 * 1024
"""Of not-removed.csv: some 50,000 rows."""


class Reasons(NamedTuple):
    """Users by code, most first, with what the code means.

    A user with several codes counts for each of them. `complete` is false when the report is longer
    than what was read.
    """

    users: list[tuple[str, int, str]]
    complete: bool

    @property
    def is_not_sent(self) -> bool:
        """Whether nothing was sent for any of these users."""
        return [code for code, _, _ in self.users] == [NOT_SENT[0]]


def read_reasons(s3: "S3Client", job: Document) -> Reasons | None:
    """Count the codes of an ended job's not-removed.csv; None: it cannot be read."""
    key = report_key(job["JobId"], "not-removed.csv")
    try:
        reply = s3.get_object(Bucket=job["Bucket"], Key=key, Range=f"bytes=0-{READ_BYTES}")
    except ClientError:
        return None
    data = reply["Body"].read(READ_BYTES + 1)
    text, complete = data.decode(errors="replace"), len(data) <= READ_BYTES
    return count_reasons(text if complete else text[: text.rindex("\n") + 1], complete)


def count_reasons(text: str, complete: bool) -> Reasons:
    """Rows of not-removed.csv, one a tag -> users by code."""
    counts: Counter[str] = Counter()
    words: dict[str, str] = {}
    read = csv.DictReader(io.StringIO(text, newline=""))
    rows = (row for row in read if row["Line"])  # the last one may be cut
    for _, tags in groupby(rows, key=lambda row: (row["Line"], row["To_Account"])):
        codes = {row["ErrorCode"]: row for row in tags}
        counts.update(codes.keys())
        words = {code: explain(row) for code, row in codes.items()} | words
    return Reasons([(code, n, words[code]) for code, n in counts.most_common()], complete)


def explain(row: Mapping[str, str]) -> str:
    """What the code of a row means; where no source says so, the row's own reason."""
    code = row["ErrorCode"]
    return (meaning(int(code)) if code.isdecimal() else "") or row["Reason"]
