"""The secret is re-read before the UserSig expires, but seldom; a valid one is never given up."""

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ConnectTimeoutError

from support.virtual_time import VirtualTime
from timpush.errors import SecretError
from timpush.tencent.credentials import Credentials, SigningKey, parse_signing_key
from timpush.tencent.usersig import sign

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SDKAPPID = 1400000000
DAY = 86_400
UNREADABLE = ConnectTimeoutError(endpoint_url="https://x")


class Store:
    """Secrets Manager with one secret, and the credentials of an environment that reads it."""

    def __init__(self, lives: int) -> None:
        self.time = VirtualTime()
        self.set_back = 0
        self.reads = 0
        self.value: str | Exception = ""
        self.put(lives)
        self.credentials = Credentials(cast("SecretsManagerClient", self), "usersig", self.now)

    def now(self) -> float:
        return self.time.now() - self.set_back

    def put(self, lives: int) -> str:
        """Store a new UserSig that lives so many seconds from now."""
        signed = sign(SDKAPPID, "administrator", "key", int(self.time.now()), lives)
        fields = {"sdkappid": SDKAPPID, "identifier": "administrator", "usersig": signed}
        self.value = json.dumps(fields)
        return signed

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        self.reads += 1
        if isinstance(self.value, Exception):
            raise self.value
        return {"SecretString": self.value}

    def get(self, after: float = 0.0) -> str:
        """The UserSig in use when so much time has passed."""
        self.time.spend(after)
        return self.credentials.get().usersig


class TestFarFromExpiry:
    def test_it_is_kept_for_minutes(self) -> None:
        store = Store(lives=3 * DAY)
        for _ in range(290):
            store.get(after=1)
        assert store.reads == 1

    def test_a_new_one_is_found_within_minutes(self) -> None:
        store = Store(lives=3 * DAY)
        store.get()
        new = store.put(lives=4 * DAY)
        assert store.get(after=299) != new
        assert store.get(after=1) == new

    def test_a_clock_set_back_makes_it_look_again(self) -> None:
        store = Store(lives=3 * DAY)
        store.get()
        store.set_back = 1_000
        store.get()
        assert store.reads == 2


class TestCloseToExpiry:
    def test_it_is_looked_for_at_once(self) -> None:
        store = Store(lives=3_600 - 1)
        store.get()
        new = store.put(lives=3 * DAY)
        assert store.get(after=0.1) == new

    def test_it_is_looked_for_at_most_once_a_minute(self) -> None:
        store = Store(lives=3_600)
        store.get()
        store.get(after=1)
        reads = store.reads
        for _ in range(59 * 10):
            store.get(after=0.1)
        assert store.reads == reads
        store.get(after=1)
        assert store.reads == reads + 1

    def test_a_new_one_is_found_within_a_minute_and_then_kept(self) -> None:
        store = Store(lives=1_800)
        store.get()
        store.get()
        new = store.put(lives=3 * DAY)
        assert store.get(after=60) == new
        reads = store.reads
        assert store.get(after=120) == new
        assert store.reads == reads

    @pytest.mark.parametrize("value", [UNREADABLE, "", "{}", '{"sdkappid": 1}'])
    def test_it_is_kept_while_valid_when_no_other_can_be_read(self, value: str | Exception) -> None:
        store = Store(lives=1_800)
        kept = store.get()
        store.value = value
        assert store.get(after=1_800) == kept
        assert store.credentials.fault
        with pytest.raises(SecretError):
            store.get(after=1)

    def test_an_expired_one_does_not_replace_one_that_is_valid(self) -> None:
        store = Store(lives=1_800)
        kept = store.get()
        store.put(lives=-1)
        assert store.get(after=60) == kept
        assert "expired" in store.credentials.fault

    def test_the_fault_is_forgotten_once_the_secret_can_be_read(self) -> None:
        store = Store(lives=1_800)
        store.get()
        store.value = UNREADABLE
        store.get()
        assert store.credentials.fault == "the secret usersig cannot be read: ConnectTimeoutError"
        store.put(lives=3 * DAY)
        store.get(after=60)
        assert store.credentials.fault == ""

    def test_expired_it_is_looked_for_each_time(self) -> None:
        store = Store(lives=60)
        store.get()
        for _ in range(3):
            with pytest.raises(SecretError, match="expired"):
                store.get(after=61)
        assert store.reads == 4


class TestSecondsLeft:
    def test_are_unknown_before_the_secret_was_read(self) -> None:
        assert Store(lives=DAY).credentials.seconds_left() is None

    def test_are_those_of_the_usersig_in_use(self) -> None:
        store = Store(lives=DAY)
        store.get()
        store.time.spend(400)
        assert store.credentials.seconds_left() == DAY - 400

    def test_are_those_of_the_kept_one_when_no_other_can_be_read(self) -> None:
        store = Store(lives=1_800)
        store.get()
        store.value = "{}"
        store.get(after=60)
        assert store.credentials.seconds_left() == 1_740

    @pytest.mark.parametrize("lives", [-1, None])
    def test_are_none_when_the_secret_holds_nothing_of_use(self, lives: int | None) -> None:
        store = Store(lives=DAY)
        if lives is None:
            store.value = '{"sdkappid": 0, "identifier": "", "usersig": ""}'
        else:
            store.put(lives)
        with pytest.raises(SecretError):
            store.get()
        assert store.credentials.seconds_left() == 0.0

    def test_are_unknown_when_the_secret_could_not_be_read(self) -> None:
        store = Store(lives=DAY)
        store.value = UNREADABLE
        with pytest.raises(SecretError):
            store.get()
        assert store.credentials.seconds_left() is None

    def test_never_fall_below_nought(self) -> None:
        store = Store(lives=60)
        store.get()
        store.time.spend(100)
        assert store.credentials.seconds_left() == 0.0


class TestSigningKey:
    def test_is_read_from_its_secret(self) -> None:
        text = '{"sdkappid": 1, "identifier": "admin", "key": "k", "note": "ours"}'
        assert parse_signing_key(text) == SigningKey(1, "admin", "k")

    def test_its_repr_leaves_the_key_out(self) -> None:
        assert "secret-key" not in repr(SigningKey(1, "admin", "secret-key"))

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("", "JSON object with sdkappid, identifier and key"),
            ("[]", "JSON object with sdkappid, identifier and key"),
            ('{"sdkappid": 0, "identifier": "a", "key": "k"}', "sdkappid"),
            ('{"sdkappid": true, "identifier": "a", "key": "k"}', "sdkappid"),
            ('{"sdkappid": 1, "identifier": "", "key": "k"}', "identifier"),
            ('{"sdkappid": 1, "identifier": "a"}', "key"),
            ('{"sdkappid": 1, "identifier": "a", "key": ["k"]}', "key"),
            ('{"sdkappid": 1, "identifier": "a", "usersig": "k"}', "key"),
        ],
    )
    def test_what_it_lacks_is_named(self, text: str, fault: str) -> None:
        with pytest.raises(SecretError, match=fault):
            parse_signing_key(text)
