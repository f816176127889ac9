"""`python -m reliability.aws_server`: SQS and Secrets Manager of moto on 127.0.0.1, until SIGTERM.

One request at a time: moto's queues are lists that requests at the same moment would spoil.
"""

import logging
import signal
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_at_a_time(environment: Any, start_response: Any) -> Iterable[bytes]:
        with lock:
            return list(application(environment, start_response))

    server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
