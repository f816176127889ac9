"""The worker's environment variables: each missing or impossible one is named, all at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.environment import worker_environment
from timpush.errors import SettingsError
from timpush.settings import Settings, read_settings
from timpush.tencent.regions import HOSTS

REQUIRED = [
    "TIMPUSH_REGION",
    "TIMPUSH_SECRET_ID",
    "WORKER_CONCURRENCY",
    "QUEUE_URL",
    "DEAD_LETTER_QUEUE_URL",
]


def read(**changed: object) -> Settings:
    return read_settings(worker_environment(**changed))


def computed(**changed: object) -> Settings:
    """The settings without TIMPUSH_CALLS_PER_SECOND."""
    return read(TIMPUSH_CALLS_PER_SECOND=None, **changed)


def fault(**changed: object) -> str:
    with pytest.raises(SettingsError) as caught:
        read(**changed)
    return caught.value.message


class TestValues:
    def test_every_variable_becomes_a_setting(self) -> None:
        settings = read(TIMPUSH_SECRET_ID="arn:aws:secretsmanager:us-east-1:123456789012:secret:x")
        assert settings.endpoint_url == "https://adminapisgp.im.qcloud.com"
        assert settings.secret_id == "arn:aws:secretsmanager:us-east-1:123456789012:secret:x"
        assert (settings.calls_per_second, settings.concurrency) == (96, 4)
        assert settings.queue_url.endswith("/queue")
        assert settings.dead_letter_queue_url.endswith("/dead-letter")
        assert settings.hash_accounts

    def test_space_around_a_value_is_dropped(self) -> None:
        assert read(TIMPUSH_REGION=" tokyo\n", WORKER_CONCURRENCY=" 4 ").concurrency == 4

    def test_accounts_are_hashed_unless_told_not_to_be(self) -> None:
        assert read(HASH_ACCOUNTS_IN_LOGS=None).hash_accounts is True
        assert read(HASH_ACCOUNTS_IN_LOGS="").hash_accounts is True
        assert read(HASH_ACCOUNTS_IN_LOGS="false").hash_accounts is False

    def test_settings_that_are_equal_are_one_key_of_a_cache(self) -> None:
        assert hash(read()) == hash(read())

    @pytest.mark.parametrize(
        ("app", "api", "calls"),
        [(100, 10, 79), (100, 0, 99), (100, None, 99), (60, 20, 19), (40, 10, 19), (20, 2, 15)],
    )
    def test_the_worker_gets_what_the_endpoint_and_the_rotation_leave(
        self, app: int, api: int | None, calls: int
    ) -> None:
        settings = computed(APP_CALLS_PER_SECOND=app, API_CALLS_PER_SECOND=api)
        assert settings.calls_per_second == calls
        # The worst second: every worker, the throttle's rate and burst, one call of the rotation.
        assert settings.share * settings.concurrency + 2 * (api or 0) + 1 <= app

    def test_calls_that_are_said_outright_win(self) -> None:
        settings = read(
            TIMPUSH_CALLS_PER_SECOND=90, APP_CALLS_PER_SECOND=40, API_CALLS_PER_SECOND=10
        )
        assert settings.calls_per_second == 90

    @pytest.mark.parametrize(
        ("calls", "concurrency", "share"), [(96, 4, 24), (100, 10, 10), (9, 5, 1), (5, 5, 1)]
    )
    def test_the_share_of_an_environment_is_rounded_down(
        self, calls: int, concurrency: int, share: int
    ) -> None:
        assert read(TIMPUSH_CALLS_PER_SECOND=calls, WORKER_CONCURRENCY=concurrency).share == share


class TestFaults:
    @pytest.mark.parametrize("name", REQUIRED)
    @pytest.mark.parametrize("value", [None, "", "  "])
    def test_a_missing_variable_is_named(self, name: str, value: str | None) -> None:
        text = fault(**{name: value})
        assert text.startswith(f"{name} is missing")
        assert not any(other in text for other in REQUIRED if other not in name)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("TIMPUSH_REGION", "mumbai"),
            ("TIMPUSH_REGION", "Singapore"),
            ("TIMPUSH_REGION", "console.tim.qq.com"),
            ("TIMPUSH_CALLS_PER_SECOND", "0"),
            ("TIMPUSH_CALLS_PER_SECOND", "101"),
            ("TIMPUSH_CALLS_PER_SECOND", "-5"),
            ("TIMPUSH_CALLS_PER_SECOND", "9.5"),
            ("TIMPUSH_CALLS_PER_SECOND", "1e1"),
            ("TIMPUSH_CALLS_PER_SECOND", "9" * 5_000),
            ("TIMPUSH_CALLS_PER_SECOND", "\uff19\uff16"),
            ("TIMPUSH_CALLS_PER_SECOND", "²"),
            ("WORKER_CONCURRENCY", "0"),
            ("WORKER_CONCURRENCY", "1001"),
            ("WORKER_CONCURRENCY", "four"),
            ("QUEUE_URL", "arn:aws:sqs:us-east-1:123456789012:queue"),
            ("QUEUE_URL", "https://"),
            ("DEAD_LETTER_QUEUE_URL", "dead-letter"),
            ("DEAD_LETTER_QUEUE_URL", "http://[x"),
            ("HASH_ACCOUNTS_IN_LOGS", "yes"),
            ("TIMPUSH_ENDPOINT_URL", "adminapisgp.im.qcloud.com"),
        ],
        ids=lambda text: text[:24],
    )
    def test_an_impossible_value_is_named(self, name: str, value: str) -> None:
        text = fault(**{name: value})
        assert text.startswith(f"{name} ")
        assert ";" not in text, "more than one fault"

    def test_all_faults_are_in_one_error(self) -> None:
        with pytest.raises(SettingsError) as caught:
            read_settings({"TIMPUSH_ENDPOINT_URL": "ftp://x", "HASH_ACCOUNTS_IN_LOGS": "?"})
        faults = [part.split()[0] for part in caught.value.message.split("; ")]
        assert sorted(faults) == sorted(
            [*REQUIRED, "APP_CALLS_PER_SECOND", "TIMPUSH_ENDPOINT_URL", "HASH_ACCOUNTS_IN_LOGS"]
        )

    @pytest.mark.parametrize(
        ("app", "api", "text"),
        [
            (None, 10, "APP_CALLS_PER_SECOND is missing"),
            (101, 10, "APP_CALLS_PER_SECOND must be from 1 to 100"),
            (100, "ten", "API_CALLS_PER_SECOND must be a whole number"),
            (100, -1, "API_CALLS_PER_SECOND must be a whole number"),
            (21, 10, "APP_CALLS_PER_SECOND (21) must be above 2 x API_CALLS_PER_SECOND (10) + 1"),
        ],
    )
    def test_a_budget_that_leaves_nothing_to_the_worker_is_named(
        self, app: object, api: object, text: str
    ) -> None:
        changed = {"APP_CALLS_PER_SECOND": app, "API_CALLS_PER_SECOND": api}
        assert fault(TIMPUSH_CALLS_PER_SECOND=None, **changed).startswith(text)

    def test_an_unknown_region_is_answered_with_those_there_are(self) -> None:
        assert all(region in fault(TIMPUSH_REGION="atlantis") for region in HOSTS)

    def test_a_share_below_one_call_a_second_names_both_variables(self) -> None:
        text = fault(TIMPUSH_CALLS_PER_SECOND=9, WORKER_CONCURRENCY=10)
        assert "(9, from TIMPUSH_CALLS_PER_SECOND" in text
        assert "WORKER_CONCURRENCY (10)" in text


class TestEndpoint:
    @pytest.mark.parametrize(
        ("region", "host"),
        [
            ("china", "console.tim.qq.com"),
            ("singapore", "adminapisgp.im.qcloud.com"),
            ("seoul", "adminapikr.im.qcloud.com"),
            ("tokyo", "adminapijpn.im.qcloud.com"),
            ("frankfurt", "adminapiger.im.qcloud.com"),
            ("silicon-valley", "adminapiusa.im.qcloud.com"),
            ("jakarta", "adminapiidn.im.qcloud.com"),
        ],
    )
    def test_calls_go_to_the_host_of_the_region(self, region: str, host: str) -> None:
        assert read(TIMPUSH_REGION=region).endpoint_url == f"https://{host}"

    def test_there_are_no_other_regions(self) -> None:
        assert len(HOSTS) == 7

    @pytest.mark.parametrize(
        ("value", "endpoint"),
        [
            ("https://proxy.example", "https://proxy.example"),
            ("https://proxy.example:8443/", "https://proxy.example:8443"),
            ("https://proxy.example/timpush/", "https://proxy.example/timpush"),
            ("https://10.0.0.7", "https://10.0.0.7"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.9.9.9", "http://127.9.9.9"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost:1", "http://localhost:1"),
        ],
    )
    def test_an_endpoint_stands_in_for_the_host_of_the_region(
        self, value: str, endpoint: str
    ) -> None:
        assert read(TIMPUSH_ENDPOINT_URL=value).endpoint_url == endpoint

    def test_the_region_must_be_right_even_so(self) -> None:
        text = fault(TIMPUSH_ENDPOINT_URL="https://proxy.example", TIMPUSH_REGION=None)
        assert text.startswith("TIMPUSH_REGION ")

    @pytest.mark.parametrize(
        "value",
        [
            "http://10.0.0.7",
            "http://169.254.169.254",
            "http://proxy.example",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://0.0.0.0",
            "http://2130706433",
            "http://[::]",
        ],
    )
    def test_plain_http_goes_to_loopback_only(self, value: str) -> None:
        assert "loopback" in fault(TIMPUSH_ENDPOINT_URL=value)

    @pytest.mark.parametrize(
        "value",
        [
            "https://user:secret@proxy.example",
            "https://user@proxy.example",
            "http://127.0.0.1@proxy.example",
            "http://secret@127.0.0.1",
            "http://127.0.0.1\\@secret.example",
            "https://proxy.example?usersig=secret",
            "https://proxy.example/#secret",
            "https://user:se/cret@proxy.example",
            "https://proxy.example:secret",
            "https://proxy.example:0",
            "https://proxy.example:65536",
            "https://secret\u2100.example",
            "https://pro\txy.example",
            "https://pro xy.example",
            "https://proxy.example/a\x00b",
            "https://prøxy.example",
            "https://[::1",
            "https://",
            "https:///timpush",
            "//proxy.example",
            "file:///etc/passwd",
        ],
        ids=ascii,
    )
    def test_what_every_reader_may_not_read_alike_is_refused_and_not_repeated(
        self, value: str
    ) -> None:
        text = fault(TIMPUSH_ENDPOINT_URL=value)
        assert text.startswith("TIMPUSH_ENDPOINT_URL must ")
        assert "cret" not in text


VALUES = st.none() | st.text() | st.sampled_from(["https://h", "http://[", "1", "100", "tokyo"])


class TestAnyEnvironment:
    @given(st.fixed_dictionaries({}, optional=dict.fromkeys(worker_environment(), VALUES)))
    def test_it_is_read_or_refused_by_the_one_error(self, changed: dict[str, str | None]) -> None:
        try:
            settings = read(**changed)
        except SettingsError:
            return
        assert settings.share >= 1
        assert settings.share * settings.concurrency <= settings.calls_per_second <= 100
