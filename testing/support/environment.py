"""Environment variables of the functions, as the template sets them."""


def worker_environment(**changed: object) -> dict[str, str]:
    """The worker's variables; those in `changed` are set so, or left out when None."""
    variables: dict[str, object] = {
        "TIMPUSH_REGION": "singapore",
        "TIMPUSH_SECRET_ID": "timpush-usersig",
        "TIMPUSH_CALLS_PER_SECOND": 96,
        "WORKER_CONCURRENCY": 4,
        "QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/queue",
        "DEAD_LETTER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/dead-letter",
    }
    return {name: str(value) for name, value in (variables | changed).items() if value is not None}
