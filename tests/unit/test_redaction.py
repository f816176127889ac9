"""The libraries' own log lines show no UserSig, at whatever level and whenever it was set."""

import logging
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, urlencode
from uuid import uuid4

import pytest
import urllib3

from support.raw_server import DROP, answer, raw_server
from timpush.errors import SecretError
from timpush.tencent.client import TimPushClient
from timpush.tencent.credentials import Credential, read_secret
from timpush.tencent.redaction import guard_logs, redact
from timpush_server import TimPushServer

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

USERSIG = "eJyrVgrxCdYr*Sy1SslJQ-MtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUF__"
QUERY = urlencode({"usersig": USERSIG, "identifier": "administrator"})
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
    def test_a_calls_line_shows_the_path_without_the_usersig(self, lines: Lines) -> None:
        with TimPushServer() as server:
            signed = server.usersig()
            credential = Credential(server.sdkappid, server.identifier, signed, 4_000_000_000)
            client = TimPushClient(server.url, 1)
            client.remove_tag([("ann", ["gold"])], credential, time.monotonic() + 30)
        assert_hidden(lines, signed)
        assert "remove_tag?usersig=***&identifier=administrator" in str(lines)

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
        guarded = ("urllib3.connectionpool", "botocore.parsers")
        before = [list(logging.getLogger(name).filters) for name in guarded]
        guard_logs()
        assert [logging.getLogger(name).filters for name in guarded] == before

    @pytest.mark.parametrize("text", ["", "nothing here", "usersig check failed", "eJyrVgrxCdYr"])
    def test_text_without_the_usersig_stays_as_it_is(self, text: str) -> None:
        assert redact(text, USERSIG) == text

    def test_each_spelling_of_the_usersig_goes(self) -> None:
        text = f"{USERSIG} and {quote_plus(USERSIG)} and {USERSIG.replace('*', '%2a')}"
        assert redact(text, USERSIG) == "*** and *** and ***"
