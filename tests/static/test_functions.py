"""Functions: runtime, environment, logs and the layer."""

from typing import Any

import pytest

from template.reading import allowed, functions, of_type, properties
from template.translate import TEMPLATES, Template, load
from timpush.settings import read_settings
from timpush.tencent.regions import HOSTS

POWERTOOLS = {
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_LOG_LEVEL",
}


class Recorder(dict[str, str]):
    """An environment that remembers what was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)


@pytest.fixture
def variables(translated: Template) -> dict[str, Any]:
    found: dict[str, Any] = properties(translated, "RemoveTagsWorker")["Environment"]["Variables"]
    return found


def test_functions_run_on_the_same_runtime(application: Template) -> None:
    for function in of_type(application, "AWS::Lambda::Function").values():
        assert function["Properties"]["Runtime"] == "python3.13"
        assert function["Properties"]["Architectures"] == ["arm64"]


@pytest.mark.parametrize("name", ["template", "jobs"])
def test_each_function_ships_as_the_package_that_its_folder_is(name: str) -> None:
    """The steps of jobs are one package, and a module each; others have theirs in `app`."""
    path = TEMPLATES[name]
    for code, handler in functions(load(path)).values():
        folder = path.parent / code
        package, module, function = handler.split(".")
        assert (package, function) == (folder.name, "lambda_handler")
        assert (module == "app") == (package != "jobs")
        assert (folder / f"{module}.py").is_file()


def test_functions_share_one_layer_for_their_runtime(translated: Template, jobs: Template) -> None:
    ((name, layer),) = of_type(translated, "AWS::Lambda::LayerVersion").items()
    assert layer["Properties"]["CompatibleRuntimes"] == ["python3.13"]
    assert layer["Properties"]["CompatibleArchitectures"] == ["arm64"]
    for function in of_type(translated, "AWS::Lambda::Function").values():
        assert function["Properties"]["Layers"] == [{"Ref": name}]
    for function in of_type(jobs, "AWS::Lambda::Function").values():
        assert function["Properties"]["Layers"] == [{"Ref": "LayerArn"}]
    given = properties(translated, "Jobs")["Parameters"]
    assert given["LayerArn"] == {"Ref": name}


def test_functions_log_to_groups_of_their_own_with_a_retention(application: Template) -> None:
    groups = of_type(application, "AWS::Logs::LogGroup")
    logging = [
        one["Properties"]["LoggingConfig"]
        for one in of_type(application, "AWS::Lambda::Function").values()
    ]
    used = [one["LogGroup"]["Ref"] for one in logging]
    assert set(used) <= set(groups)
    assert len(set(used)) == len(used)
    for group in groups.values():
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_worker_gets_the_variables_that_its_code_reads_and_no_others(
    variables: dict[str, Any],
) -> None:
    environment = Recorder(
        {
            "TIMPUSH_REGION": "singapore",
            "TIMPUSH_SECRET_ID": "secret",
            "APP_CALLS_PER_SECOND": "100",
            "WORKER_CONCURRENCY": "4",
            "QUEUE_URL": "https://sqs.example/queue",
            "DEAD_LETTER_QUEUE_URL": "https://sqs.example/dead-letter-queue",
        }
    )
    read_settings(environment)
    # TIMPUSH_CALLS_PER_SECOND is for runs outside the stack: there the budget is said outright.
    assert set(variables) - POWERTOOLS == environment.names - {"TIMPUSH_CALLS_PER_SECOND"}
    assert set(variables) >= POWERTOOLS


def test_variables_hold_what_their_names_say(variables: dict[str, Any]) -> None:
    assert variables == {
        "TIMPUSH_REGION": {"Ref": "TimPushRegion"},
        "TIMPUSH_ENDPOINT_URL": {"Ref": "EndpointUrl"},
        "TIMPUSH_SECRET_ID": {
            "Fn::If": ["CreateSecret", {"Ref": "UserSigSecret"}, {"Ref": "SecretArn"}]
        },
        "APP_CALLS_PER_SECOND": {"Ref": "AppCallsPerSecond"},
        "API_CALLS_PER_SECOND": {"Ref": "ApiCallsPerSecond"},
        "WORKER_CONCURRENCY": {"Ref": "WorkerConcurrency"},
        "RETRY_BASE_SECONDS": {"Ref": "RetryBaseSeconds"},
        "RETRY_CAP_SECONDS": {"Ref": "RetryCapSeconds"},
        "QUEUE_URL": {"Ref": "RemoveTagsQueue"},
        "DEAD_LETTER_QUEUE_URL": {"Ref": "RemoveTagsDeadLetterQueue"},
        "JOBS_TABLE": {"Ref": "JobsTable"},
        "HASH_ACCOUNTS_IN_LOGS": {"Ref": "HashAccountsInLogs"},
        "POWERTOOLS_SERVICE_NAME": {"Ref": "AWS::StackName"},
        "POWERTOOLS_METRICS_NAMESPACE": "TimPushRemoveTag",
        "POWERTOOLS_LOG_LEVEL": {"Ref": "LogLevel"},
    }


def test_regions_are_those_of_the_code(translated: Template) -> None:
    assert allowed(translated, "TimPushRegion") == list(HOSTS)


def test_defaults_are_settings_that_the_code_takes(translated: Template) -> None:
    default = {name: str(one["Default"]) for name, one in translated["Parameters"].items()}
    settings = read_settings(
        {
            "TIMPUSH_REGION": default["TimPushRegion"],
            "TIMPUSH_ENDPOINT_URL": default["EndpointUrl"],
            "TIMPUSH_SECRET_ID": "secret",
            "APP_CALLS_PER_SECOND": default["AppCallsPerSecond"],
            "API_CALLS_PER_SECOND": default["ApiCallsPerSecond"],
            "WORKER_CONCURRENCY": default["WorkerConcurrency"],
            "QUEUE_URL": "https://sqs.example/queue",
            "DEAD_LETTER_QUEUE_URL": "https://sqs.example/dead-letter-queue",
            "HASH_ACCOUNTS_IN_LOGS": default["HashAccountsInLogs"],
        }
    )
    assert settings.share == 26
    assert settings.hash_accounts
