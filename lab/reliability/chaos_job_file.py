"""The file of a job in a chaos run, and what its report and TIMPush's store must say in the end."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from reliability.chaos_work import KEPT, REFUSED_CODE, REFUSED_TAG, TAG, UNKNOWN_CODE

FAULTY_ROWS = ("{0},", ",gold", "{0}", '"{0},gold', "{0},{1:x>51}", "{0}, gold", "{0},a,b")
"""No tag, no account, one cell, an open quote, a tag too long, a blank, three cells."""
MANY_TAGS = 15
"""More than a call takes."""


class NotRemoved(NamedTuple):
    """A row of not-removed.csv, without the reason's words."""

    account: str
    tag: str
    code: str
    line: int


@dataclass
class JobFile:
    """A CSV file. `tags` is what TIMPush holds before, `left` what it must hold in the end.

    `not_removed` are the rows of the report's list, `faulty` the lines that break a rule.
    """

    lines: list[str] = field(default_factory=lambda: ["To_Account,Tags"])
    tags: dict[str, set[str]] = field(default_factory=dict)
    left: dict[str, set[str]] = field(default_factory=dict)
    not_removed: Counter[NotRemoved] = field(default_factory=Counter)
    faulty: set[int] = field(default_factory=set)
    users: int = 0

    @property
    def text(self) -> bytes:
        """The file's bytes."""
        return "".join(f"{line}\n" for line in self.lines).encode()

    @property
    def users_not_removed(self) -> int:
        """How many users the list names: one a line."""
        return len({row.line for row in self.not_removed})

    def add(self, account: str, *tags: str, refused: str = "") -> None:
        """Add a user whom TIMPush knows, with these tags; it refuses to remove one of them."""
        names = [*tags, refused] if refused else list(tags)
        self._add_row(account, names)
        self.tags.setdefault(account, {KEPT}).update(names)
        self.left.setdefault(account, {KEPT})
        if refused:
            self.left[account].add(refused)
            self._expect(account, refused, REFUSED_CODE)

    def add_unknown(self, account: str) -> None:
        """Add a user whom TIMPush does not know."""
        self._add_row(account, [TAG])
        self._expect(account, TAG, UNKNOWN_CODE)

    def add_faulty(self, row: str) -> None:
        """Add a row that breaks a rule."""
        self.lines.append(row)
        self.faulty.add(len(self.lines))

    def _add_row(self, account: str, tags: list[str]) -> None:
        self.lines.append(f"{account},{'|'.join(tags)}")
        self.users += 1

    def _expect(self, account: str, tag: str, code: int) -> None:
        self.not_removed[NotRemoved(account, tag, str(code), len(self.lines))] += 1


def make_file(users: int, rng: random.Random) -> JobFile:
    """A file of so many users, with faulty rows, and each kind of user among them.

    The account of a faulty row keeps its tags. Some accounts stand in two rows: two users.
    """
    file = JobFile()
    refused = set(rng.sample(range(users), max(1, users // 5_000)))
    unknown = set(rng.sample(range(users), max(1, users // 500)))
    many = set(rng.sample(range(users), max(1, users // 1_000)))
    repeated = set(rng.sample(range(1, users), max(1, users // 1_000)))
    faults = set(rng.sample(range(users), max(len(FAULTY_ROWS), users // 500)))
    for number in range(users):
        account = f"user-{number - (number in repeated):06d}"
        if number in faults:
            untouched = f"untouched-{number:06d}"
            file.add_faulty(FAULTY_ROWS[len(file.faulty) % len(FAULTY_ROWS)].format(untouched, ""))
            file.tags[untouched] = file.left[untouched] = {TAG, "gold"}
        if number in unknown:
            file.add_unknown(f"stranger-{number:06d}")
        elif number in refused:
            file.add(account, TAG, refused=REFUSED_TAG)
        elif number in many:
            file.add(account, TAG, *(f"tag-{one}" for one in range(MANY_TAGS)))
        else:
            file.add(account, TAG)
    return file
