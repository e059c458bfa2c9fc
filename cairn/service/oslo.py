"""Common sections of the INI files of OpenStack's services.

A service description names what a file needs (`oslo: {messaging: true, …}`), and these functions
derive the sections. They are pure: plain data in, plain data out.
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
"""The service that receives notifications."""
RPC_THREADS = 16
"""Messages that a process handles in parallel. Upstream uses 64, for green threads. Futurist's
pools add a thread with every message until they are full, never remove one, and each idle thread
wakes up once a second (futurist/_thread.py: MAX_IDLE_FOR)."""


# -- addresses ------------------------------------------------------------------------------------


def bracketed(host: str) -> str:
    """Return `host` for a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def service_url(site: Mapping[str, Any], port: int, path: str = "") -> str:
    """Return the internal URL of the API behind the load balancer at `port`."""
    return f"https://{bracketed(site['names']['internal'])}:{port}{path}"


def secret(secrets: Mapping[str, str], name: str) -> str:
    """Return a secret by name; OsloError if it is missing."""
    if name not in secrets:
        raise OsloError(f"secret {name} is missing; add missing secrets with: make secrets")
    return dialects.write(name, str, secrets)


def literal(secrets: Mapping[str, str], name: str) -> str:
    """Return a secret as an option's whole value, escaped for oslo.config."""
    return dialects.write(name, dialects.oslo, {name: secret(secrets, name)})


# -- derived sections -----------------------------------------------------------------------------


def section_database(
    schema: str, *, role: str, site: Mapping[str, Any], secrets: Mapping[str, str]
) -> dict[str, Any]:
    """Return the options of one database section: `schema` over TLS, with the server verified.

    Pools are small: each process has one, and the whole site shares MariaDB's connections.
    Connections are renewed before the load balancer drops them as idle.
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
    """Return the sections for RPC and notifications: all brokers, TLS, replicated queues.

    `parameters`: `notifications`: whether notifications are sent; by default if ceilometer is
    deployed. They go to ceilometer's virtual host, in which every service can write (see
    `notification_grant`), so that unread notifications do not affect other services.
    `threads` (RPC_THREADS): messages that a process handles in parallel.

    Stream queues, used for fanouts, require consumers with a prefetch limit. The queue manager
    shares a file between processes of different users, so it is disabled.
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
            # Otherwise a failed broker would block the operation that sends the notification.
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
    """Whether the site has a receiver of notifications."""
    return NOTIFIED in site.get("services", [])


def notification_grant(role: str) -> dict[str, str]:
    """Return the permissions with which `role` can send notifications, and read none.

    A sender declares its exchange (control_exchange) and the queues `notifications.<priority>`, and
    binds them, which requires permission to read the exchange.
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
    """Return the keystoneauth options of the service user `user`."""
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
    """Return the options of keystonemiddleware: token validation and the shared cache.

    `parameters`: `service_type` (none): the service type that access rules of tokens refer to.

    memcached uses plain text on the management plane, so tokens in it are encrypted, with a key per
    service, so that no service can plant tokens for another.

    Requests to keystone time out after 30 s (`http_connect_timeout`, which keystonemiddleware also
    applies to the answer) and are repeated. Otherwise a request to a failed controller blocks until
    the TCP probes of keystoneauth fail a minute later, and all other requests behind it. 30 s are
    more than the load balancer needs to detect a failed controller.
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
    """Return the options with which a service calls another service's internal API.

    `parameters` is the service user, or `{user, adapter}`: `user` is null if the caller's token is
    passed on, `adapter` is the form of region and interface: `keystoneauth` (region_name,
    valid_interfaces; default), `endpoint_type` (neutron's) or null (none).
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
        raise OsloError(
            f"unknown client adapter {adapter}; use keystoneauth, endpoint_type or null"
        )
    return options


def section_cache(site: Mapping[str, Any]) -> dict[str, Any]:
    """Return oslo.cache's options: every controller's memcached, through a pool."""
    return {
        "enabled": True,
        "backend": "oslo_cache.memcache_pool",
        "memcache_servers": memcached_servers(site),
    }


def section_concurrency(role: str) -> dict[str, Any]:
    """Return the folder of a service's external locks."""
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
    """Return the sections for the keys of `oslo` in one file of `role`.

    `site` is cairn_site, `secrets` cairn_secrets. Every file logs to standard error and thus to the
    journal. `privsep` has no section: oslo's default command fits sudo, see `sudoers`. Raises
    OsloError for an unknown key.
    """
    unknown = sorted(set(oslo) - set(KNOWN))
    if unknown:
        raise OsloError(
            f"{role}: unknown key in oslo: {', '.join(unknown)}; known are {', '.join(KNOWN)}"
        )
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
    """Return the sudoers file that allows `user` to start privsep daemons of `venv` only.

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
