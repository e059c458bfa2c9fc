"""What every OpenStack service configures alike: derived sections of its oslo INI files.

A service description says in a word what a file needs (`oslo: {messaging: true, …}`); the
functions here turn that word into sections. They are pure: plain data in, plain data out.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..site.addresses import addresses
from . import dialects
from .ini import OsloError, Sections

CA_FILE = "/etc/ssl/certs/cairn-ca.pem"
AMQP_PORT = 5671
KEYSTONE_PORT = 5000
MEMCACHED_PORT = 11211
SERVICE_PROJECT = "service"
DOMAIN = "Default"
NOTIFIED = "ceilometer"
"""The service that notifications are for."""
RPC_THREADS = 16
"""Messages that a process works on at once. Upstream's 64 was meant for green threads. The pools of
futurist add a thread with every message until they are full, lose none, and each idle thread wakes
up once a second (futurist/_thread.py: MAX_IDLE_FOR)."""


# -- addresses ------------------------------------------------------------------------------------


def bracketed(host: str) -> str:
    """Return `host` as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def service_url(site: Mapping[str, Any], port: int, path: str = "") -> str:
    """Return the internal URL of the API behind the load balancer at `port`."""
    return f"https://{bracketed(site['names']['internal'])}:{port}{path}"


def secret(secrets: Mapping[str, str], name: str) -> str:
    """Return a secret by name; its absence is an error that tells how to mend it."""
    if name not in secrets:
        raise OsloError(f"secret {name} is missing; `make secrets` adds what is missing")
    return dialects.write(name, str, secrets)


def literal(secrets: Mapping[str, str], name: str) -> str:
    """Return a secret as an option's whole value that oslo.config reads back as it is."""
    return dialects.write(name, dialects.oslo, {name: secret(secrets, name)})


# -- derived sections -----------------------------------------------------------------------------


def section_database(
    schema: str, *, role: str, site: Mapping[str, Any], secrets: Mapping[str, str]
) -> dict[str, Any]:
    """Return the options of one database section: `schema` over TLS, server verified.

    Pools are small: each process has one, and MariaDB's connections are shared by the whole site.
    A load balancer drops idle connections, so they are renewed before that.
    """
    user, password = quote(role, safe=""), quote(secret(secrets, f"database_{role}"), safe="")
    host = bracketed(site["names"]["internal"])
    return {
        "connection": f"mysql+pymysql://{user}:{password}@{host}/{schema}"
        f"?charset=utf8mb4&ssl_ca={CA_FILE}",
        "connection_recycle_time": 280,
        "max_pool_size": 5,
        "max_overflow": 20,
        "max_retries": -1,
    }


def sections_messaging(
    parameters: Mapping[str, Any],
    *,
    role: str,
    site: Mapping[str, Any],
    secrets: Mapping[str, str],
) -> Sections:
    """Return what RPC and notifications over RabbitMQ need: every broker, TLS, replicated queues.

    `parameters`: `notifications`: whether notifications are sent; by default where ceilometer is
    deployed. They go to ceilometer's virtual host, in which every service may write its own (see
    `notification_grant`), so that what nobody fetches stands in no other service's way.
    `threads` (RPC_THREADS): messages that a process works on at once.

    Stream queues, which carry the fanouts, refuse a consumer without a prefetch limit. The queue
    manager shares a file between processes of different users, so it stays off.
    """
    login = f"{quote(role, safe='')}:{quote(secret(secrets, f'queue_{role}'), safe='')}"
    brokers = ",".join(
        f"{login}@{bracketed(address)}:{AMQP_PORT}"
        for address in addresses(site, group="controller")
    )
    notifications: dict[str, Any] = {"driver": "noop"}
    if parameters.get("notifications", notified(site)):
        notifications = {
            "driver": "messagingv2",
            "transport_url": f"rabbit://{brokers}//{NOTIFIED}",
            # Without an end to it, a lost broker would hold up what is notified about.
            "retry": 2,
        }
    return {
        "DEFAULT": {
            "transport_url": f"rabbit://{brokers}//{quote(role, safe='')}",
            "control_exchange": role,
            "executor_thread_pool_size": parameters.get("threads", RPC_THREADS),
        },
        "oslo_messaging_rabbit": {
            "ssl": True,
            "ssl_ca_file": CA_FILE,
            "rabbit_quorum_queue": True,
            "rabbit_transient_quorum_queue": True,
            "rabbit_stream_fanout": True,
            "rabbit_qos_prefetch_count": 10,
            "use_queue_manager": False,
            "heartbeat_timeout_threshold": 60,
            "heartbeat_rate": 3,
        },
        "oslo_messaging_notifications": notifications,
    }


def notified(site: Mapping[str, Any]) -> bool:
    """Whether the site has someone to send notifications to."""
    return NOTIFIED in site.get("services", [])


def notification_grant(role: str) -> dict[str, str]:
    """Return the permissions with which `role` sends notifications, and can read nobody's.

    A sender makes its exchange (control_exchange) and the queues `notifications.<priority>`, and
    binds these to it, for which it must be allowed to read the exchange.
    """
    exchange = re.escape(role)
    both = rf"^({exchange}|notifications\.[a-z]+)$"
    return {
        "vhost": f"/{NOTIFIED}",
        "configure": both,
        "write": both,
        "read": rf"^{exchange}$",
    }


def section_credentials(
    user: str, *, site: Mapping[str, Any], secrets: Mapping[str, str]
) -> dict[str, Any]:
    """Return the keystoneauth options with which service user `user` gets its tokens."""
    return {
        "auth_type": "password",
        "auth_url": service_url(site, KEYSTONE_PORT),
        "username": user,
        "password": literal(secrets, f"service_{user}"),
        "user_domain_name": DOMAIN,
        "project_name": SERVICE_PROJECT,
        "project_domain_name": DOMAIN,
        "cafile": CA_FILE,
    }


def section_authtoken(
    parameters: Mapping[str, Any],
    *,
    role: str,
    site: Mapping[str, Any],
    secrets: Mapping[str, str],
) -> dict[str, Any]:
    """Return the options of keystonemiddleware: who validates a token, and the shared cache.

    `parameters`: `service_type` (none): what tokens with access rules are checked against.

    memcached speaks plain text on the management plane, so tokens are encrypted in it: with a key
    for each service, so that none can plant tokens for another.

    Keystone is given up after 30 s (`http_connect_timeout`, seconds, which keystonemiddleware
    applies to the answer too) and asked again. Without it an answer that a lost controller owed is
    waited for until keystoneauth's own probes, a minute later, and every other request behind it.
    It is more than the load balancer needs to leave a lost controller.
    """
    master = secret(secrets, "memcache_secret_key").encode()
    public = bracketed(site["names"]["public"])
    options = section_credentials(role, site=site, secrets=secrets) | {
        "www_authenticate_uri": f"https://{public}:{KEYSTONE_PORT}",
        "region_name": site["region"],
        "interface": "internal",
        "http_connect_timeout": 30,
        "memcached_servers": memcached_servers(site),
        "memcache_security_strategy": "ENCRYPT",
        "memcache_secret_key": hmac.new(master, role.encode(), "sha256").hexdigest(),
        "service_token_roles": "service",
        "service_token_roles_required": True,
    }
    if "service_type" in parameters:
        options["service_type"] = parameters["service_type"]
    return options


def section_client(
    parameters: str | Mapping[str, Any],
    *,
    site: Mapping[str, Any],
    secrets: Mapping[str, str],
) -> dict[str, Any]:
    """Return the options with which a service calls another one's internal API.

    `parameters` is the service user, or `{user, adapter}`: `user` null when the caller's own token
    is passed on, `adapter` names how the section says region and interface: `keystoneauth`
    (region_name, valid_interfaces; default), `endpoint_type` (neutron's own) or null (not at all).
    """
    wanted = {"user": parameters} if isinstance(parameters, str) else dict(parameters)
    user = wanted.get("user")
    options: dict[str, Any] = (
        section_credentials(user, site=site, secrets=secrets) if user else {"cafile": CA_FILE}
    )
    adapter = wanted.get("adapter", "keystoneauth")
    if adapter == "keystoneauth":
        options |= {"region_name": site["region"], "valid_interfaces": "internal"}
    elif adapter == "endpoint_type":
        options |= {"region_name": site["region"], "endpoint_type": "internal"}
    elif adapter is not None:
        raise OsloError(f"client adapter {adapter}: know keystoneauth, endpoint_type and null")
    return options


def section_cache(site: Mapping[str, Any]) -> dict[str, Any]:
    """Return oslo.cache's options: every controller's memcached, through a pool."""
    return {
        "enabled": True,
        "backend": "oslo_cache.memcache_pool",
        "memcache_servers": memcached_servers(site),
    }


def section_concurrency(role: str) -> dict[str, Any]:
    """Return where a service's external locks lie."""
    return {"lock_path": f"/var/lib/{role}/lock"}


def memcached_servers(site: Mapping[str, Any]) -> list[str]:
    """Return address:port of every memcached."""
    return [
        f"{bracketed(address)}:{MEMCACHED_PORT}" for address in addresses(site, group="controller")
    ]


KNOWN = ("database", "messaging", "authtoken", "clients", "privsep", "cache", "concurrency")


def derive(
    oslo: Mapping[str, Any],
    *,
    role: str,
    site: Mapping[str, Any],
    secrets: Mapping[str, str],
) -> Sections:
    """Return the sections that `oslo`, a word per need, stands for in one file of `role`.

    `site` is cairn_site, `secrets` cairn_secrets. Every file logs to standard error and thereby to
    the journal. `privsep` makes no section: oslo's own command suits where sudo is the root helper;
    see `sudoers`. Raises OsloError for an unknown word.
    """
    unknown = sorted(set(oslo) - set(KNOWN))
    if unknown:
        raise OsloError(f"{role}: unknown in oslo: {', '.join(unknown)}; know {', '.join(KNOWN)}")
    sections: Sections = {"DEFAULT": {"use_stderr": True}}

    def add(more: Mapping[str, Mapping[str, Any]]) -> None:
        for name, options in more.items():
            sections.setdefault(name, {}).update(options)

    for section, schema in (oslo.get("database") or {}).items():
        add({section: section_database(schema, role=role, site=site, secrets=secrets)})
    if oslo.get("messaging"):
        words = _parameters(oslo["messaging"])
        add(sections_messaging(words, role=role, site=site, secrets=secrets))
    if oslo.get("authtoken"):
        words = _parameters(oslo["authtoken"])
        options = section_authtoken(words, role=role, site=site, secrets=secrets)
        add({"keystone_authtoken": options})
    for section, client in (oslo.get("clients") or {}).items():
        add({section: section_client(client, site=site, secrets=secrets)})
    if oslo.get("cache"):
        add({"cache": section_cache(site)})
    if oslo.get("concurrency"):
        add({"oslo_concurrency": section_concurrency(role)})
    return sections


def sudoers(user: str, venv: str) -> str:
    """Return the sudoers file that lets `user` start privsep daemons of `venv`, and nothing else.

    The arguments are a regular expression (sudo 1.9.10): configuration from /etc/<user> only.
    """
    arguments = (
        rf"^(--config-file /etc/{user}/[A-Za-z0-9_.-]+ )+--privsep_context [A-Za-z0-9_.]+"
        r" --privsep_sock_path /[A-Za-z0-9_/.-]+/privsep\.sock$"
    )
    path = f"{venv}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return (
        f"Defaults:{user} !requiretty\n"
        f'Defaults:{user} secure_path="{path}"\n'
        f"{user} ALL = (root) NOPASSWD: {venv}/bin/privsep-helper {arguments}\n"
    )


def _parameters(word: Any) -> Mapping[str, Any]:
    return word if isinstance(word, Mapping) else {}


# -- INI ------------------------------------------------------------------------------------------
