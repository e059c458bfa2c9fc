"""Secrets of any characters reach every file unharmed, or preflight refuses them.

A first rendering with plain secrets (canaries) finds out which file holds which secret and where.
All of these places are then read back with the parser of the program that reads the file, from
renderings with secrets of other characters. A file that nothing here reads fails the test.
"""

from __future__ import annotations

import ast
import base64
import configparser
import contextlib
import json
import re
import string
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oslo_config import cfg

from cairn.errors import DescriptionError
from cairn.service import dialects, oslo, registry
from cairn.service.model import Model
from cairn.site.secrets import problems


def steadily(examples: int) -> settings:
    """The same examples in every run, however slow the machine is."""
    return settings(
        max_examples=examples,
        derandomize=True,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


PUBLIC = {"ca_certificate", "ca_key"}  # PEM texts, which the tests of certificates read
NASTY = [
    "a$b", "$a", "${a}", "$$", "$", "a\\$b", "\\", "a\\", "\\n", "a%b", "%(a)s", "100%%", "%%(a)s",
    "%", "#a", "a #b", ";a", "a;b", "!a", '"', "'", '"a"', "'a'", "''", 'a"b\'c', '"a', "a'",
    " a", "a ", "  ", "\ta", "a\n", "a\nb = c", "\r", "\x00", "\x7f", "\x85", "\u2028", "ü",
    "ß" * 9, "日本", "\U0001f511", "a\xa0", "à", "{{ 1 }}", "{% x %}", "{# x #}", "{{", "00420042",
    "12345678",
    "0x1F", "1e5", "1_000", "1:30", "yes", "No", "true", "null", "~", "2026-01-01", "-", "- a",
    "a: b", "[a]", "{a: b}", "&a", "*a", "!!int 1", "@a", "a@b:c/d?e=f&g;h", "a,b", "|", ">", "`a`",
    "`id`", "$(id)", "--", "=", "a=b", ":", "[x]", "~cairn-secret~ca_key~", "a b", "\ud800",
]  # fmt: skip
ANY = st.one_of(
    st.sampled_from(NASTY),
    st.text(min_size=1, max_size=12),
    st.text(string.punctuation + " a1", min_size=1, max_size=12),
)


# -- what a site has ------------------------------------------------------------------------------

DISKS = [{"name": f"d{n}", "device": f"/dev/vd{letter}"} for n, letter in ((1, "b"), (2, "c"))]
OPTIONAL = tuple(registry.optional(registry.descriptions()))
HOSTS = ("controller1", "controller3", "network1", "compute1", "storage1")


@dataclass(frozen=True)
class Place:
    """Where a file holds a secret: `key` is what the file's reader looks under."""

    host: tuple[int, bool, str]
    role: str
    path: str
    key: Any
    secret: str
    url: bool


@pytest.fixture(scope="module")
def canaries(secrets: dict[str, str]) -> dict[str, str]:
    """Secrets that can be found in any text, in whatever way it is written."""
    named = {name: f"Canary{number:03}Canary" for number, name in enumerate(sorted(secrets))}
    named["heat_auth_encryption_key"] = named["heat_auth_encryption_key"].ljust(32, "x")
    named |= {name: value[6:14] for name, value in named.items() if name.startswith("keepalived_")}
    return named | {name: secrets[name] for name in PUBLIC}


@pytest.fixture(scope="module")
def models(
    make_model: Callable[..., Model], canaries: dict[str, str]
) -> dict[tuple[int, bool, str], Model]:
    """Every kind of host with all services, controllers with none of the optional ones, too."""
    own = {f"storage{n}": {"swift_disks": DISKS, "swift_zone": n} for n in (1, 2, 3)}
    return {
        (controllers, bool(services), name): make_model(
            name,
            controllers=controllers,
            services=services,
            glance_images_shared=True,
            hostvars=own,
            cairn_secrets=canaries,
            **own.get(name, {}),
        )
        for controllers in (1, 3)
        for services in ((), OPTIONAL)
        for name in HOSTS
        if (name != "controller3" or controllers == 3) and (services or "controller" in name)
    }


def files(
    model: Model, values: Mapping[str, str], roles: list[str] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """All files of a host with these secrets; what Jinja has made of descriptions is kept."""
    model.secrets = read_by_ansible(values)
    for role in roles if roles is not None else model.roles():
        model._done.pop(("manifest", role), None)
        for file in (model.manifest(role) or {"files": []})["files"]:
            if "content" in file:
                yield role, file


# -- readers --------------------------------------------------------------------------------------


def read_by_ansible(values: Mapping[str, str]) -> dict[str, Any]:
    """The values as Ansible has them once it has read them from a file."""
    text = yaml.safe_dump(dict(values), allow_unicode=False)
    found: dict[str, Any] = DataLoader().load(text, file_name="/site/secrets.yml")
    assert str not in {type(value) for value in found.values()}
    return found


class Oslo:
    """oslo.config itself, which every service asks."""

    def places(self, text: str) -> dict[Any, str]:
        parser = configparser.RawConfigParser(default_section="none", strict=True)
        parser.read_string(text)
        return {
            (section, option): value
            for section in parser.sections()
            for option, value in parser[section].items()
        }

    def read(self, path: Path, keys: list[Any]) -> dict[Any, str]:
        conf = cfg.ConfigOpts()
        for section, option in keys:
            group = None if section == "DEFAULT" else section
            conf.register_opt(cfg.StrOpt(option), group)
        conf(args=[], default_config_files=[str(path)])
        return {
            (section, option): (conf if section == "DEFAULT" else conf[section])[option]
            for section, option in keys
        }


class Interpolating(Oslo):
    """configparser with interpolation, as Python has it."""

    encoding = "utf-8"

    def parser(self) -> configparser.ConfigParser:
        return configparser.ConfigParser()

    def read(self, path: Path, keys: list[Any]) -> dict[Any, str]:
        parser = self.parser()
        with path.open(encoding=self.encoding) as file:
            parser.read_file(file)
        return {key: parser.get(*key).encode(self.encoding).decode() for key in keys}


class SwiftHash(Interpolating):
    """swift.conf (swift/common/utils/__init__.py: validate_hash_conf)."""

    encoding = "latin-1"


class Swift(Interpolating):
    """Files of Swift's services (swift/common/utils/config.py: NicerInterpolation)."""

    class Interpolation(configparser.BasicInterpolation):
        def before_get(
            self, parser: Any, section: Any, option: Any, value: str, defaults: Any
        ) -> str:
            if "%(" not in value:
                return value
            return str(super().before_get(parser, section, option, value, defaults))

    def parser(self) -> configparser.ConfigParser:
        return configparser.ConfigParser(interpolation=self.Interpolation())


class GlanceStore(Interpolating):
    """Accounts (glance_store/_drivers/swift/utils.py: SwiftConfigParser)."""

    def read(self, path: Path, keys: list[Any]) -> dict[Any, str]:
        return {key: self.unquoted(value) for key, value in super().read(path, keys).items()}

    @staticmethod
    def unquoted(value: str) -> str:
        if value[0] in "\"'":
            assert len(value) > 1 and value[-1] == value[0], "Non-closed quote"
            return value[1:-1]
        return value


class Python:
    """Python's own reading of string literals; Django's settings are such a file."""

    def places(self, text: str) -> dict[Any, str]:
        found = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        return {n: value for n, value in enumerate(found) if isinstance(value, str)}

    def read(self, path: Path, keys: list[Any]) -> dict[Any, str]:
        places = self.places(path.read_text())
        return {key: places[key] for key in keys}


class Words:
    """keepalived's words, no character of which has another meaning (lib/parser.c)."""

    def places(self, text: str) -> dict[Any, str]:
        return {
            (row, column): word
            for row, line in enumerate(text.splitlines())
            for column, word in enumerate(line.split())
        }

    def read(self, path: Path, keys: list[Any]) -> dict[Any, str]:
        places = self.places(path.read_text())
        assert not {places[key][0] for key in keys} & set("!#$@\"'{}~&")
        return {key: places[key] for key in keys}


class Whole:
    """A file that is the secret (kernel's auth.erl: read_cookie)."""

    def places(self, text: str) -> dict[Any, str]:
        return {"all": text}

    def read(self, path: Path, keys: list[Any]) -> dict[Any, str]:
        text = path.read_text()
        assert re.fullmatch(r"[!-~]{1,255}", text)
        return dict.fromkeys(keys, text)


READERS: dict[tuple[str, str], Any] = {
    **dict.fromkeys(
        [
            ("ceilometer", "ceilometer.conf"), ("cinder", "cinder.conf"),
            ("glance", "glance-api.conf"), ("gnocchi", "gnocchi.conf"), ("heat", "heat.conf"),
            ("keystone", "keystone.conf"), ("neutron", "neutron.conf"),
            ("neutron", "neutron_ovn_agent.ini"), ("nova", "nova.conf"),
            ("placement", "placement.conf"), ("swift", "authtoken.conf"),
        ],
        Oslo(),
    ),
    ("glance", "glance-swift.conf"): GlanceStore(),
    ("horizon", "local/local_settings.py"): Python(),
    ("loadbalancer", "/etc/keepalived/keepalived.conf"): Words(),
    ("rabbitmq", "/var/lib/rabbitmq/.erlang.cookie"): Whole(),
    ("swift", "dispersion.conf"): Interpolating(),
    ("swift", "proxy-server.conf"): Swift(),
    ("swift", "swift.conf"): SwiftHash(),
}  # fmt: skip


def password(url: str) -> set[str | None]:
    """The passwords of a URL as SQLAlchemy and oslo.messaging read it; it may have many hosts."""
    logins = urlsplit(url).netloc.split(",")
    return {unquote(login.rpartition("@")[0].partition(":")[2]) for login in logins}


# -- the tests ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def places(models: dict[Any, Model], canaries: dict[str, str]) -> list[Place]:
    """Every place of every file of every kind of host that holds a secret."""
    found = []
    values = {name: value for name, value in canaries.items() if name not in PUBLIC}
    for host, model in models.items():
        for role, file in files(model, canaries):
            held = {name for name, value in values.items() if value in file["content"]}
            if not held:
                continue
            reader = READERS[role, file["path"]]  # who reads this file, which holds a secret?
            seen = set()
            for key, text in reader.places(file["content"]).items():
                for name in held:
                    if values[name] in text:
                        seen.add(name)
                        url = text != values[name]
                        assert not url or password(text) == {values[name]}, (file["path"], key)
                        found.append(Place(host, role, file["path"], key, name, url))
            assert seen == held, (role, file["path"])
    return found


def test_every_secret_that_stands_in_a_file_is_found(
    places: list[Place], canaries: dict[str, str]
) -> None:
    found = {place.secret for place in places}
    # These are the operator's, sent to a server alone, or made a sum of.
    elsewhere = {"keystone_admin", "service_keystone", "memcache_secret_key", *PUBLIC}
    assert found == set(canaries) - elsewhere
    assert {(place.role, place.path) for place in places} == set(READERS)


def test_a_file_with_a_secret_in_another_writing_is_found_too(
    models: dict[Any, Model], canaries: dict[str, str]
) -> None:
    for model in models.values():
        for role, file in files(model, canaries):
            for name in set(canaries) - PUBLIC:
                secret = canaries[name].encode()
                for form in (base64.b64encode(secret)[:-4], secret.hex().encode()):
                    assert form not in file["content"].encode(), (role, file["path"], name)


def check(
    models: dict[Any, Model], places: list[Place], values: Mapping[str, str], folder: Path
) -> None:
    """Render everything with these secrets, and read it back."""
    read: dict[tuple[Any, str, str], dict[Any, str]] = {}
    for host in {place.host for place in places}:
        mine = [place for place in places if place.host == host]
        for role, file in files(models[host], values, sorted({place.role for place in mine})):
            keys = {p.key for p in mine if (p.role, p.path) == (role, file["path"])}
            if keys:
                path = folder / "file"
                path.write_text(file["content"])
                found = READERS[role, file["path"]].read(path, list(keys))
                read[host, role, file["path"]] = found
    for place in places:
        got = read[place.host, place.role, place.path][place.key]
        wanted = values[place.secret]
        assert (password(got) if place.url else {got}) == {wanted}, place


def one_of_each(places: list[Place]) -> list[Place]:
    """A place of each kind: in a file of one name hosts hold a secret in the same way.

    They are of as few hosts as may be. URLs are longer where there are more controllers.
    """
    held = Counter(place.host for place in places)
    kinds = {}
    for place in sorted(places, key=lambda place: held[place.host], reverse=True):
        controllers = place.host[0] if place.url else None
        kind = (controllers, place.role, place.path, place.key, place.secret)
        kinds.setdefault(kind, place)
    return list(kinds.values())


@steadily(12)
@given(data=st.data())
def test_every_file_is_read_back_as_it_was_meant(request: Any, data: st.DataObject) -> None:
    # By their names, for hypothesis prints what it is given.
    models, places, canaries, temporary = map(
        request.getfixturevalue, ("models", "places", "canaries", "tmp_path_factory")
    )
    drawn = {}
    for name in sorted(set(canaries) - PUBLIC):
        value = data.draw(ANY, label=name)
        if name == "heat_auth_encryption_key":
            value = (value * 32)[:32]
        drawn[name] = canaries[name] if problems({name: value}) else value
    values = {**canaries, **drawn}
    check(models, one_of_each(places), values, temporary.getbasetemp())


def cases(dialect: Callable[[str], str]) -> Any:
    """Run a test for many values that a dialect takes; it fails when there are none."""

    def wrap(test: Callable[..., None]) -> Callable[..., None]:
        @steadily(300)
        @given(value=ANY)
        def run(request: Any, value: str) -> None:
            try:
                written = dialect(value)
            except dialects.DialectError as error:
                assert len(value) < 8 or value not in str(error)
                return
            test(value, written, request.getfixturevalue("tmp_path_factory").getbasetemp())

        run.__name__ = test.__name__
        return run

    return wrap


def ini(reader: Any, written: str, folder: Path, section: str = "s") -> str:
    path = folder / "case.ini"
    path.write_text(f"[{section}]\nbefore = 1\nkey = {written}\nafter = 2\n".replace("\x00", ""))
    found = reader.read(path, [(section, "before"), (section, "key"), (section, "after")])
    assert (found[section, "before"], found[section, "after"]) == ("1", "2")
    return str(found[section, "key"])


@cases(dialects.oslo)
def test_oslo_config_reads_back_what_is_written_for_it(value: str, written: str, at: Path) -> None:
    assert ini(Oslo(), written, at) == value


@cases(dialects.configparser)
def test_configparser_reads_back_what_is_written_for_it(value: str, written: str, at: Path) -> None:
    assert ini(Interpolating(), written, at) == value


@cases(dialects.glance_store)
def test_glance_store_reads_back_what_is_written_for_it(value: str, written: str, at: Path) -> None:
    assert ini(GlanceStore(), written, at) == value


@cases(dialects.swift)
def test_swift_reads_back_what_is_written_for_it(value: str, written: str, at: Path) -> None:
    assert ini(Swift(), written, at) == value


@cases(dialects.swift_hash)
def test_swifts_hash_reads_back_what_is_written_for_it(value: str, written: str, at: Path) -> None:
    assert ini(SwiftHash(), written, at) == value


@cases(lambda value: dialects.option("mysql://u:~cairn-secret~x~@h/d", "oslo", {"x": value}))
def test_a_url_in_an_option_is_read_back(value: str, written: str, at: Path) -> None:
    assert password(ini(Oslo(), written, at)) == {value}


@cases(lambda value: dialects.option("http://u:~cairn-secret~x~@h", "configparser", {"x": value}))
def test_a_url_in_an_interpolated_option_is_read_back(value: str, written: str, at: Path) -> None:
    assert password(ini(Interpolating(), written, at)) == {value}


PYTHON = "A = 1\nB = {'c': [\"~cairn-secret~x~\", 'pre ~cairn-secret~x~ post']}\nD = 2  # last\n"
URL = "A = 'redis://u:~cairn-secret~x~@h/1'\n"


@cases(lambda value: dialects.file(PYTHON, "python", {"x": value}, ""))
def test_python_reads_back_what_is_written_for_it(value: str, written: str, _at: Path) -> None:
    names: dict[str, Any] = {}
    exec(written, names)  # noqa: S102
    assert (names["A"], names["D"]) == (1, 2)
    assert names["B"] == {"c": [value, f"pre {value} post"]}


@cases(lambda value: dialects.file(URL, "python", {"x": value}, ""))
def test_a_url_in_python_is_read_back(value: str, written: str, _at: Path) -> None:
    names: dict[str, Any] = {}
    exec(written, names)  # noqa: S102
    assert password(names["A"]) == {value}


@cases(lambda value: dialects.file(YAML, "yaml", {"x": value}, "") if value.isprintable() else "")
def test_yaml_reads_back_what_is_written_for_it(value: str, written: str, _at: Path) -> None:
    if written:
        found = yaml.safe_load(written)
        assert password(found.pop("b")) == {value}
        assert found == {"a": [value, 1], "c": 3}


YAML = "a: [~cairn-secret~x~, 1]\nb: 'http://u:~cairn-secret~x~@h'\nc: 3\n"


@pytest.mark.parametrize("value", [v for v in NASTY if not problems({"keystone_admin": v})])
def test_the_operators_clouds_yaml_is_read_back(
    value: str, root: Path, make_model: Callable[..., Model]
) -> None:
    variables = {
        "ansible_managed": "made",
        "cairn_secrets": read_by_ansible({"keystone_admin": value}),
        "operator_cloud": "cairn",
        "operator_ca_file": "",
        "__operator_site": make_model().site,
    }
    text = (root / "roles/operator/templates/clouds.yaml.j2").read_text()
    made = Templar(variables=variables).template(trust_as_template(text))
    assert yaml.safe_load(made)["clouds"]["cairn"]["auth"]["password"] == value


def test_secrets_stand_in_no_other_text_of_roles_and_playbooks(root: Path) -> None:
    known = {
        *root.glob("roles/*/vars/main.yml"),
        root / "roles/horizon/templates/local_settings.py.j2",
        root / "roles/loadbalancer/templates/keepalived.conf.j2",
        # Tasks write these two.
        root / "roles/operator/templates/clouds.yaml.j2",
        root / "roles/operator/tasks/main.yml",
    }
    texts = [*root.glob("roles/**/*"), *root.glob("playbooks/**/*"), *root.glob("molecule/**/*")]
    holding = {path for path in texts if path.is_file() and b"cairn_secrets" in path.read_bytes()}
    assert holding <= known
    tasks = (root / "roles/operator/tasks/main.yml").read_text()
    assert re.findall(r"cairn_secrets\S*", tasks) == ["cairn_secrets.ca_certificate"]


def test_a_secret_in_a_file_of_unknown_kind_is_refused() -> None:
    with pytest.raises(DescriptionError, match=r"a\.sh: contains secret x; set `dialect`"):
        dialects.file("pw=~cairn-secret~x~", None, {"x": "y"}, "a.sh")


@pytest.mark.parametrize("place", ["environment", "command"])
def test_a_secret_in_a_unit_is_refused(place: str) -> None:
    with pytest.raises(
        DescriptionError, match=r"nova_service: secret x would be readable by everybody"
    ):
        dialects.refuse({"units": [{place: dialects.token("x")}]}, "nova_service")


@pytest.mark.parametrize(
    "value", ["a ~cairn-secret~x~", ["~cairn-secret~x~"], {"a": "~cairn-secret~x~"}]
)
def test_a_secret_within_another_text_is_refused(value: Any) -> None:
    with pytest.raises(DescriptionError, match="secret x must be the whole value"):
        dialects.option(value, "oslo", {"x": "y"})


def test_an_operators_own_option_may_hold_a_secret(make_model: Callable[..., Model]) -> None:
    model = make_model(
        cairn_secrets={**make_model().secrets, "mine": "a$b"},
        keystone_config={
            "keystone.conf": {"ldap": {"password": trust_as_template("{{ cairn_secrets.mine }}")}}
        },
    )
    manifest = model.manifest("keystone")
    assert manifest is not None
    (text,) = [f["content"] for f in manifest["files"] if f["path"] == "keystone.conf"]
    assert "\n[ldap]\npassword = a$$b\n" in text


@pytest.mark.parametrize(
    "name", ["keepalived_public-api", "of the vendor", "größe", "a.2d.b", "x%y", "a'b\"", "~"]
)
def test_a_secret_may_have_any_name(name: str) -> None:
    """The keys of cairn_secrets: those of planes, and the operator's own."""
    secrets = {name: "tiger", "x": "lion"}
    word = dialects.tokens(secrets)[name]
    assert dialects.named(f"{word} {dialects.token('x')}") == sorted(secrets)
    assert dialects.file(f"auth_pass {word}\n", "keepalived", secrets, "f") == "auth_pass tiger\n"
    assert dialects.file(f"A = 'a {word}'\n", "python", secrets, "f") == "A = 'a tiger'\n"
    assert dialects.file(f"a: {word}\n", "yaml", secrets, "f") == 'a: "tiger"\n'
    assert dialects.option(word, "oslo", secrets) == "tiger"
    assert dialects.option(f"http://u:{quote(word, safe='')}@h", "oslo", secrets) == (
        "http://u:tiger@h"
    )


def test_a_plane_of_any_name_has_its_own_password(
    make_model: Callable[..., Model], secrets: dict[str, str]
) -> None:
    model = make_model(
        "controller1", 3, cairn_secrets={**secrets, "keepalived_public-api": "tiger"}
    )
    planes = model.site["planes"]
    planes["public-api"] = planes.pop("service")  # as a site may call it
    for host in model.site["hosts"].values():
        for part in ("addresses", "devices"):
            host[part]["public-api"] = host[part].pop("service")
    manifest = model.manifest("loadbalancer")
    assert manifest is not None
    (text,) = [f["content"] for f in manifest["files"] if f["path"].endswith("keepalived.conf")]
    assert "vrrp_instance public-api {" in text
    assert "auth_pass tiger\n" in text


def test_the_error_on_a_refused_value_says_where_and_why() -> None:
    with pytest.raises(dialects.DialectError) as caught:
        oslo.literal({"service_nova": "word\\$word"}, "service_nova")
    assert "cairn_secrets.service_nova: oslo.config reads" in str(caught.value)
    assert "word" not in str(caught.value).replace("password", "")


# -- the services' own code -----------------------------------------------------------------------


def ask(venv: Path, root: Path, questions: list[list[str]]) -> Any:
    """The answers of ask_service.py in a virtualenv."""
    done = subprocess.run(
        [str(venv / "bin/python"), str(root / "tests/unit/secrets/ask_service.py")],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LETTERS = [*NASTY, *string.punctuation, "x".join(string.punctuation), "x\\$", "%(" * 3 + "%%"]
OWN_CODE: list[tuple[str, str, Callable[[str], str]]] = [
    ("glance", "glance_store", lambda v: f"[s]\nkey = {dialects.glance_store(v)}\n"),
    (
        "swift",
        "swift_paste",
        lambda v: f"[filter:s]\nuse=egg:swift#tempurl\nkey={dialects.swift(v)}\n",
    ),
    ("swift", "swift_readconf", lambda v: f"[filter:s]\nkey = {dialects.swift(v)}\n"),
    (
        *("swift", "swift_hash"),
        lambda v: f"[swift-hash]\nswift_hash_path_prefix = {dialects.swift_hash(v)}\n",
    ),
    (
        *("keystone", "sqlalchemy"),
        lambda v: str(dialects.option("mysql://u:~cairn-secret~x~@h/d", "oslo", {"x": v})),
    ),
    (
        *("nova", "messaging"),
        lambda v: str(
            dialects.option(
                "rabbit://u:~cairn-secret~x~@a:1,u:~cairn-secret~x~@b:2//v", "oslo", {"x": v}
            )
        ),
    ),
]


@pytest.mark.parametrize("service", ["keystone", "glance", "nova", "cinder", "heat"])
def test_migrations_take_the_url_of_each_password_that_is_not_refused(
    service: str, venv_of: Callable[[str], Path], root: Path
) -> None:
    name = f"database_{service}"
    values = [v for v in [*LETTERS, "a-b.c_d~1", "a%b@c$d#e"] if not problems({name: v})]
    assert "a-b.c_d~1" in values
    template = f"mysql+pymysql://u:~cairn-secret~{name}~@h/d"
    urls = [str(dialects.option(template, "oslo", {name: value})) for value in values]
    answers = ask(venv_of(service), root, [["migrations", f"{service} {url}"] for url in urls])
    assert dict(zip(values, answers, strict=True)) == dict.fromkeys(values, True)


@pytest.mark.parametrize(("lock", "what", "write"), OWN_CODE, ids=[case[1] for case in OWN_CODE])
def test_the_services_own_code_reads_back_what_is_written_for_it(
    lock: str, what: str, write: Callable[[str], str], venv_of: Callable[[str], Path], root: Path
) -> None:
    cases = []
    for value in LETTERS:
        with contextlib.suppress(dialects.DialectError):
            cases.append((value, write(value)))
    assert len(cases) > 50
    wanted = [[value, value] if what == "messaging" else value for value, _ in cases]
    assert ask(venv_of(lock), root, [[what, text] for _, text in cases]) == wanted


def test_a_secret_that_comes_from_a_vault_is_text_to_yaml_too() -> None:
    vaulted = trust_as_template("tiger")  # of a class of Ansible's own, as vaulted text is
    assert type(vaulted) is not str
    assert dialects.yaml_text(vaulted) == '"tiger"'
