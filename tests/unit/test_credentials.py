"""A secret is checked before a call is made with it: each mismatch is named, nothing is shown."""

import json
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from botocore.stub import Stubber
from hypothesis import example, given
from hypothesis import strategies as st

from support.clients import secrets_client
from support.raw_server import answer, raw_server
from timpush.errors import SecretError, UserSigError
from timpush.tencent.credentials import Credential, Credentials, parse_secret, read_secret
from timpush.tencent.usersig import sign

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SDKAPPID, ADMIN, KEY = 1400000000, "administrator", "key of the app"
NOW, VALIDITY = 1_800_000_000, 86_400
USERSIG = sign(SDKAPPID, ADMIN, KEY, NOW, VALIDITY)


def secret(**changed: Any) -> str:
    """The secret as JSON; a field that is changed to None is left out."""
    fields = {"sdkappid": SDKAPPID, "identifier": ADMIN, "usersig": USERSIG} | changed
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def refusal(text: str, now: float = NOW) -> SecretError:
    with pytest.raises(SecretError) as caught:
        parse_secret(text, now)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.args)
    assert USERSIG not in shown
    return caught.value


class TestParseSecret:
    def test_a_secret_that_fits_its_usersig_becomes_a_credential(self) -> None:
        assert parse_secret(secret(), NOW) == Credential(SDKAPPID, ADMIN, USERSIG, NOW + VALIDITY)

    def test_other_fields_are_ignored(self) -> None:
        assert parse_secret(secret(note="x", region="tokyo"), NOW).usersig == USERSIG

    @pytest.mark.parametrize(
        "text",
        ["", "eJ...", "null", "[]", '"eJ"', "5", "{", "[" * 100_000, "{'usersig': 1}", "9" * 5_000],
        ids=lambda text: text[:12],
    )
    def test_what_is_no_object_is_told_what_it_must_be(self, text: str) -> None:
        message = refusal(text).message
        assert all(name in message for name in ("JSON object", "sdkappid", "identifier", "usersig"))

    @pytest.mark.parametrize("name", ["sdkappid", "identifier", "usersig"])
    @pytest.mark.parametrize("value", [None, "", [], {}, True, 0, -1, 1.5], ids=repr)
    def test_a_field_of_another_kind_is_named(self, name: str, value: Any) -> None:
        message = refusal(secret(**{name: value})).message
        assert f"the secret's {name} must" in message

    def test_the_app_id_must_be_a_number(self) -> None:
        assert (
            "sdkappid must be a positive integer" in refusal(secret(sdkappid="1400000000")).message
        )

    def test_a_usersig_for_another_account_is_named_so(self) -> None:
        error = refusal(secret(identifier="admin"))
        assert isinstance(error, UserSigError)
        assert "another identifier" in error.message

    def test_a_usersig_for_another_app_is_named_so(self) -> None:
        error = refusal(secret(sdkappid=SDKAPPID + 1))
        assert isinstance(error, UserSigError)
        assert "another sdkappid" in error.message

    @pytest.mark.parametrize("usersig", ["eJ...", USERSIG[:-8], "placeholder", "名"])
    def test_what_is_no_usersig_is_named_so(self, usersig: str) -> None:
        assert "decoded" in refusal(secret(usersig=usersig)).message

    def test_a_usersig_holds_to_the_end_of_its_last_second_and_no_longer(self) -> None:
        assert parse_secret(secret(), NOW + VALIDITY).usersig == USERSIG
        error = refusal(secret(), NOW + VALIDITY + 60)
        assert isinstance(error, UserSigError)
        assert "expired 60 s ago" in error.message

    def test_a_usersig_from_the_future_is_taken(self) -> None:
        assert parse_secret(secret(), NOW - 3_600).usersig == USERSIG

    def test_no_representation_shows_the_usersig(self) -> None:
        credential = parse_secret(secret(), NOW)
        assert USERSIG not in f"{credential!r} {credential!s} {[credential]} {{'c': {credential}}}"
        assert ADMIN in repr(credential)

    @given(st.text(st.characters()), st.integers(), st.integers(), st.floats(0, 2**40))
    @example(ADMIN, -(10**400), 0, NOW)
    @example(ADMIN, NOW, 10**400, NOW)
    @example("\ud800", NOW, VALIDITY, NOW)
    def test_whatever_a_usersig_says_it_is_taken_or_refused(
        self, identifier: str, issued_at: int, validity: int, now: float
    ) -> None:
        signed = sign(SDKAPPID, identifier, KEY, issued_at, validity)
        text = secret(identifier=identifier, usersig=signed)
        with suppress(SecretError):
            credential = parse_secret(text, now)
            assert credential.expires_at - now >= 0.0
            assert quote(credential.identifier)


@pytest.fixture
def secret_id(secrets: "SecretsManagerClient") -> str:
    return secrets.create_secret(Name=f"usersig-{uuid4().hex}", SecretString=secret())["ARN"]


class Clock:
    def __init__(self) -> None:
        self.time = float(NOW)

    def __call__(self) -> float:
        return self.time


class TestCredentials:
    """Against a Secrets Manager on this machine."""

    def test_the_secret_is_read_once_and_kept(
        self, secrets: "SecretsManagerClient", secret_id: str
    ) -> None:
        credentials = Credentials(secrets, secret_id, lambda: NOW)
        first = credentials.get()
        secrets.put_secret_value(SecretId=secret_id, SecretString=secret(identifier="new"))
        assert first.usersig == USERSIG
        assert credentials.get() is first

    def test_a_name_does_as_well_as_an_arn(
        self, secrets: "SecretsManagerClient", secret_id: str
    ) -> None:
        name = secrets.describe_secret(SecretId=secret_id)["Name"]
        assert Credentials(secrets, name, lambda: NOW).get().usersig == USERSIG

    def test_the_secret_is_read_again_when_its_usersig_has_expired(
        self, secrets: "SecretsManagerClient", secret_id: str
    ) -> None:
        clock = Clock()
        credentials = Credentials(secrets, secret_id, clock)
        credentials.get()
        clock.time += VALIDITY + 1
        with pytest.raises(UserSigError, match="expired"):
            credentials.get()
        renewed = sign(SDKAPPID, ADMIN, KEY, int(clock.time), VALIDITY)
        secrets.put_secret_value(SecretId=secret_id, SecretString=secret(usersig=renewed))
        assert credentials.get().usersig == renewed

    def test_a_refresh_reads_the_secret_at_once(
        self, secrets: "SecretsManagerClient", secret_id: str
    ) -> None:
        credentials = Credentials(secrets, secret_id, lambda: NOW)
        credentials.get()
        renewed = sign(SDKAPPID, ADMIN, KEY, NOW + 1, VALIDITY)
        secrets.put_secret_value(SecretId=secret_id, SecretString=secret(usersig=renewed))
        assert credentials.refresh().usersig == renewed
        assert credentials.get().usersig == renewed

    def test_a_secret_that_is_not_there_is_named(self, secrets: "SecretsManagerClient") -> None:
        with pytest.raises(SecretError, match=r"no-such-secret .*ResourceNotFoundException"):
            Credentials(secrets, "no-such-secret").get()

    def test_a_secret_without_text_is_told_what_it_must_be(
        self, secrets: "SecretsManagerClient", secret_id: str
    ) -> None:
        secrets.put_secret_value(SecretId=secret_id, SecretBinary=secret().encode())
        with pytest.raises(SecretError, match="must be a JSON object"):
            Credentials(secrets, secret_id).get()

    @pytest.mark.parametrize("code", ["AccessDeniedException", "DecryptionFailure"])
    def test_a_refusal_names_the_secret_and_the_code(
        self, secrets: "SecretsManagerClient", code: str
    ) -> None:
        with Stubber(secrets) as stub:
            stub.add_client_error("get_secret_value", code, "User: arn:aws:iam::1:role/x is not")
            with pytest.raises(SecretError) as caught:
                Credentials(secrets, "usersig").get()
        assert caught.value.message == f"the secret usersig cannot be read: {code}"
        assert caught.value.__context__ is None

    @pytest.mark.parametrize(
        "body", [b"[]", b'["x"]', b'"text"', b"5", b"null", b"true", b"{", b"", b"\xff"]
    )
    def test_a_reply_that_is_no_object_says_how_to_fix_it(self, body: bytes) -> None:
        with (
            raw_server(answer(body)) as server,
            pytest.raises(SecretError, match=r"the secret usersig .* check .*AWS_END") as caught,
        ):
            Credentials(secrets_client(server.url), "usersig").get()
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("value", [["x"], {"usersig": "x"}, 5, 0.5, True, [], None])
    def test_a_value_that_is_no_text_says_how_to_fix_it(self, value: object) -> None:
        body = json.dumps({"SecretString": value}).encode()
        with (
            raw_server(answer(body)) as server,
            pytest.raises(SecretError, match=r"the secret usersig .* check .*AWS_ENDPOINT_URL"),
        ):
            Credentials(secrets_client(server.url), "usersig").get()

    @pytest.mark.parametrize("value", ["[]", '"text"', "5", "null", "[" * 100_000, "\ud800"])
    def test_a_text_that_is_no_object_says_how_to_fix_it(self, value: str) -> None:
        body = json.dumps({"SecretString": value}).encode()
        with (
            raw_server(answer(body)) as server,
            pytest.raises(SecretError, match="must be a JSON object with sdkappid"),
        ):
            Credentials(secrets_client(server.url), "usersig").get()

    def test_no_way_to_secrets_manager_is_a_fault_of_the_secret(
        self, unreachable_secrets: "SecretsManagerClient"
    ) -> None:
        with pytest.raises(SecretError, match="cannot be read: EndpointConnectionError"):
            read_secret(unreachable_secrets, "usersig")
