"""Bodies that no one should send: each is dead-lettered or done, and disturbs no other."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from remove_tags_worker import app
from support.examples import EXAMPLES, PROFILE
from support.printed import printed
from support.queue_model import MAX_BYTES, NOT_ALLOWED, Queue
from support.worker import body, record
from support.world import OK, Answer, Sent, World

MIB = 1024 * 1024
DEEP = 100_000
GOOD = '{"UserTags":[{"To_Account":"a","Tags":["t"]}]}'
NAMES = ("UserTags", "To_Account", "Tags", "NotAfter", "Other")

ODD_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "-0", "1E5", "0x1")
ODD_TEXTS = (
    *("\ud800", "\udfff\ud800", "\ufffe", "\uffff", "\ufeff", "\x00", "\x1f", "\x7f", "\u2028"),
    *("é" * 25, "é" * 26, "x" * 50, "x" * 51, "\U0001f600" * 12, "\U0001f600" * 13, "", " "),
)

texts = st.text(max_size=8) | st.sampled_from(ODD_TEXTS)
json_texts = texts.map(json.dumps) | texts.map(lambda text: json.dumps(text, ensure_ascii=False))
numbers = (
    st.sampled_from(ODD_NUMBERS)
    | st.sampled_from([4_300, 4_301, 20_000]).map(lambda digits: "9" * digits)
    | st.integers(-(10**12), 10**12).map(str)
)
nests = st.tuples(st.sampled_from(["[]", "{}"]), st.integers(1, 3_000)).map(lambda n: nested(*n))
atoms = json_texts | numbers | st.sampled_from(["null", "true", "false", "[]", "{}"]) | nests
names = st.sampled_from(NAMES).map(json.dumps) | json_texts


def nested(brackets: str, depth: int) -> str:
    """A value so many levels deep."""
    inner = '"a":' if brackets == "{}" else ""
    return (brackets[0] + inner) * depth + "null" + brackets[1] * depth


def array(items: list[str]) -> str:
    return f"[{','.join(items)}]"


def obj(pairs: list[tuple[str, str]]) -> str:
    """An object in JSON, of keys that may be there twice."""
    return "{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}"


def near(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    """A pair of a key and its value, one of which may be odd."""
    return st.tuples(st.just(json.dumps(name)), values | values | values | atoms)


OTHERS = st.lists(st.tuples(names, atoms), max_size=2)


@st.composite
def objects(draw: st.DrawFn, *pairs: st.SearchStrategy[tuple[str, str]]) -> str:
    """Objects that hold these pairs, most of the time once, perhaps among others."""
    held = [draw(pair) for pair in pairs for _ in range(draw(st.sampled_from([1, 1, 1, 1, 2, 0])))]
    return obj(held + draw(st.just([]) | st.just([]) | OTHERS))


plain = st.sampled_from(['"a"', '"b"', '"t"']) | json_texts
tags = st.lists(plain, min_size=1, max_size=3).map(array)
users = objects(near("To_Account", plain), near("Tags", tags))
DOCUMENTS = objects(near("UserTags", st.lists(users, min_size=1, max_size=3).map(array)))
LATE = objects(near("UserTags", st.lists(users, min_size=1).map(array)), near("NotAfter", numbers))


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A good body in which some characters are replaced, added or missing."""
    text = GOOD
    for _ in range(draw(st.integers(1, 4))):
        place, length = draw(st.integers(0, len(text))), draw(st.integers(0, 3))
        odd = draw(texts | st.sampled_from([*ODD_NUMBERS, "[", "]", "{", "}", ",", ":", '"', "\\"]))
        text = text[:place] + odd + text[place + length :]
    return text


BODIES = DOCUMENTS | LATE | atoms | damaged() | st.text(max_size=30) | st.sampled_from(ODD_TEXTS)


class Handled:
    """One batch between a model of SQS and a TIMPush that does all."""

    def __init__(self, bodies: list[str], request_id: str = "") -> None:
        self.world, self.sent = World(), list[Sent]()
        self.queue = Queue(self.world.time)
        self.ids = [self.queue.send(text) for text in bodies]
        worker = self.world.worker(self.respond, self.queue)
        records = self.queue.receive(10_000, Random(0))
        for one in records if request_id else ():
            attribute = {"stringValue": request_id, "dataType": "String"}
            one["messageAttributes"] = {"RequestId": attribute}
        self.queue.patience = self.world.time.clock() + 119.5
        with printed(app.logger):
            reply = app.handle(records, worker, self.world.time.clock() + 120.0)
        self.queue.settle(records, reply, Random(0))
        self.done = {pair for sent in self.sent for pair in sent.pairs}

    def respond(self, sent: Sent) -> Answer:
        rows = [{"To_Account": account, "Tags": tags} for account, tags in sent.users]
        json.dumps(rows, ensure_ascii=False).encode()  # it can be written as a request
        assert all(account and 1 <= len(tag.encode()) <= 50 for account, tag in sent.pairs)
        self.sent.append(sent)
        return Answer(OK)

    def dead_letters(self, message_id: str) -> list[tuple[str, dict[str, str]]]:
        return [
            (one.body, one.attributes)
            for one in self.queue.dead_letters
            if one.source == message_id
        ]


def asked(text: str) -> set[tuple[str, str]]:
    """What a body asks for; it must be JSON by the letter, and no object may hold a key twice."""
    document = json.loads(text, object_pairs_hook=keys_once, parse_constant=pytest.fail)
    return {(user["To_Account"], tag) for user in document["UserTags"] for tag in user["Tags"]}


def keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def check(text: str, **attributes: str) -> None:
    """A batch of this body, two good ones and one that is rejected."""
    others = [body({"before": ["t"]}), body({"after": ["t"]}), "malformed"]
    handled = Handled([*others, text], **attributes)
    *_, malformed_id, message_id = handled.ids
    assert {("before", "t"), ("after", "t")} <= handled.done
    assert handled.dead_letters(malformed_id)
    assert set(handled.queue.held) <= {message_id}
    if message_id in handled.queue.held:
        assert is_no_message(text), "it returned, and will return indefinitely"
        assert not handled.dead_letters(message_id)
        return
    if (text, {}) in handled.dead_letters(""):  # as it came: nothing else fits beside it
        assert len(text.encode()) > MIB - 30
        return
    if not handled.dead_letters(message_id):
        assert asked(text) <= handled.done
        return
    [(letter, why)] = handled.dead_letters(message_id)
    if why["ErrorCode"] == "Expired":
        assert asked(letter) == asked(text)
    else:
        assert (letter, why["ErrorCode"]) == (text, "Malformed")
        assert why["Reason"].startswith("malformed: ")


def is_no_message(text: str) -> bool:
    """Whether SQS would not take it with three attributes more, so it cannot be dead-lettered."""
    return not text or bool(NOT_ALLOWED.search(text)) or len(text.encode()) > MAX_BYTES - 500


def of_size(start: str, part: str, end: str, size: int = MIB - 1_000) -> str:
    """A text of about so many characters with the part in it over and over."""
    return start + part * ((size - len(start) - len(end)) // len(part)) + end


LARGE = {
    "brackets": "[" * (MIB - 1_000),
    "closed brackets": nested("[]", (MIB - 1_000) // 2),
    "objects": '{"a":' * 200_000,
    "spaces": " " * (MIB - 1_000),
    "digits": "9" * (MIB - 1_000),
    "quotes": '"' * (MIB - 1_000),
    "backslashes": '"' + "\\" * (MIB - 1_000),
    "a tag": '{"UserTags":[{"To_Account":"a","Tags":["' + "x" * 1_000_000 + '"]}]}',
    "an account": '{"UserTags":[{"To_Account":"' + "x" * 1_000_000 + '","Tags":["t"]}]}',
    "one tag, again and again": of_size(GOOD[:-5], ',"t"', GOOD[-4:]).replace('"t,', '"t",'),
    "one user, again and again": of_size(GOOD[:-2], "," + GOOD[13:-2], GOOD[-2:]),
    "empty objects": of_size('{"UserTags":[', "{},", "{}]}"),
    "faults": of_size('{"UserTags":[{"To_Account":"a","Tags":[', "1,", "1]}]}"),
    "keys twice": of_size("{", '"UserTags":[],', '"UserTags":[]}'),
    "keys": "{" + ",".join(f'"{number}":0' for number in range(80_000)) + "}",
    "ignored nests": GOOD[:-1] + ',"Other":' + nested("[]", 400) + "}",
    "too deep in what is ignored": GOOD[:-1] + ',"Other":' + nested("{}", DEEP) + "}",
    "as large as a message": "x" * MIB,
}


class TestAnyBody:
    @EXAMPLES
    @given(BODIES)
    @example("")
    @example(" \t\r\n")
    @example("\ufeff" + GOOD)
    @example(GOOD)
    @example(GOOD + GOOD)
    @example(GOOD[:-1] + ',"NotAfter":' + "9" * 5_000 + "}")
    @example(GOOD[:-1] + ',"NotAfter":1e999}')
    @example(GOOD[:-1] + ',"NotAfter":-1}')
    @example(GOOD[:-1] + ',"UserTags":[]}')
    @example(GOOD.replace('"t"', "NaN"))
    @example(GOOD.replace("a", "\x00"))
    @example(GOOD.replace("a", "\\u0000\\uffff"))
    @example(GOOD.replace('"a"', '"\\ud800"'))
    @example(GOOD.replace('"a"', '"\\ud83d\\ude00"'))
    @example(json.dumps(GOOD))
    def test_is_dead_lettered_or_done_and_the_others_of_the_batch_are_done(self, text: str) -> None:
        check(text)

    @pytest.mark.parametrize("text", LARGE.values(), ids=LARGE.keys())
    def test_of_a_megabyte_is_dead_lettered_or_done(self, text: str) -> None:
        check(text)

    @pytest.mark.parametrize("brackets", ["[]", "{}"])
    @pytest.mark.parametrize("place", ["{}", GOOD.replace('"a"', "{}"), GOOD.replace('"t"', "{}")])
    def test_a_hundred_thousand_levels_deep_is_dead_lettered(
        self, brackets: str, place: str
    ) -> None:
        deep = nested(brackets, DEEP)
        check(deep if place == "{}" else place.replace("{}", deep))

    @EXAMPLES
    @given(st.text(min_size=1, max_size=300).filter(lambda text: not NOT_ALLOWED.search(text)))
    def test_with_any_request_id_is_dead_lettered(self, request_id: str) -> None:
        check("no JSON", request_id=request_id)


def event_of(bodies: Iterator[str]) -> tuple[bytes, int]:
    """The largest event that Lambda takes, of these bodies, and the number of its records."""
    records: list[str] = []
    size = 0
    for text in bodies:
        one = record(f"{len(records):08}-0000-0000-0000-000000000000", text, handle="h" * 180)
        one["attributes"] |= {
            "SentTimestamp": "1800000000000",
            "SenderId": "AROA0000000000000000:x",
        }
        one |= {"md5OfBody": "0" * 32, "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue"}
        records.append(json.dumps(one))
        size += len(records[-1]) + 1
        if size > 6 * MIB - 100:
            break
    return f'{{"Records":[{",".join(records[:-1])}]}}'.encode(), len(records) - 1


def bodies_of(users: int, tags: int) -> Iterator[str]:
    """Bodies of so many users, each another one, with so many tags each."""
    names = [f"{tag:x}" for tag in range(tags)]
    for number in count():
        yield body({f"{number}-{user}": names for user in range(users)})


def repeat(text: str) -> Iterator[str]:
    while True:
        yield text


REMOVED = OK.decode()
NOT_IMPORTED = '{"ActionStatus":"OK","ErrorCode":0,"ErrorList":ROWS}'
EVENTS: dict[str, tuple[Iterator[str], str]] = {
    "messages of a user, removed": (bodies_of(1, 1), REMOVED),
    "messages of 100 users, removed": (bodies_of(100, 1), REMOVED),
    "megabytes of empty arrays": (repeat(of_size("[", "[],", "[]]")), REMOVED),
}
MORE_EVENTS: dict[str, tuple[Iterator[str], str]] = {
    "messages of a user, returned": (bodies_of(1, 1), "no JSON"),
    "messages of 100 users, rejected": (bodies_of(100, 1), NOT_IMPORTED),
    "messages of a megabyte of users, rejected": (bodies_of(25_000, 1), NOT_IMPORTED),
    "messages of a user with a megabyte of tags, rejected": (bodies_of(1, 95_000), NOT_IMPORTED),
    "megabytes of brackets": (repeat("[" * 1_000_000), REMOVED),
    "megabytes of objects": (repeat(of_size(GOOD[:-1] + ',"":[', '{"":[]},', "0]}")), REMOVED),
}
if PROFILE == "many":  # each takes seconds
    EVENTS |= MORE_EVENTS


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own figures")
class TestMemory:
    @pytest.mark.parametrize("name", EVENTS)
    def test_of_a_full_event_stays_below_256_mb(
        self, name: str, tmp_path: Path, pytestconfig: pytest.Config
    ) -> None:
        bodies, reply = EVENTS[name]
        event, records = event_of(bodies)
        assert 4.9 * MIB < len(event) <= 6 * MIB
        (tmp_path / "event.json").write_bytes(event)
        found = run_in_a_process(tmp_path / "event.json", reply, pytestconfig)
        assert found["peak"] < 256 * MIB
        assert found["reported"] == (records if name.endswith("returned") else 0)


def run_in_a_process(event: Path, reply: str, pytestconfig: pytest.Config) -> dict[str, Any]:
    paths = ":".join(map(str, pytestconfig.getini("pythonpath")))
    done = subprocess.run(
        [sys.executable, "-m", "support.memory", event, reply],
        env={"PYTHONPATH": paths},
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found
