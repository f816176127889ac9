"""The examples of the documents: each is marked, and what is marked to run does run."""

import os
import subprocess
import sys

import pytest

from documents.examples import AWS, LOCAL, SKIPPED, STACK, examples, substitute


def test_each_example_runs_or_has_a_reason_not_to() -> None:
    found = list(examples())
    assert sum(one.kind == STACK for one in found) > 4
    for one in found:
        assert one.kind in (STACK, AWS, LOCAL), one
        assert one.kind != AWS or any(words in one.text for words in SKIPPED), one


def test_each_reason_is_needed() -> None:
    text = "".join(one.text for one in examples() if one.kind == AWS)
    assert [words for words in SKIPPED if words not in text] == []


def test_names_in_capitals_are_replaced_as_whole_words() -> None:
    names = {"URL": "http://queue", "API_URL": "http://api"}
    assert substitute("URL API_URL $URL MY_URL URLS", names) == (
        "http://queue http://api $URL MY_URL URLS"
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_examples_run() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-m", "documents.examples"],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4_000:]
