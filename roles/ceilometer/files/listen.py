"""Print the meters or events that ceilometer publishes on the message queue.

Run it as the user ceilometer with the Python of ceilometer's virtualenv:

    listen.py [--events] [--resource ID] [--count N] [--seconds S]

It prints one line of JSON per meter (or event). It uses an exclusive queue of its own, so other
consumers lose nothing. Exit code 1: fewer than N arrived within S seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import kombu
import oslo_messaging
from oslo_config import cfg

CONFIGURATION = "/etc/ceilometer/ceilometer.conf"
TOPICS = {False: "metering.sample", True: "event.sample"}


def connection(conf: cfg.ConfigOpts) -> kombu.Connection:
    """Connect to the brokers in the configuration's transport_url."""
    oslo_messaging.get_notification_transport(conf)  # registers the options that are read here
    url = oslo_messaging.TransportURL.parse(conf)
    hosts = [
        f"pyamqp://{host.username}:{host.password}@"
        f"{f'[{host.hostname}]' if ':' in host.hostname else host.hostname}:{host.port}/"
        for host in url.hosts
    ]
    return kombu.Connection(
        hosts[0],
        alternates=hosts[1:],
        virtual_host=url.virtual_host,
        ssl={"ca_certs": conf.oslo_messaging_rabbit.ssl_ca_file},
        failover_strategy="round-robin",
    )


def published(body: Any) -> list[dict[str, Any]]:
    """Return the meters or events in a message of oslo.messaging."""
    message = json.loads(body) if isinstance(body, (str, bytes)) else body
    if "oslo.message" in message:
        message = json.loads(message["oslo.message"])
    payload = message["payload"]
    return payload if isinstance(payload, list) else [payload]


def belongs(one: dict[str, Any], resource: str | None) -> bool:
    """Return whether a meter or event belongs to the resource; to any if it is None."""
    if resource is None or one.get("resource_id") == resource:
        return True
    return any(trait[2] == resource for trait in one.get("traits", []))


def listen(conf: cfg.ConfigOpts, topic: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield what is published during the given number of seconds."""
    heard: list[dict[str, Any]] = []
    deadline = time.monotonic() + seconds
    with connection(conf) as broker:
        broker.ensure_connection(max_retries=3)
        exchange = kombu.Exchange("ceilometer", type="topic", durable=False, passive=True)
        # Exclusive: RabbitMQ removes it with the connection.
        queue = kombu.Queue("", exchange, routing_key=topic, exclusive=True, durable=False)
        with broker.Consumer(
            queue, callbacks=[lambda body, _: heard.extend(published(body))], no_ack=True
        ):
            while (left := deadline - time.monotonic()) > 0:
                try:
                    broker.drain_events(timeout=min(left, 1))
                except TimeoutError:
                    continue
                yield from heard
                heard.clear()


def main() -> int:
    """Print meters or events; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", action="store_true", help="events instead of meters")
    parser.add_argument("--resource", help="only this resource")
    parser.add_argument("--count", type=int, default=0, help="stop after this number")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after this time")
    wanted = parser.parse_args()
    conf = cfg.ConfigOpts()
    conf(["--config-file", CONFIGURATION], project="ceilometer")
    found = 0
    for one in listen(conf, TOPICS[wanted.events], wanted.seconds):
        if not belongs(one, wanted.resource):
            continue
        print(json.dumps(one, sort_keys=True), flush=True)
        found += 1
        if found == wanted.count:
            return 0
    if found < wanted.count:
        print(f"{found} of {wanted.count} came in {wanted.seconds:.0f} s", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
