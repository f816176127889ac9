"""The libraries' own log lines show no UserSig, at whatever level and whenever it was set."""

import http.client
import logging
import sys
import textwrap
import time
from difflib import SequenceMatcher
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, urlencode
from uuid import uuid4

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from support.raw_server import DROP, Answer, answer, raw_server
from timpush.errors import OddReplyError, SecretError
from timpush.tencent.client import TimPushClient
from timpush.tencent.credentials import Credential, read_secret
from timpush.tencent.redaction import CleaningFactory, guard_logs
from timpush.tencent.repeated_usersig import redact
from timpush_server.signature import sign

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

LONG = sign("administrator", 1400000000, "0" * 64, 1_700_000_000, 86_400)
USERSIG = "eJyrVgrxCdYr*Sy1SslJQ-MtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUF__"
QUERY = urlencode({"usersig": USERSIG, "identifier": "administrator"})
CREDENTIAL = Credential(1400000000, "administrator", USERSIG, 4_000_000_000)
LIBRARIES = ("urllib3", "botocore", "boto3")


LENGTH = {"Content-Length": "0"}


class Lines:
    """What the libraries have logged."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def __str__(self) -> str:
        form = logging.Formatter()
        records = [one for one in self._caplog.records if one.name.split(".")[0] in LIBRARIES]
        return "\n".join(f"{one.name}: {form.format(one)} {one.__dict__}" for one in records)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Everything is guarded first; then all loggers of the libraries are set to DEBUG."""
    guard_logs()
    names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] in LIBRARIES]
    for name in ("", *LIBRARIES, *names):
        caplog.set_level(logging.DEBUG, logger=name or None)
    return Lines(caplog)


def assert_hidden(lines: Lines, usersig: str = USERSIG) -> None:
    for spelling in (usersig, quote_plus(usersig), usersig[:16]):
        assert spelling not in str(lines)


class TestUrllib3:
    def test_a_request_of_a_pool_shows_the_path_without_the_usersig(self, lines: Lines) -> None:
        with raw_server(answer(b"done")) as server:
            pool = urllib3.PoolManager()
            pool.request("GET", f"{server.url}/remove_tag?{QUERY}", headers=LENGTH)
            pool.clear()
        assert_hidden(lines)
        assert "remove_tag?usersig=***&identifier=administrator" in str(lines)

    @pytest.mark.parametrize(
        "header",
        [
            b"no colon in it",
            b"no colon in " + QUERY.encode(),
            b"no colon in " + USERSIG.encode(),
            b"no colon in " + USERSIG[20:44].encode(),
        ],
    )
    def test_a_reply_with_a_broken_header_shows_none(self, lines: Lines, header: bytes) -> None:
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n" + header + b"\r\nX: y\r\n\r\ndone"
        with raw_server(Answer(data), Answer(data)) as server:
            client = TimPushClient(server.url, 1)
            for _ in range(2):
                with pytest.raises(OddReplyError):
                    client.remove_tag([("ann", ["gold"])], CREDENTIAL, time.monotonic() + 30)
            assert server.connections == 2
        assert_hidden(lines)
        assert USERSIG[20:44] not in str(lines)
        assert "Failed to parse headers (url=http://127.0.0.1" in str(lines)

    def test_the_debug_output_of_http_client_stays_off(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        guard_logs()
        monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
        with raw_server(answer(b"done")) as server, pytest.raises(OddReplyError):
            TimPushClient(server.url, 1).get_tag(["ann"], CREDENTIAL, time.monotonic() + 30)
        assert capfd.readouterr().out == ""

    def test_a_logger_of_a_later_version_is_cleaned_as_well(self, lines: Lines) -> None:
        logging.getLogger("urllib3.new.module").error("%s", f"/?{QUERY}", stack_info=True)
        assert "/?usersig=***&identifier=administrator" in str(lines)
        assert_hidden(lines)

    def test_the_text_of_an_exception_is_left_out(self, lines: Lines) -> None:
        try:
            raise OSError(USERSIG)
        except OSError:
            logging.getLogger("urllib3.connection").exception("it failed")
        assert "it failed (OSError)" in str(lines)
        assert_hidden(lines)

    def test_lines_on_retries_and_redirects_show_none(self, lines: Lines) -> None:
        elsewhere = answer(status=307, Location=f"/elsewhere?{QUERY}")
        with raw_server(DROP, elsewhere, answer(b"done")) as server:
            pool = urllib3.PoolManager(retries=3)
            assert pool.request("GET", f"{server.url}/?{QUERY}", headers=LENGTH).data == b"done"
            pool.clear()
        assert_hidden(lines)
        assert "Retrying" in str(lines)
        assert "Redirecting" in str(lines)

    def test_every_logger_of_urllib3_is_guarded(self, lines: Lines) -> None:
        loggers = urllib3_loggers()
        assert len(loggers) > 3
        for logger in loggers:
            logger.warning("%s %s", f"GET /?{QUERY}", {"usersig": USERSIG})
        assert_hidden(lines)
        assert str(lines).count("identifier=administrator") >= len(loggers)

    def test_other_lines_stay_as_they_are(self, lines: Lines) -> None:
        logging.getLogger("urllib3.connectionpool").debug("%s of %d", "Starting", 5)
        assert "Starting of 5" in str(lines)


def urllib3_loggers() -> list[logging.Logger]:
    """The loggers of all modules of urllib3 that a call has loaded."""
    modules = [module for name, module in sys.modules.items() if name.startswith("urllib3.")]
    logs = [getattr(module, "log", None) for module in modules]
    return [log for log in logs if isinstance(log, logging.Logger)]


class TestBotocore:
    def test_reading_the_secret_shows_no_usersig(
        self, lines: Lines, secrets: "SecretsManagerClient"
    ) -> None:
        text = f'{{"sdkappid": 1, "identifier": "a", "usersig": "{USERSIG}"}}'
        name = uuid4().hex
        secrets.create_secret(Name=name, SecretString=text)
        assert read_secret(secrets, name) == text
        assert_hidden(lines)
        assert "botocore" in str(lines)

    def test_a_secret_of_another_shape_is_not_shown_either(
        self, lines: Lines, secrets: "SecretsManagerClient"
    ) -> None:
        name = uuid4().hex
        secrets.create_secret(Name=name, SecretString=USERSIG)
        secrets.put_secret_value(SecretId=name, SecretString=USERSIG + "!")
        assert read_secret(secrets, name) == USERSIG + "!"
        assert_hidden(lines)

    def test_an_error_still_is(self, lines: Lines, secrets: "SecretsManagerClient") -> None:
        with pytest.raises(SecretError, match="ResourceNotFoundException"):
            read_secret(secrets, "no-such-secret")
        assert "botocore" in str(lines)


class TestGuard:
    def test_guarding_again_changes_nothing(self) -> None:
        guard_logs()
        factory = logging.getLogRecordFactory()
        guard_logs()
        assert logging.getLogRecordFactory() is factory
        assert isinstance(factory, CleaningFactory)

    def test_a_logger_of_the_application_is_left_alone(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        guard_logs()
        logging.getLogger("application").error("%s", "x" * 40)
        assert caplog.records[-1].args == ("x" * 40,)

    @pytest.mark.parametrize("text", ["", "nothing here", "usersig check failed", "eJyrVgrxCdYr"])
    def test_text_without_the_usersig_stays_as_it_is(self, text: str) -> None:
        assert redact(text, USERSIG) == text

    def test_each_spelling_of_the_usersig_goes(self) -> None:
        text = f"{USERSIG} and {quote_plus(USERSIG)} and {USERSIG.replace('*', '%2a')}"
        assert redact(text, USERSIG) == "*** and *** and ***"

    def test_each_way_to_cut_or_wrap_it_goes(self) -> None:
        wrapped = "\n".join(textwrap.wrap(LONG, 76))
        twice = quote(quote(LONG, safe=""), safe="")
        standard = LONG.translate(str.maketrans("*-_", "+/="))
        for text in (LONG[:16], LONG[40:90], wrapped, quote(wrapped), twice, standard):
            assert redact(f"bad: {text}!", LONG) == "bad: ***!"
            assert redact(f"http://h/p?usersig={text}&x=1", LONG) == "http://h/p?usersig=***&x=1"
        assert redact(LONG[:15], LONG) == LONG[:15]

    @given(
        st.lists(
            st.tuples(st.integers(0, 240), st.integers(0, 60), st.integers(0, 3), st.text())
            | st.text("*% -_eJ\n")
        )
    )
    def test_no_run_of_16_characters_is_left(
        self, parts: list[tuple[int, int, int, str] | str]
    ) -> None:
        text = ""
        for part in parts:
            if isinstance(part, str):
                text += part
                continue
            start, size, encodings, between = part
            piece = LONG[start : start + size]
            for _ in range(encodings):
                piece = quote_plus(piece)
            text += piece + between
        assert shared(redact(text, LONG), LONG) < 16


def shared(text: str, usersig: str) -> int:
    """The longest run that the text, decoded as one may, shares with the UserSig."""
    longest, plain = 0, text
    for _ in range(4):
        plain = "".join(plain.split())
        longest = max(longest, common(plain, usersig))
        plain = unquote(plain)
    return longest


def common(text: str, usersig: str) -> int:
    found = SequenceMatcher(None, text, usersig, autojunk=False)
    return found.find_longest_match().size
