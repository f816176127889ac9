"""The least processor time with the calls: read the bodies, make calls of 100 users, evenly spaced.

No message is settled, nothing is checked, retried or logged; one thread waits for each reply.
"""

import json
import time
from typing import Any

from benchmarks.peers.batch_processor import remove

USERS = 100
SECONDS = 1 / 100


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    del context
    users = [user for record in event["Records"] for user in json.loads(record["body"])["UserTags"]]
    for start in range(0, len(users), USERS):
        time.sleep(SECONDS)
        remove({"UserTags": users[start : start + USERS]})
    return {"batchItemFailures": []}
