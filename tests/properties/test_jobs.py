"""Jobs: any cut of a file gives the same rows, and the report counts each user exactly once."""

import random
from hashlib import sha256
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from timpush.jobs.chunks import (
    STOPPED,
    ChunkId,
    Records,
    Settlement,
    add_item,
    make_items,
    read_settlements,
)
from timpush.jobs.lines import cut_lines
from timpush.jobs.messages import Chunk, cut_chunks
from timpush.jobs.progress import count, is_settled
from timpush.jobs.ranges import Range, pack_sizes, unpack_sizes
from timpush.jobs.report import RangeCount, Recorded, report_range
from timpush.jobs.rows import Columns, Fault, Row, Rules, read_rows

RULES = Rules("csv", "|", Columns(0, 1, one_tag=False))
texts = st.lists(
    st.sampled_from(["a,x", "b,x|y", ",x", '"q,r",x', '"open,x', "", "é,ü", "c,x" * 40, "d,\r"])
)
line_ends = st.sampled_from(["\n", "\r\n"])


def read_cut(data: bytes, size: int, piece: int) -> list[Row | Fault]:
    """Read a file in ranges of `size` bytes, each fed in pieces."""
    found: list[Row | Fault] = []
    first_line = 1
    for start in range(0, len(data), size):
        begin = max(0, start - 1)
        pieces = [data[at : at + piece] for at in range(begin, len(data), piece)]
        lines = list(cut_lines(pieces, start, start + size))
        rows = read_rows(lines, RULES, is_start=start == 0)
        found += [one._replace(line=one.line + first_line - 1) for one in rows]
        first_line += len(lines)
    return found


@given(texts, line_ends, st.booleans(), st.integers(1, 60), st.integers(1, 60))
def test_any_cut_gives_the_rows_of_the_whole(
    lines: list[str], line_end: str, is_ended: bool, size: int, piece: int
) -> None:
    text = line_end.join(["To_Account,Tags", *lines]) + (line_end if is_ended else "")
    data = text.encode()
    assert read_cut(data, size, piece) == read_cut(data, len(data), len(data))


@given(st.lists(st.integers(1, 100)))
def test_sizes_read_back(sizes: list[int]) -> None:
    assert unpack_sizes(pack_sizes(sizes)) == sizes


@given(st.integers(0, 350), st.integers(1, 3))
def test_chunks_hold_each_row_once_and_in_order(users: int, tags: int) -> None:
    rows = [Row(n, f"user-{n}", [f"tag-{t}" for t in range(tags)]) for n in range(users)]
    chunks = list(cut_chunks(rows, None))
    assert list(chain.from_iterable(chunk.rows for chunk in chunks)) == rows
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert chunks == list(cut_chunks(iter(rows), None))


class Delivery:
    """What workers do with the messages of a range, at random: each delivered once or more."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.done: list[ChunkId] = []
        self.stopped: list[ChunkId] = []
        self.settlements: list[tuple[str, Settlement]] = []

    def deliver(self, chunk: ChunkId, users: list[tuple[str, list[str]]]) -> None:
        for _ in range(self.random.choice((1, 1, 2))):
            self._settle(chunk, users)

    def _settle(self, chunk: ChunkId, users: list[tuple[str, list[str]]]) -> None:
        """Remove, reject or send on each tag, and record it as a worker would."""
        fate = {
            (account, tag): self.random.choice(("removed", "removed", "rejected", "rest"))
            for account, tags in users
            for tag in tags
        }
        rejected = [(a, t, "70107", "unknown") for (a, t), one in fate.items() if one == "rejected"]
        rest = [
            (account, left)
            for account, tags in users
            if (left := [tag for tag in tags if fate[account, tag] == "rest"])
        ]
        if rest and not rejected and self.random.random() < 0.7:
            return self._settle(chunk, users)  # the message returns whole and is received again
        if not rejected and not chunk.rest:
            return self.done.append(chunk)
        hit = {account for account, *_ in rejected}
        number = sum(account in hit for account, _ in users)
        name = f"{chunk}-{sha256(repr(rest).encode()).hexdigest()[:8]}" if rest else ""
        self.settlements.append(
            (str(chunk), Settlement(rejected, rest, [name] if name else [], number))
        )
        if rest:
            self.deliver(ChunkId(*chunk[:2], name.removeprefix(f"{chunk[0]}:{chunk[1]}")), rest)
        return None

    def items(self) -> list[dict[str, object]]:
        """The table's items: each record once or more, in any order."""
        repeated = [one for one in self.settlements for _ in range(self.random.choice((1, 2)))]
        self.random.shuffle(repeated)
        written = {
            str(item["Item"]): item for text, one in repeated for item in make_items({text: one})
        }
        return [written[key] for key in sorted(written)]


def read_back(delivery: Delivery) -> tuple[Records, dict[str, list[Settlement]]]:
    items = delivery.items()
    parts = [item for item in items if str(item["Item"]).startswith("part#")]
    details = [item for item in items if str(item["Item"]).startswith("detail#")]
    records = Records({one[:2] for one in delivery.done}, {one[:2] for one in delivery.stopped})
    for part in parts:
        add_item(records, part)
    return records, read_settlements(parts, details)


@given(st.integers(0, 2**32), st.integers(1, 250), st.integers(1, 3), st.booleans())
def test_every_user_is_counted_exactly_once(
    seed: int, users: int, tags: int, is_cut_short: bool
) -> None:
    # Given chunks that are delivered at random; of some, nothing is ever recorded
    rows = [Row(n + 1, f"user-{n % 40}", [f"tag-{t}" for t in range(tags)]) for n in range(users)]
    chunks = list(cut_chunks(rows, None))
    delivery = Delivery(seed)
    for chunk in chunks:
        if is_cut_short and delivery.random.random() < 0.3:
            delivery.stopped.append(ChunkId(0, chunk.number))
        elif not is_cut_short or delivery.random.random() < 0.5:
            delivery.deliver(ChunkId(0, chunk.number), [(r.account, r.tags) for r in chunk.rows])
    # When it is reported
    records, settlements = read_back(delivery)
    counted = RangeCount()
    recorded = Recorded(0, records, settlements, sent_to=len(chunks))
    text = "".join(report_range(chunks, recorded, 1, counted))
    # Then each user is removed or not, once, and a tag that is listed was not removed
    assert counted.removed + counted.not_removed == users
    assert len({line.rsplit(",", 1)[1] for line in text.splitlines()}) == counted.not_removed
    if not is_cut_short:
        assert counted.settled == users
        one = Range(0, 0, 1, rows=users, sizes=pack_sizes(len(c.rows) for c in chunks))
        one.sent_to = len(chunks)
        assert is_settled(one, records)
        assert count([one], records).Settled == users


def make_chunk(*rows: Row) -> Chunk:
    (chunk,) = cut_chunks(rows, None)
    return chunk


def report_one(recorded: Recorded) -> str:
    chunk = make_chunk(Row(2, "a", ["x", "y"]), Row(3, "b", ["x"]))
    return "".join(report_range([chunk], recorded, 1, RangeCount()))


def test_a_rest_without_a_record_is_unsettled_and_nothing_else_is() -> None:
    first = Settlement([("a", "x", "70107", "unknown")], [("b", ["x"])], ["0:0-12345678"], 1)
    recorded = Recorded(0, Records(), {"0:0": [first]}, sent_to=1)
    assert [line.split(",")[:3] for line in report_one(recorded).splitlines()] == [
        ["a", "x", "70107"],
        ["b", "x", "Unsettled"],
    ]


def test_a_stopped_chunk_lists_all_its_tags() -> None:
    recorded = Recorded(0, Records(stopped={(0, 0)}), {}, sent_to=1)
    assert report_one(recorded).count(f",{STOPPED[0]},") == 3
