"""`python -m timpush_server`: serve until SIGTERM or SIGINT."""

import argparse
import signal
import threading

from timpush_server.server import TimPushServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="timpush_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--calls-per-second", type=int, default=100, help="0: no limit")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each call")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with TimPushServer(
        port=options.port,
        calls_per_second=options.calls_per_second or None,
        latency=options.latency,
    ) as server:
        print(f"listening on {server.url}", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
