"""The four rotation steps, between Secrets Manager with real version stages and TIMPush."""

import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Literal, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from rotate_usersig import app
from support.rotation import STEPS, VALIDITY, Account, captured, moto_server, rotating
from timpush.errors import (
    RateLimitError,
    RotationError,
    SecretError,
    SettingsError,
    TimPushError,
    TransientError,
)
from timpush.settings import RotationSettings
from timpush_server import Fault
from timpush_server.signature import read, sign

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

OTHER_KEY = "0" * 64


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def account(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with rotating(aws_url, monkeypatch.setenv) as started:
        yield started


def run_until(account: Account, last: str) -> str:
    """Begin a rotation and do its steps up to and with `last`; returns its token."""
    token = account.stage()
    for step in STEPS[: STEPS.index(last) + 1]:
        account.run(step, token)
    return token


def calls(account: Account) -> list[tuple[str, list[str]]]:
    """The calls that TIMPush got: command and accounts."""
    return [
        (call.path.rpartition("/")[2], [name for name, _ in call.users])
        for call in account.timpush.received
    ]


class TestFourSteps:
    def test_make_a_new_usersig_current(self, account: Account) -> None:
        before = account.current()

        token = account.rotate()

        assert account.current() == token
        assert account.stages(before) == {"AWSPREVIOUS"}

    def test_sign_for_the_keys_app_and_admin_with_the_validity_asked_for(
        self, account: Account
    ) -> None:
        begin = int(time.time())

        account.rotate()

        value = account.value()
        signed = read(value.pop("usersig"), account.timpush.key)
        assert value == {"sdkappid": 1400000000, "identifier": "administrator"}
        assert signed is not None
        assert signed.genuine
        assert (signed.sdkappid, signed.identifier) == (1400000000, "administrator")
        assert begin + VALIDITY <= signed.expires_at <= int(time.time()) + VALIDITY

    def test_test_it_twice_with_a_call_that_reads_the_tags_of_the_admin(
        self, account: Account
    ) -> None:
        account.timpush.tags["administrator"] = {"gold"}

        account.rotate()

        assert calls(account) == [("get_tag", ["administrator"])] * 2
        assert account.timpush.tags == {"administrator": {"gold"}}

    def test_prove_the_pending_usersig_and_not_the_current_one(self, account: Account) -> None:
        token = run_until(account, "testSecret")

        assert account.timpush.received[0].query["usersig"] == account.value(token)["usersig"]
        assert account.value(token) != account.value()

    def test_replace_a_placeholder(self, account: Account) -> None:
        placeholder = '{"sdkappid": 0, "identifier": "", "usersig": ""}'
        account.secrets.put_secret_value(SecretId=account.usersig_id, SecretString=placeholder)

        token = account.rotate()

        assert account.current() == token

    def test_may_come_again_and_again(self, account: Account) -> None:
        token = account.rotate()
        made = account.value()

        for step in STEPS:
            account.run(step, token)

        assert account.current() == token
        assert account.value() == made

    def test_tell_how_long_the_new_usersig_lives(
        self, account: Account, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with captured(app.logger) as logged:
            account.rotate()

        metric = json.loads(capsys.readouterr().out)
        assert metric["UserSigSecondsLeft"] == [pytest.approx(VALIDITY, abs=30)]
        lines = [json.loads(line) for line in logged.getvalue().splitlines()]
        [line] = [line for line in lines if "usersig_seconds_left" in line]
        assert line["secret"] == account.usersig_id
        assert line["usersig_seconds_left"] == pytest.approx(VALIDITY, abs=30)


class TestCreateSecret:
    def test_keeps_the_first_value_when_called_twice(self, account: Account) -> None:
        token = run_until(account, "createSecret")
        first = account.value(token)

        account.run("createSecret", token)

        assert account.value(token) == first

    def test_leaves_the_current_version_alone(self, account: Account) -> None:
        before, value = account.current(), account.value()

        run_until(account, "createSecret")

        assert (account.current(), account.value()) == (before, value)

    @pytest.mark.parametrize("pending", ["", "{}", "no JSON", '{"sdkappid": 1}'])
    def test_replaces_a_pending_value_that_is_no_usersig(
        self, account: Account, pending: str
    ) -> None:
        token = "12345678-1234-4234-8234-123456789012"
        account.secrets.put_secret_value(
            SecretId=account.usersig_id,
            ClientRequestToken=token,
            SecretString=pending or "-",
            VersionStages=["AWSPENDING"],
        )

        account.run("createSecret", token)

        signed = read(account.value(token)["usersig"], account.timpush.key)
        assert signed is not None
        assert signed.genuine

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("key", None),
            ("key", ""),
            ("key", 5),
            ("sdkappid", None),
            ("sdkappid", 0),
            ("sdkappid", True),
            ("sdkappid", "1400000000"),
            ("identifier", None),
            ("identifier", ""),
        ],
    )
    def test_names_what_the_keys_secret_lacks(
        self, account: Account, field: str, value: Any
    ) -> None:
        account.store_key(**{field: value})
        token = account.stage()

        with pytest.raises(SecretError, match=f"{field} must be .*{account.key_id}"):
            account.run("createSecret", token)

        assert account.stages(token) == {"AWSPENDING"}

    @pytest.mark.parametrize("text", ["", "[]", "null", "{"])
    def test_refuses_a_keys_secret_that_is_no_json_object(
        self, account: Account, text: str
    ) -> None:
        account.secrets.put_secret_value(SecretId=account.key_id, SecretString=text or " ")
        token = account.stage()

        with pytest.raises(SecretError, match="JSON object with sdkappid, identifier and key"):
            account.run("createSecret", token)

    def test_names_the_keys_secret_that_cannot_be_read(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SIGNING_KEY_SECRET_ID", "not-there")
        token = account.stage()

        with pytest.raises(SecretError, match="not-there cannot be read: ResourceNotFound"):
            account.run("createSecret", token)

    @pytest.mark.parametrize("field", ["ARN", "Name"])
    def test_never_overwrites_the_key(
        self, account: Account, monkeypatch: pytest.MonkeyPatch, field: Literal["ARN", "Name"]
    ) -> None:
        secret = account.secrets.describe_secret(SecretId=account.usersig_id)
        monkeypatch.setenv("SIGNING_KEY_SECRET_ID", secret[field])
        token = account.stage()

        with pytest.raises(RotationError, match="names the secret to rotate"):
            account.run("createSecret", token)


class TestCreateSecretOfAwsItself:
    """AWS never writes a version twice, where the emulators do."""

    def rotation(self, stubbed: Any, text: str) -> app.Rotation:
        """A rotation whose pending version holds `text` already; none yet if that is empty."""
        key = {"sdkappid": 1400000000, "identifier": "administrator", "key": OTHER_KEY}
        stubbed.add_response("get_secret_value", {"SecretString": json.dumps(key)})
        if text:
            stubbed.add_response("get_secret_value", {"SecretString": text})
        else:
            stubbed.add_client_error("get_secret_value", "ResourceNotFoundException")
        settings = RotationSettings("http://127.0.0.1:1", "key", VALIDITY)
        return app.Rotation(
            settings, stubbed.client, "usersig", "t" * 32, {"t" * 32: ["AWSPENDING"]}, 0.0
        )

    def secret(self, key: str, issued_at: float) -> str:
        signed = sign("administrator", 1400000000, key, int(issued_at), 3_600)
        return json.dumps(
            {"sdkappid": 1400000000, "identifier": "administrator", "usersig": signed}
        )

    @pytest.fixture
    def stubbed(self) -> Iterator[Stubber]:
        client = boto3.client(
            "secretsmanager",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        with Stubber(client) as stubber:
            yield stubber
            stubber.assert_no_pending_responses()

    @pytest.mark.parametrize(
        ("key", "age"),
        [("another key", 0), (OTHER_KEY, 3_700)],
        ids=["signed with another key", "expired"],
    )
    def test_a_useless_pending_usersig_ends_the_rotation_so_that_the_next_starts_afresh(
        self, stubbed: Stubber, key: str, age: int
    ) -> None:
        useless = self.secret(key, time.time() - age)
        rotation = self.rotation(stubbed, useless)
        stubbed.add_client_error("put_secret_value", "ResourceExistsException")
        stubbed.add_response("get_secret_value", {"SecretString": useless})
        stubbed.add_response(
            "update_secret_version_stage",
            {},
            {
                "SecretId": "usersig",
                "VersionStage": "AWSPENDING",
                "RemoveFromVersionId": "t" * 32,
            },
        )

        with pytest.raises(RotationError, match="rotate again"):
            app.create_secret(rotation)

    def test_a_good_pending_usersig_is_kept(self, stubbed: Stubber) -> None:
        rotation = self.rotation(stubbed, self.secret(OTHER_KEY, time.time()))

        app.create_secret(rotation)

    def test_the_value_of_a_run_at_the_same_time_is_kept_and_stays_pending(
        self, stubbed: Stubber
    ) -> None:
        rotation = self.rotation(stubbed, "")
        stubbed.add_client_error("put_secret_value", "ResourceExistsException")
        others = self.secret(OTHER_KEY, time.time())
        stubbed.add_response("get_secret_value", {"SecretString": others})

        app.create_secret(rotation)

    def test_a_value_that_cannot_be_read_yet_stays_pending(self, stubbed: Stubber) -> None:
        rotation = self.rotation(stubbed, "")
        stubbed.add_client_error("put_secret_value", "ResourceExistsException")
        stubbed.add_client_error("get_secret_value", "ResourceNotFoundException")

        with pytest.raises(RotationError, match="try again"):
            app.create_secret(rotation)

    def stages(self, *labels: str) -> dict[str, Any]:
        return {"VersionIdsToStages": {"t" * 32: list(labels), "o" * 32: ["AWSPREVIOUS"]}}

    def test_a_label_that_another_run_has_moved_is_no_failure(self, stubbed: Stubber) -> None:
        rotation = app.Rotation(
            RotationSettings("http://127.0.0.1:1", "key", VALIDITY),
            cast("SecretsManagerClient", stubbed.client),
            "usersig",
            "t" * 32,
            {"t" * 32: ["AWSPENDING"], "o" * 32: ["AWSCURRENT"]},
            0.0,
        )
        stubbed.add_client_error("update_secret_version_stage", "InvalidParameterException")
        stubbed.add_response("describe_secret", self.stages("AWSCURRENT", "AWSPENDING"))
        app.make_current(rotation)

        stubbed.add_client_error("update_secret_version_stage", "InvalidParameterException")
        stubbed.add_response("describe_secret", self.stages("AWSPENDING"))
        with pytest.raises(ClientError, match="InvalidParameterException"):
            app.make_current(rotation)


class TestTwiceAtOnce:
    @pytest.mark.parametrize("step", STEPS)
    def test_a_step_that_runs_twice_at_once_is_done_once(self, account: Account, step: str) -> None:
        token = account.stage()
        for earlier in STEPS[: STEPS.index(step)]:
            account.run(earlier, token)

        with ThreadPoolExecutor(2) as executor:
            list(executor.map(lambda _: account.run(step, token), range(2)))

        assert account.stages(token) & {"AWSPENDING", "AWSCURRENT"}
        for later in STEPS[STEPS.index(step) + 1 :]:
            account.run(later, token)
        assert account.current() == token


class TestTestSecret:
    @pytest.mark.parametrize(
        "code", [70001, 70009, 70013, 70050, 60010, 60026, 70020, 60020, 90045, 12345]
    )
    def test_fails_the_rotation_when_timpush_refuses(self, account: Account, code: int) -> None:
        before = account.current()
        token = run_until(account, "setSecret")
        account.timpush.inject(Fault("code", code, "said TIMPush"))

        with pytest.raises(RotationError, match=f"refused the new UserSig: {code}: said TIMPush"):
            account.run("testSecret", token)

        assert account.current() == before
        assert account.stages(token) == {"AWSPENDING"}

    def test_fails_the_rotation_when_the_key_is_another_apps(self, account: Account) -> None:
        before = account.current()
        account.store_key(key=OTHER_KEY)
        token = run_until(account, "setSecret")

        with pytest.raises(RotationError, match="70009"):
            account.run("testSecret", token)

        assert account.current() == before

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault("drop"), TransientError),
            (Fault("status", status=502), TransientError),
            (Fault("garbage"), TransientError),
            (Fault("code", 91000), TransientError),
            (Fault("code", 60004), TransientError),
            (Fault("code", 60007), RateLimitError),
        ],
        ids=["drop", "502", "garbage", "91000", "60004", "60007"],
    )
    def test_leaves_it_to_the_next_attempt_without_a_result(
        self, account: Account, fault: Fault, error: type[TimPushError]
    ) -> None:
        before = account.current()
        token = run_until(account, "setSecret")
        account.timpush.inject(fault)

        with pytest.raises(error):
            account.run("testSecret", token)
        assert account.current() == before

        for step in STEPS:  # the next attempt repeats them all
            account.run(step, token)
        assert account.current() == token

    def test_leaves_it_to_the_next_attempt_when_the_network_is_down(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = account.current()
        token = run_until(account, "setSecret")
        monkeypatch.setenv("TIMPUSH_ENDPOINT_URL", "http://127.0.0.1:1")

        with pytest.raises(TransientError):
            account.run("testSecret", token)

        assert account.current() == before
        assert account.stages(token) == {"AWSPENDING"}

    def test_takes_an_admin_that_has_no_account_as_proof(self, account: Account) -> None:
        account.timpush.tags.clear()  # 70107 in ErrorList

        token = account.rotate()

        assert account.current() == token

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            (70009, RotationError),
            (60010, RotationError),
            (60026, RotationError),
            (12345, RotationError),
            (91000, TransientError),
            (60011, RateLimitError),
        ],
    )
    @pytest.mark.parametrize("step", ["testSecret", "finishSecret"])
    def test_reads_what_is_said_of_the_admin_alone(
        self, account: Account, code: int, error: type[TimPushError], step: str
    ) -> None:
        before = account.current()
        token = run_until(account, STEPS[STEPS.index(step) - 1])
        row = {"To_Account": "administrator", "ErrorCode": code}
        reply = {"ActionStatus": "OK", "ErrorCode": 0, "ErrorList": [row]}
        account.timpush.inject(Fault("body", body=json.dumps(reply).encode()))

        with pytest.raises(error, match=str(code)):
            account.run(step, token)

        assert account.current() == before
        assert account.stages(token) == {"AWSPENDING"}

    def test_takes_an_unknown_account_for_the_whole_call_as_proof(self, account: Account) -> None:
        account.timpush.inject(Fault("code", 70107))

        token = account.rotate()

        assert account.current() == token

    def test_comes_after_createsecret(self, account: Account) -> None:
        token = account.stage()

        with pytest.raises(RotationError, match="createSecret comes first"):
            account.run("testSecret", token)

        assert calls(account) == []


class TestFinishSecret:
    def test_comes_after_createsecret(self, account: Account) -> None:
        before = account.current()
        token = account.stage()

        with pytest.raises(RotationError, match="createSecret comes first"):
            account.run("finishSecret", token)

        assert account.current() == before
        assert account.stages(token) == {"AWSPENDING"}

    def test_moves_nothing_when_timpush_refuses_although_the_test_was_left_out(
        self, account: Account
    ) -> None:
        before = account.current()
        account.store_key(key=OTHER_KEY)
        token = run_until(account, "setSecret")

        with pytest.raises(RotationError, match="70009"):
            account.run("finishSecret", token)

        assert account.current() == before
        assert account.stages(token) == {"AWSPENDING"}

    def test_is_done_when_the_version_is_current_already(self, account: Account) -> None:
        before = account.current()

        account.run("finishSecret", before)

        assert account.stages(before) == {"AWSCURRENT"}

    def test_moves_the_label_from_the_version_that_has_it(self, account: Account) -> None:
        token = run_until(account, "testSecret")
        current = account.current()

        account.run("finishSecret", token)

        assert "AWSCURRENT" in account.stages(token)
        assert "AWSCURRENT" not in account.stages(current)


class TestRefusals:
    @pytest.mark.parametrize("step", STEPS)
    def test_a_token_that_no_version_has(self, account: Account, step: str) -> None:
        before = account.value()

        with pytest.raises(RotationError, match="has no version"):
            account.run(step, "12345678-1234-4234-8234-123456789012")

        assert account.value() == before

    @pytest.mark.parametrize("step", STEPS[:3])
    def test_a_current_version_that_is_not_pending(self, account: Account, step: str) -> None:
        before = account.value()

        with pytest.raises(RotationError, match="not staged AWSPENDING"):
            account.run(step, account.current())

        assert account.value() == before
        assert calls(account) == []

    @pytest.mark.parametrize("step", STEPS)
    def test_a_version_of_an_earlier_rotation(self, account: Account, step: str) -> None:
        before = account.current()
        account.rotate()
        now = account.current()

        with pytest.raises(RotationError, match="not staged AWSPENDING"):
            account.run(step, before)

        assert account.current() == now

    @pytest.mark.parametrize("step", ["", "deleteSecret", "createsecret"])
    def test_an_unknown_step(self, account: Account, step: str) -> None:
        with pytest.raises(RotationError, match="unknown"):
            account.run(step, account.stage())

    def test_an_empty_token(self, account: Account) -> None:
        with pytest.raises(RotationError, match="has no version"):
            account.run("createSecret", "")

    @pytest.mark.parametrize("name", ["SIGNING_KEY_SECRET_ID", "USERSIG_VALIDITY_SECONDS"])
    def test_an_environment_that_lacks_something(
        self, account: Account, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv(name, "")

        with pytest.raises(SettingsError, match=f"{name} is missing"):
            account.run("createSecret", account.stage())

    def test_a_validity_that_the_schedule_outruns(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROTATION_SCHEDULE", "rate(3 days)")

        with pytest.raises(SettingsError, match="USERSIG_VALIDITY_SECONDS"):
            account.run("createSecret", account.stage())


class TestSecrecy:
    def test_neither_key_nor_usersig_is_printed_logged_or_raised(
        self,
        account: Account,
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        old = account.value()["usersig"]
        for name in ("", "botocore", "boto3", "urllib3", app.logger.name):
            caplog.set_level(logging.DEBUG, logger=name)
        raised: list[str] = []

        with captured(app.logger) as logged:
            token = run_until(account, "setSecret")
            repeated = f"bad: {account.value(token)['usersig']}"
            account.timpush.inject(Fault("code", 70009, repeated))
            account.timpush.inject(Fault("drop"))
            for _ in range(2):
                with pytest.raises(TimPushError) as error:
                    account.run("testSecret", token)
                raised.append("".join(format_exception(error.value)))
            for step in ("testSecret", "finishSecret", "createSecret"):
                account.run(step, token)

        out, err = capfd.readouterr()
        told = "\n".join([out, err, caplog.text, logged.getvalue(), *raised])
        assert "botocore" in caplog.text
        assert len(calls(account)) == 4
        assert "bad: ***" in logged.getvalue()
        new = account.value(token)["usersig"]
        assert [one for one in (account.timpush.key, old, new) if one in told] == []
