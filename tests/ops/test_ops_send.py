"""`send`: a file becomes an upload with options, and the job is followed to its end."""

import gzip
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from support.job_store import JobStore, hooks, job_store
from support.ops import Done, Operated, operated
from timpush.jobs.options import Options, read_options

Write = Callable[[str, str], Path]
CSV = "To_Account,Tags\nuser-1,gold|silver\n"


@pytest.fixture
def stack(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    with operated(aws_url, monkeypatch) as made:
        boto3.setup_default_session()
        yield made


@pytest.fixture
def store(stack: Operated) -> Iterator[JobStore]:  # noqa: ARG001 - it sets the environment
    with job_store() as made:
        yield made


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        return path

    return write_file


def send(stack: Operated, store: JobStore, file: Path, *options: object, **end: Any) -> Done:
    """Send a file whose job ends at once, so."""
    with store.ending(**end):
        return stack.run("send", file, *names(store), *options)


def names(store: JobStore) -> tuple[str, ...]:
    return ("--jobs-bucket", store.bucket, "--jobs-table", store.table.name)


def the_upload(store: JobStore) -> tuple[str, bytes, Options]:
    """Key, content and options of the only upload."""
    ((key, content),) = store.uploads().items()
    return key, content, read_options(store.metadata(key))


class TestUpload:
    def test_the_file_goes_up_as_it_is_below_the_jobs_id(
        self, stack: Operated, store: JobStore, write: Write
    ) -> None:
        done = send(stack, store, write("win back 用户.csv", CSV))

        key, content, options = the_upload(store)
        assert done.code == 0
        assert content == CSV.encode()
        assert options == Options()
        folder, job_id, name = key.split("/")
        assert (folder, name) == ("inbox", "win back 用户.csv")
        assert f"job           {job_id}" in done.output
        assert "state         done" in done.output

    def test_options_become_metadata(self, stack: Operated, store: JobStore, write: Write) -> None:
        send(
            stack,
            store,
            write("a.csv", CSV),
            *("--not-after", "2100-01-01T08:00:00+08:00", "--message-group-id", "spring"),
            *("--separator", ";", "--on-fault", "skip", "--dry-run"),
            *("--requested-by", "李 (CRM), 100 %"),
        )
        _, _, options = the_upload(store)
        assert options == Options(4_102_444_800.0, "spring", ";", "skip", True, "李 (CRM), 100 %")

    @pytest.mark.parametrize(
        ("option", "rule"),
        [
            (("--not-after", "soon"), "soon must be Unix seconds, or such as 2027-01-31T18"),
            (("--not-after", "1"), "1 is in the past: no removal would be made"),
            (("--not-after", "2020-01-01T00:00:00Z"), "is in the past"),
            (("--not-after", "1800000000000"), "must be in seconds, not milliseconds"),
            (("--not-after", "nan"), "must be in seconds"),
            (("--separator", "||"), "--separator must be one character"),
            (("--message-group-id", "two words"), "--message-group-id must be at most 128"),
            (("--requested-by", "x" * 129), "--requested-by must be text of at most 128"),
            (("--tag", "é" * 26), "--tag must be at most 50 bytes"),
            (("--on-fault", "go"), "'go' is not one of 'stop', 'skip'"),
        ],
    )
    def test_an_option_that_breaks_a_rule_is_wrong_usage_and_nothing_goes_up(
        self,
        stack: Operated,
        store: JobStore,
        write: Write,
        option: tuple[str, str],
        rule: str,
    ) -> None:
        done = send(stack, store, write("a.csv", CSV), *option)
        assert (done.code, store.uploads()) == (2, {})
        assert rule in " ".join(done.output.split())


class TestFile:
    @pytest.mark.parametrize(
        ("name", "data", "rule"),
        [
            ("a.csv", b"", "line 1: the file is empty: it must hold users; nothing was uploaded"),
            ("a.jsonl", b"", "line 1: the file is empty"),
            ("a.csv", CSV.encode("utf-16"), "it is not UTF-8: save the file as UTF-8"),
            ("a.csv", b"Id,Tags\nuser-1,gold\n", "To_Account is missing; found Id,Tags"),
            ("a.csv", b"To_Account;Tags\nuser-1;gold\n", "separated by semicolons: save the file"),
            ("a.csv.gz", CSV.encode(), "line 1: must be a whole gzip file"),
            ("a.csv.gz", gzip.compress(b"user-1,gold\n", mtime=0), "line 1: must be a header"),
        ],
    )
    def test_what_the_job_would_refuse_as_a_whole_does_not_go_up(
        self, stack: Operated, store: JobStore, tmp_path: Path, name: str, data: bytes, rule: str
    ) -> None:
        (tmp_path / name).write_bytes(data)
        done = stack.run("send", tmp_path / name, *names(store))
        assert (done.code, store.uploads()) == (1, {})
        assert rule in done.output

    def test_a_file_whose_first_line_is_right_goes_up(
        self, stack: Operated, store: JobStore, tmp_path: Path
    ) -> None:
        for name, data in {
            "a.csv.gz": gzip.compress(CSV.encode()),
            "b.csv": CSV.encode("utf-8-sig"),
            "c.jsonl": b"\n",
        }.items():
            (tmp_path / name).write_bytes(data)
            assert send(stack, store, tmp_path / name).code == 0
        assert len(store.uploads()) == 3


class TestTag:
    @pytest.mark.parametrize(
        "text",
        [
            "user-1\nuser-2\n",
            "\ufeffuser-1\r\nuser-2",
            "To_Account\nuser-1\nuser-2\n",
            "user-1\n\n\nuser-2\n\n",
        ],
    )
    def test_each_id_becomes_a_user_with_the_tag_on_the_same_line(
        self, stack: Operated, store: JobStore, write: Write, text: str
    ) -> None:
        done = send(stack, store, write("ids.txt", text), "--tag", "gold")

        key, content, _ = the_upload(store)
        assert done.code == 0
        assert key.endswith("/ids.jsonl")
        lines = text.removeprefix("\ufeff").splitlines()
        assert [json.loads(line) if line else None for line in content.decode().splitlines()] == [
            {"To_Account": line, "Tags": ["gold"]} if line.startswith("user") else None
            for line in lines
        ]

    def test_none_of_many_ids_is_lost(self, stack: Operated, store: JobStore, write: Write) -> None:
        # Given more than one part of an upload (8 MiB)
        ids = [f"user-{number}" for number in range(300_000)]
        file = write("ids.txt", "\n".join(ids))
        with hooks({"before-call.dynamodb.GetItem": interrupt}):
            done = stack.run("send", file, *names(store), "--tag", "gold")
        _, content, _ = the_upload(store)
        assert done.code == 130
        assert [json.loads(line)["To_Account"] for line in content.splitlines()] == ids

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("user-1\nuser-2,gold\n", "line 2 holds a comma: with --tag, a line is one id"),
            ("user-1;gold\n", "line 1 holds a semicolon"),
            ("user-1\n user-2\n", "line 2 begins or ends with a blank"),
            ("user-1\n\udcff\n", "line 2 is not UTF-8: save the file as UTF-8"),
            ("\udcff\udcfeu\0s\0", "line 1 is not UTF-8: save the file as UTF-8"),
            ("u\0s\0\n", "line 1 holds a null character: save the file as UTF-8"),
            ("\n\n", "holds no ids: nothing was sent"),
        ],
    )
    def test_a_line_that_is_not_an_id_is_named_and_nothing_goes_up(
        self, stack: Operated, store: JobStore, write: Write, text: str, rule: str
    ) -> None:
        done = send(stack, store, write("ids.txt", text), "--tag", "gold")
        assert (done.code, store.uploads()) == (1, {})
        assert rule in done.output


class TestEnd:
    @pytest.mark.parametrize(
        ("end", "code"),
        [
            ({"Users": 2, "Removed": 2, "Settled": 2}, 0),
            ({"Users": 2, "Removed": 1, "NotRemoved": 1, "Settled": 2}, 3),
            ({"Users": 2, "Removed": 2, "FaultyRows": 1, "Rows": 3}, 3),
            ({"Users": 2, "NotRemoved": 2, "Options": {"dry-run": "true"}}, 0),
            ({"FaultyRows": 1, "Options": {"dry-run": "true"}}, 3),
            ({"State": "failed", "Reason": "line 1 must be a header"}, 4),
            ({"State": "stopped", "Reason": "stopped by an operator"}, 4),
        ],
    )
    def test_the_exit_code_says_how_the_job_ended(
        self, stack: Operated, store: JobStore, write: Write, end: dict[str, Any], code: int
    ) -> None:
        done = send(stack, store, write("a.csv", CSV), **end)
        assert done.code == code
        assert end.get("Reason", "") in done.output

    def test_json_is_the_jobs_document_alone_on_standard_output(
        self, stack: Operated, store: JobStore, write: Write
    ) -> None:
        done = send(stack, store, write("a.csv", CSV), "--output", "json", Users=1, Removed=1)
        document = json.loads(done.stdout)
        assert (document["State"], document["Users"]) == ("done", 1)
        assert "is uploaded" in done.output

    def test_ctrl_c_says_that_the_job_goes_on(
        self, stack: Operated, store: JobStore, write: Write
    ) -> None:
        with hooks({"before-call.dynamodb.GetItem": interrupt}):
            done = stack.run("send", write("a.csv", CSV), *names(store), "--stack-name", "shop")
        ((key, _),) = store.uploads().items()
        job_id = key.split("/")[1]
        assert done.code == 130
        assert f"job {job_id} goes on without you" in done.output
        assert f"stop it:    ./ops job stop {job_id} --stack-name shop" in done.output

    def test_ctrl_c_during_the_upload_says_that_no_job_has_begun(
        self, stack: Operated, store: JobStore, write: Write
    ) -> None:
        with hooks({"before-call.s3.PutObject": interrupt_from_a_thread}):
            done = stack.run("send", write("a.csv", CSV), *names(store))
        assert (done.code, store.uploads()) == (130, {})
        assert "the upload was stopped" in done.output


class TestFailures:
    def test_a_bucket_that_is_not_there_is_said(
        self, stack: Operated, store: JobStore, write: Write
    ) -> None:
        options = ("--jobs-bucket", "no-such-bucket", "--jobs-table", store.table.name)
        done = stack.run("send", write("a.csv", CSV), *options)
        assert (done.code, "NoSuchBucket" in done.output) == (1, True)

    def test_a_stack_that_is_not_there_is_said(self, stack: Operated, write: Write) -> None:
        done = stack.run("send", write("a.csv", CSV), "--stack-name", "none")
        assert (done.code, "there is no stack none" in done.output) == (2, True)

    def test_neither_stack_nor_names_is_wrong_usage(self, stack: Operated, write: Write) -> None:
        done = stack.run("send", write("a.csv", CSV))
        assert done.code == 2
        assert "give --stack-name, or --jobs-bucket and --jobs-table" in done.output


def interrupt(**_: Any) -> None:
    raise KeyboardInterrupt


def interrupt_from_a_thread(**_: Any) -> None:
    """Ctrl-C while a thread uploads; that thread gets no further."""
    signal.raise_signal(signal.SIGINT)
    time.sleep(0.5)
    raise RuntimeError
