"""The 24 steps of an instance's creation, with the clues that prove each of them."""

from __future__ import annotations

from dataclasses import dataclass

# Lines about tokens lack the id of the request that used them: hosts return all of the window.
SIGN_INS = r'"(GET|POST) /v3/auth/tokens[^"]*" status: '
UNITS = ("keystone*", "glance*", "placement*", "nova*", "neutron*", "cinder*")


@dataclass(frozen=True)
class Journal:
    """A clue: a line of a unit whose name starts with `unit`.

    `pattern` is a regular expression with {placeholders} for the ids of the trace. A line counts
    only with one of the request's ids. Lines without ids count by time: `window` is `call` (between
    the client's call and its answer) or `build` (from the call on).
    """

    unit: str
    pattern: str
    says: str
    window: str = ""

    def where(self) -> str:
        """Where to look for the evidence."""
        return f"the journal of {self.unit}* for /{self.pattern}/"


@dataclass(frozen=True)
class Reported:
    """A clue: a fact by its name; `by` says who reports it."""

    fact: str
    by: str

    def where(self) -> str:
        """Where to look for the evidence."""
        return self.by


@dataclass(frozen=True)
class Step:
    """A step of the creation and its clues, the strongest first."""

    number: int
    title: str
    expected: str
    clues: tuple[Journal | Reported, ...] = ()
    needs: str | None = None  # service type in the catalog without which there is no such step


# A request in the logs of uWSGI and the services: "METHOD path" status: NNN
# Most services check tokens through keystoneclient, whose agent does not name the service.
_CHECK = r'"GET /v3/auth/tokens[^"]*" status: 200 .*agent: "(?:{}/|python-keystoneclient)'


def _checked_by(service: str, window: str = "build") -> Journal:
    says = f"keystone was asked to check a token while {service} handled the call"
    return Journal("keystone", _CHECK.format(service), says, window)


_EVENT = Reported("build_event", "nova's list of actions")

STEPS: tuple[Step, ...] = (
    Step(
        1,
        "the client sends its credentials to keystone",
        "keystone logs a POST of /v3/auth/tokens with the client's request id",
        (
            Journal("keystone", r'"POST /v3/auth/tokens" status: 201 ', "POST /v3/auth/tokens 201"),
            Reported("token", "keystone's answer"),
        ),
    ),
    Step(
        2,
        "keystone checks them, answers with a token and the catalog",
        "the answer holds a token of the user for the project, and a catalog",
        (Reported("token", "keystone's answer"),),
    ),
    Step(
        3,
        "the client asks nova-api for an instance, with the token",
        "nova-api logs a POST of /servers with the client's request id",
        (
            Journal("nova", r'"POST /v2.1/servers" status: 202 ', "POST /v2.1/servers 202"),
            Reported("accepted", "nova-api's answer"),
        ),
    ),
    Step(
        4,
        "nova-api asks keystone whether the token is good",
        "keystone logs a token check while nova-api handles the call",
        (_checked_by("nova", "call"),),
    ),
    Step(
        5,
        "keystone answers with user, project and roles",
        "nova-api acts for the user and project of the token, which only keystone could tell it",
        (
            Journal(
                "nova",
                r'{user} {project} .*"POST /v2.1/servers" status: 202 ',
                "nova-api logs the request as of this user and project",
            ),
            Reported("owner", "nova-api's answer"),
        ),
    ),
    Step(
        6,
        "nova-api writes the instance's first record to the database",
        "the request is accepted with the id of a new instance",
        (Reported("accepted", "nova-api's answer"),),
    ),
    Step(
        7,
        "the database has it: the instance is being built",
        "nova-api reads the record back",
        (Reported("record", "nova-api's answer"),),
    ),
    Step(
        8,
        "nova-api passes the request to nova-conductor through RabbitMQ",
        "nova-conductor works on this request id: the action is its record",
        (Reported("action", "nova's list of actions"),),
    ),
    Step(
        9,
        "nova-scheduler takes the request for a host from its queue",
        "nova-scheduler logs that it begins, or asks placement for candidates",
        (
            Journal(
                "nova-scheduler",
                r"Starting to schedule for instances: .*{server}",
                "Starting to schedule",
            ),
            Journal("placement", r'"GET /allocation_candidates', "asked placement for candidates"),
        ),
    ),
    Step(
        10,
        "nova-scheduler reads the hosts' state, filters and weighs them",
        "nova-scheduler logs the weighed hosts, or placement answers with candidates",
        (
            Journal("nova-scheduler", r"Weighed \[", ""),
            Journal(
                "placement",
                r'"GET /allocation_candidates[^"]*" status: 200 ',
                "placement answered with candidates",
            ),
        ),
    ),
    Step(
        11,
        "a host is chosen, its resources are claimed in placement",
        "placement holds an allocation for the instance",
        (
            Journal(
                "placement", r'"PUT /allocations/{server}" status: 204 ', "PUT /allocations/… 204"
            ),
            Reported("allocation", "placement's answer"),
        ),
    ),
    Step(
        12,
        "nova-conductor sends the build to the chosen host's nova-compute",
        "nova-conductor logs the selected host, or nova-compute got its message",
        (Journal("nova-conductor", r"Selected host: {host}; ", "Selected host"), _EVENT),
    ),
    Step(
        13,
        "nova-compute takes the message from its queue",
        "nova-compute logs this request id",
        (Journal("nova-compute", r"", ""),),
    ),
    Step(
        14,
        "nova-compute asks nova-conductor for the instance",
        "the build is an event of the action: nova-compute has no other way to record it",
        (
            Journal(
                "nova-conductor",
                r"method: object_(class_)?action",
                "nova-conductor answered nova-compute's call",
            ),
            _EVENT,
        ),
    ),
    Step(
        15,
        "nova-conductor takes the call from the queue",
        "the build is an event of the action: nova-conductor recorded it",
        (
            Journal(
                "nova-conductor",
                r"Replied success message .*method: object_",
                "nova-conductor served nova-compute's call",
            ),
            _EVENT,
        ),
    ),
    Step(
        16,
        "nova-conductor reads the database",
        "the database has the instance's flavor",
        (Reported("flavor", "nova-api's answer"),),
    ),
    Step(
        17,
        "nova-conductor answers with memory, processors and disk",
        "nova-compute claims them on its host",
        (Journal("nova-compute", r"{server}\] Claim successful on node", "Claim successful"),),
    ),
    Step(
        18,
        "nova-compute asks glance for the image, with the user's token",
        "glance logs a GET of the image with this request id",
        (Journal("glance", r'"GET /v2/images/{image}', "GET of the image"),),
    ),
    Step(
        19,
        "glance has the token checked and gives the image",
        "keystone logs glance's token check, or glance gives out an image private to the project",
        (
            _checked_by("glance"),
            Journal(
                "glance",
                r'"GET /v2/images/{image}/file" status: 200 ',
                "gave the project's private image (the token's check was still cached)",
            ),
        ),
    ),
    Step(
        20,
        "nova-compute asks neutron for a port",
        "neutron logs a POST of /v2.0/ports with this request id",
        (Journal("neutron", r'"POST /v2.0/ports[^"]*" status: 201 ', "POST /v2.0/ports 201"),),
    ),
    Step(
        21,
        "neutron has the token checked, binds the port to the host, DHCP is ready",
        "the port is active on the instance's host",
        (Reported("port", "neutron's answer"),),
    ),
    Step(
        22,
        "nova-compute asks cinder for the volume",
        "cinder logs a PUT of the attachment, with the host's connector, with this request id",
        (
            Journal(
                "cinder-api", r'"PUT /v3/[^"]*attachments/[^"]*" status: 200 ', "gave its connector"
            ),
        ),
        needs="block-storage",
    ),
    Step(
        23,
        "cinder has the token checked and gives the connection",
        "cinder logs with this request id that the connection it gave is in use",
        (
            Journal(
                "cinder-api",
                r'"POST /v3/[^"]*attachments/[^"]*/action" status: 204 ',
                "the connection it gave is in use",
            ),
        ),
        needs="block-storage",
    ),
    Step(
        24,
        "nova-compute has libvirt start the instance",
        "libvirt on the host runs a domain with the instance's id",
        (Reported("domain", "libvirt"),),
    ),
)
