"""Text that people see, without the site's secrets in it, whatever their form.

Control node only: no host knows all secrets of a site. What a host masks goes by the names of
options (`masking.mask_pair`).
"""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from cairn_host.masking import MASK, PATH, mask_urls, names_secret

SHORTEST = 6
"""Secrets of fewer letters are not masked by value: `nova` or `true` would make any text useless.
They are masked by the names of their options and in URLs; `make secrets` makes none so short."""
SHORTEST_LINE = 8
"""Of a text of several lines, such as a key, each line of so many letters is masked by itself."""
PUBLIC = frozenset({"ca_certificate"})
"""What stands beside the secrets and is none."""


def forms(secret: str) -> Iterator[str]:
    """A secret as files and programs write it: quoted, escaped, encoded; the value itself too.

    As in URLs, oslo.config and configparser (`$$`, `%%`), JSON, YAML, Python, shells, HTML, and in
    base64 wherever it begins in what was encoded.
    """
    for text in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield text
        yield text.replace("$", "$$")
        yield text.replace("%", "%%")
        yield text.replace("$", "$$").replace("%", "%%")
    quoted = json.dumps(secret)
    # PyYAML writes what JSON does, in capitals, and what fits into one byte shorter.
    yaml_quoted = re.sub(
        r"\\u(00)?([0-9a-f]{2,4})",
        lambda m: (r"\x" if m[1] else r"\u") + m[2].upper(),
        quoted,
    )
    plain = json.dumps(secret, ensure_ascii=False)
    for text in (quoted, plain, yaml_quoted, repr(secret), ascii(secret)):
        yield text[1:-1]
        yield json.dumps(text[1:-1])[1:-1]  # JSON within JSON, as in a module's own report
    yield secret.replace("'", "''")
    yield shlex.quote(secret).strip("'")
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    data = secret.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            text = encode(b"\0" * shift + data).decode().rstrip("=")
            # The letters at both ends depend on what stands beside the secret.
            end = len(text) - (1 if (len(data) + shift) % 3 else 0)
            begin = (0, 2, 3)[shift]
            yield text[begin:end]


def needles(secrets: Iterable[Any]) -> list[str]:
    """What to look for, the longest first: every form of every secret and of its lines."""
    found = set()
    for secret in secrets:
        value = str(secret).strip()
        lines = value.splitlines()
        parts = [value]
        if len(lines) > 1:
            parts += [
                line.strip()
                for line in lines
                if len(line.strip()) >= SHORTEST_LINE and not line.startswith("-----")
            ]
        for part in parts:
            if len(part) >= SHORTEST:
                found |= {form for form in forms(part) if len(form) >= SHORTEST}
    return sorted(found, key=lambda text: (-len(text), text))


def _texts(value: Any) -> Iterator[str]:
    """Every text in data, keys as well."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _texts(item)


class Masker:
    """Replaces the secrets of a site in whatever text or data is about to be shown or kept.

    `ansible.module_utils.common.parameters.remove_values` would do the half of it: it makes text of
    numbers in which a secret of digits occurs, replaces in no order (a secret that is part of
    another one leaves the rest of that), and knows none of the forms.
    """

    def __init__(self, secrets: Iterable[Any] = ()) -> None:
        """Know these values."""
        self.secrets: frozenset[str] = frozenset()
        self.needles: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[Any]) -> None:
        """Know these values, too."""
        more = self.secrets | {str(secret) for secret in secrets if secret}
        if more != self.secrets:
            self.secrets, self.needles = more, needles(more)

    def text(self, text: str) -> str:
        """The text with every secret, and every password in a URL, replaced."""
        if len(text) < SHORTEST:
            return text
        for needle in self.needles:
            if needle in text:
                text = text.replace(needle, MASK)
        return mask_urls(text) if "://" in text else text

    def data(self, value: Any) -> Any:
        """Data with its texts masked, keys of mappings as well; differences line by line.

        Data without any secret, which most is, comes back as it is.
        """
        whole = "\n".join(_texts(value))
        urls = "://" in whole and "@" in whole
        if urls or any(needle in whole for needle in self.needles):
            return self._data(value)
        return value

    def _data(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            found = {self._data(key): self._data(item) for key, item in value.items()}
            if isinstance(value.get("before"), str) and isinstance(value.get("after"), str):
                found["before"], found["after"] = self.pair(value["before"], value["after"])
            return found
        if isinstance(value, list | tuple | set):
            return [self._data(item) for item in value]
        return value

    def pair(self, before: str, after: str) -> tuple[str, str]:
        """Two versions of a text for a diff.

        Where a line holds a secret in one of them, it holds an older one in the other, which
        nobody knows: what begins like it is masked there from the same place on.
        """
        old, new = before.splitlines(), after.splitlines()
        old_shown, new_shown = ([self.text(line) for line in side] for side in (old, new))
        old_shown, new_shown = _alike(old, old_shown, new, new_shown)
        known = {line for line, shown in zip(old, old_shown, strict=True) if line != shown}
        told = set(old_shown)
        new_shown = [
            # Both sides look alike now, and there would be no difference to see.
            f"{shown} (changed)" if line != shown and shown in told and line not in known else shown
            for line, shown in zip(new, new_shown, strict=True)
        ]
        ends = ("\n" if text.endswith("\n") else "" for text in (before, after))
        first, second = ("\n".join(side) for side in (old_shown, new_shown))
        return first + next(ends), second + next(ends)


def _alike(
    old: list[str], old_shown: list[str], new: list[str], new_shown: list[str]
) -> tuple[list[str], list[str]]:
    """Mask lines of one side that begin as one with a secret does on the other."""

    def heads(lines: list[str], shown: list[str]) -> tuple[str, ...]:
        found = {s.partition(MASK)[0] for line, s in zip(lines, shown, strict=True) if line != s}
        return tuple(head for head in found if re.search(r"\w", head))

    def side(lines: list[str], begins: tuple[str, ...]) -> list[str]:
        done = []
        for line in lines:
            if MASK not in line and line.startswith(begins):
                head = next(head for head in begins if line.startswith(head))
                line = f"{head}{MASK}"
            done.append(line)
        return done

    known = heads(old, old_shown), heads(new, new_shown)
    return side(old_shown, known[1]), side(new_shown, known[0])


def secret_values(variables: Mapping[str, Any]) -> Iterator[Any]:
    """The secrets among a host's variables: `cairn_secrets`, and those whose names say so.

    Passwords for the connection (`ansible_become_password`), the key of a certificate of the
    operator's, options of `<role>_config` that hold secrets.
    """
    for name, value in variables.items():
        if name == "cairn_secrets" and isinstance(value, Mapping):
            yield from (item for key, item in value.items() if key not in PUBLIC)
        elif name.endswith("_config") and isinstance(value, Mapping):
            yield from _secret_options(value)
        elif isinstance(value, Mapping | list | int | float | None):
            continue
        elif names_secret(name) and not PATH.fullmatch(str(value)):
            yield value


def _secret_options(value: Mapping[str, Any]) -> Iterator[Any]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _secret_options(item)
        elif not isinstance(item, str) or PATH.fullmatch(item) or "://" in item:
            continue
        elif names_secret(str(name)):
            yield item
