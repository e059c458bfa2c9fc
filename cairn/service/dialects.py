"""Escaping of secrets in files, so that each file's reader gets the original value.

Runs on the control node only. Jinja never sees the site's secrets: in a role's description and
templates `cairn_secrets.x` is a token. When the file is complete, the token is replaced by the
secret in the dialect of the file's reader. Roles thus cannot write a secret unescaped, and a token
in a place without a dialect (a command, a unit) is an error.
"""

from __future__ import annotations

import io
import re
import tokenize
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import yaml

from ..errors import DescriptionError

# Without characters that are escaped by Jinja, Python or URL quoting.
TOKEN = re.compile(r"~cairn-secret~(?P<name>[a-zA-Z0-9_.]+)~")


class DialectError(DescriptionError):
    """A value that a reader cannot represent; the text says why, without the value."""


def token(name: str) -> str:
    """Return the placeholder of a secret in unfinished text.

    Other characters than letters, digits and _ are written as .2d for each byte.
    """

    def escaped(match: re.Match[str]) -> str:
        return "".join(f".{byte:02x}" for byte in match[0].encode())

    return f"~cairn-secret~{re.sub(r'[^a-zA-Z0-9_]', escaped, name)}~"


def name_in(match: re.Match[str]) -> str:
    """Return the name of the secret in a match of TOKEN."""
    parts = re.findall(r"\.([0-9a-f]{2})|([a-zA-Z0-9_]+)", match["name"])
    return b"".join(bytes.fromhex(code) or text.encode() for code, text in parts).decode()


def tokens(secrets: Mapping[str, Any]) -> dict[str, str]:
    """Return the secrets for a role's Jinja: a token for each.

    The authority's certificate is public and roles hash it: its value is kept.
    """
    return {name: token(name) for name in secrets} | {
        name: secrets[name] for name in ("ca_certificate",) if name in secrets
    }


def named(value: Any) -> list[str]:
    """Return the sorted names of all secrets whose tokens are in a value, at any depth."""
    if isinstance(value, str):
        return sorted({name_in(match) for match in TOKEN.finditer(value)})
    if isinstance(value, Mapping):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple)):
        inside = list(value)
    else:
        return []
    return sorted({name for item in inside for name in named(item)})


# -- the readers ----------------------------------------------------------------------------------


def text(value: Any) -> str:
    """Return a secret; DialectError if YAML read it as another type than text."""
    if isinstance(value, str):
        if "~cairn-secret~" in value:
            raise DialectError("~cairn-secret~ is Cairn's own placeholder for secrets")
        return plain(value)
    kinds = {bool: "boolean", int: "number", float: "number", list: "list", dict: "mapping"}
    what = next((word for kind, word in kinds.items() if isinstance(value, kind)), "date")
    raise DialectError(f"YAML reads a {what} there, not text")


def plain(text: str) -> str:
    """Return `text` as a built-in str: Ansible's tagged strings are refused by YAML's writer."""
    return "".join((text, ""))


def one_line(text: str) -> str:
    """Return `text`; DialectError if it contains control characters such as line breaks."""
    if control := re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", text):
        raise DialectError(f"{character(control[0])} cannot stand in a line of a file")
    return text


def oslo(text: str) -> str:
    r"""Return a value as oslo.config reads it back.

    `$` starts a reference, `$$` is a literal `$`; `\$` is read as `$`, and its backslash cannot be
    escaped (oslo_config/cfg.py: _substitute). Quotes around the whole value, and spaces outside of
    them, are removed (oslo_config/iniparser.py).
    """
    if "\\$" in text:
        raise DialectError(r"oslo.config reads \$ as $: a backslash cannot stand before a $")
    return _quoted(one_line(text).replace("$", "$$"))


def configparser(text: str) -> str:
    """Return a value for Python's configparser, in which `%` starts a reference."""
    return _unpadded(one_line(text), "Python's configparser").replace("%", "%%")


def glance_store(text: str) -> str:
    """Return a value for glance_store's list of accounts.

    A configparser that also removes quotes, and requires them to be closed
    (glance_store/_drivers/swift/utils.py: SwiftConfigParser).
    """
    escaped = one_line(text).replace("%", "%%")
    return f'"{escaped}"' if text[:1] in ('"', "'") or text != text.strip() else escaped


def swift(text: str) -> str:
    """Return a value for the files of Swift's services.

    Interpolation applies only to values with `%(` (swift/common/utils/config.py:
    NicerInterpolation); in other values `%%` is not reduced to `%`.
    """
    _unpadded(one_line(text), "Swift's configuration")
    return text.replace("%", "%%") if "%(" in text else text


def swift_hash(text: str) -> str:
    """Return a value for swift.conf, which Swift reads with configparser, byte by byte.

    It strips spaces of Latin-1, which may be parts of other characters.
    """
    _unpadded(one_line(text).encode().decode("latin-1"), "Swift's configuration")
    return configparser(text)


def keepalived(text: str) -> str:
    """Return a word of keepalived's configuration, in which most other characters are special.

    Passwords have up to eight characters (lib/parser.c, vrrp_parser.c: vrrp_auth_pass_handler).
    """
    if wrong := re.search(r"[^A-Za-z0-9._-]", text):
        one = character(wrong[0])
        raise DialectError(f"keepalived takes letters, digits, . _ and -, not {one}")
    if len(text) > 8:
        raise DialectError("keepalived uses the first 8 characters only: remove the rest")
    return text


def erlang_cookie(text: str) -> str:
    """Return the content of `.erlang.cookie`: an atom of at most 255 printable characters."""
    if wrong := re.search(r"[^!-~]", text):
        raise DialectError(f"Erlang's cookie takes ASCII without spaces, not {character(wrong[0])}")
    if len(text) > 255:
        raise DialectError("Erlang's cookie has at most 255 characters")
    return text


def character(text: str) -> str:
    """Return the name of a single character for messages."""
    names = {"\n": "a line break", "\r": "a carriage return", "\t": "a tab", " ": "a space"}
    if text in names:
        return names[text]
    return repr(text) if text.isprintable() else f"U+{ord(text):04X}"


def _quoted(text: str) -> str:
    """Return `text` in quotes if oslo's INI reader would otherwise strip something off its ends."""
    closed = text[:1] in ('"', "'") and text[:1] == text[-1:]
    return f'"{text}"' if closed or text != text.strip() else text


def _unpadded(text: str, reader: str) -> str:
    if text != text.strip():
        raise DialectError(f"{reader} drops spaces at the ends of a value")
    return text


# -- options of INI files -------------------------------------------------------------------------

OPTIONS: dict[str, Callable[[str], str]] = {
    "oslo": oslo,
    "configparser": configparser,
    "glance_store": glance_store,
    "swift": swift,
    "swift_hash": swift_hash,
}
"""Readers of INI files, by their names in a description's `dialect`."""


def option(value: Any, dialect: str, secrets: Mapping[str, str]) -> Any:
    """Return the value of an option of an INI file with its tokens replaced by the secrets.

    A secret must be the whole value, or a part of a URL, where it is URL-quoted. Raises
    DescriptionError, without the value, for other places and for values that the reader cannot
    represent.
    """
    if isinstance(value, Mapping) and set(value) == {"multi"}:
        return {"multi": [option(item, dialect, secrets) for item in value["multi"]]}
    names = named(value)
    if not names:
        return value
    if isinstance(value, str) and TOKEN.fullmatch(value):
        return write(names[0], OPTIONS[dialect], secrets)
    if isinstance(value, str) and "://" in value:
        # After URL quoting, the percent sign is the only character that readers may interpret.
        sign = "%%" if dialect in ("configparser", "glance_store", "swift_hash") else "%"
        return _within(value, secrets, sign)
    raise DescriptionError(
        f"secret {names[0]} must be the whole value or in a URL: it is unknown how the rest of "
        "this value is read"
    )


def _url(text: str) -> str:
    return quote(one_line(text), safe="")


def _within(text: str, secrets: Mapping[str, str], sign: str = "%") -> str:
    """A text with its tokens replaced by the secrets, which are quoted in a URL.

    `sign` is how the reader of the text has a percent sign written.
    """
    if TOKEN.fullmatch(text) or "://" not in text:
        return TOKEN.sub(lambda match: write(name_in(match), str, secrets), text)
    return TOKEN.sub(lambda match: write(name_in(match), _url, secrets).replace("%", sign), text)


# -- whole files ----------------------------------------------------------------------------------


def _python(text: str, secrets: Mapping[str, str]) -> str:
    """Python source: replaces string literals with tokens by literals with the secrets.

    In a literal that is a URL, a secret is quoted as its reader expects.
    """
    lines = text.splitlines(keepends=True)
    for part in reversed(list(tokenize.generate_tokens(io.StringIO(text).readline))):
        if part.type != tokenize.STRING or not TOKEN.search(part.string):
            continue
        value = _within(literal_eval(part.string), secrets)
        (row, start), (last, end) = part.start, part.end
        lines[row - 1 : last] = [lines[row - 1][:start] + repr(value) + lines[last - 1][end:]]
    return "".join(lines)


def _words(dialect: Callable[[str], str]) -> Callable[[str, Mapping[str, str]], str]:
    def fill(text: str, secrets: Mapping[str, str]) -> str:
        return TOKEN.sub(lambda match: write(name_in(match), dialect, secrets), text)

    return fill


def _yaml(text: str, secrets: Mapping[str, str]) -> str:
    """YAML: replaces scalars with tokens by quoted scalars with the secrets; URLs as in Python."""
    for node in reversed(list(_scalars(yaml.compose(text)))):
        if TOKEN.search(node.value):
            value = _within(node.value, secrets)
            start, end = node.start_mark.index, node.end_mark.index
            text = text[:start] + yaml_text(value) + text[end:]
    return text


def _scalars(node: Any) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(key)
            yield from _scalars(value)


def systemd_word(text: str, *, command: bool = True) -> str:
    """Return one word of a line in a unit (systemd.syntax(7)), with specifiers escaped.

    Variables are expanded, and escaped here, only in commands (ExecStart=, …).
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + (escaped.replace("$", "$$") if command else escaped) + '"'


def yaml_text(text: str) -> str:
    """Return a YAML scalar that is read as this text, never as a number or a date.

    Not JSON, whose escapes of characters beyond U+FFFF are surrogate pairs, which YAML rejects.
    """
    written = yaml.safe_dump(plain(text), default_style='"', allow_unicode=True, width=10**9)
    return str(written).removesuffix("\n")


FILES: dict[str, Callable[[str, Mapping[str, str]], str]] = {
    "python": _python,
    "keepalived": _words(keepalived),
    "erlang_cookie": _words(erlang_cookie),
    "pem": _words(str),
    "yaml": _yaml,
}
"""Other files with secrets, by their names in a description's `dialect`."""


def file(text: str, dialect: str | None, secrets: Mapping[str, str], where: str) -> str:
    """Return a file's text with its tokens replaced by the secrets.

    `where` names the file in errors. Raises DescriptionError if the file has a secret, but no
    `dialect`.
    """
    names = named(text)
    if not names:
        return text
    if dialect is None:
        raise DescriptionError(
            f"{where}: contains secret {names[0]}; set `dialect` to the file's reader, one of "
            f"{', '.join(FILES)}"
        )
    return FILES[dialect](text, secrets)


def write(name: str, dialect: Callable[[str], str], secrets: Mapping[str, str]) -> str:
    """Return one secret in a dialect; DescriptionError names the secret without its value."""
    try:
        return dialect(text(secrets[name]))
    except KeyError:
        raise DescriptionError(f"cairn_secrets has no {name}") from None
    except DialectError as error:
        raise DialectError(f"cairn_secrets.{name}: {error}") from None


def refuse(value: Any, where: str) -> None:
    """Raise DescriptionError if `value`, which must have no secret, contains a token."""
    if names := named(value):
        raise DescriptionError(
            f"{where}: secret {names[0]} would be readable by everybody, or its reader is unknown: "
            "put secrets into options and files with a dialect"
        )
