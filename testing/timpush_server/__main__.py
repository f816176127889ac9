"""`python -m timpush_server`: serve until SIGTERM or SIGINT."""

import argparse
import gc
import signal
import threading

from timpush_server.server import TimPushServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="timpush_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--calls-per-second", type=int, default=100, help="0: no limit")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each call")
    options = parser.parse_args()
    # Collecting garbage among 100,000s of accounts would stop every call for 0.1 s, and calls that
    # come at an even pace would be counted as a burst. Little of it lies in cycles.
    gc.disable()
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
