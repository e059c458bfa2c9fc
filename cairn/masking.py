"""Masking of the site's secrets by value, in all their forms, in texts for people.

Control node only: no host has all secrets of a site. Hosts mask by the names of options
(`cairn_host.masking.mask_pair`).
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
"""Shorter secrets are not masked by value: masking `nova` or `true` would make texts useless. They
are masked by the names of their options and in URLs; `make secrets` creates longer ones."""
SHORTEST_LINE = 8
"""Lines of this length in a secret of several lines, such as a key, are masked individually."""
PUBLIC = frozenset({"ca_certificate"})
"""Entries of cairn_secrets that are not secret."""
NOT_SETTINGS = re.compile(r"cairn_|ansible_|_|(?:hostvars|vars|groups|environment|omit)$")
"""Mappings and lists that no inventory sets, or that hold no secret options."""


def forms(secret: str) -> Iterator[str]:
    """All forms of a secret: the value itself, quoted, escaped and encoded.

    As in URLs, oslo.config and configparser (`$$`, `%%`), JSON, YAML, Python, shells, HTML, and in
    base64 at any offset in the encoded data.
    """
    for text in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield text
        yield text.replace("$", "$$")
        yield text.replace("%", "%%")
        yield text.replace("$", "$$").replace("%", "%%")
    quoted = json.dumps(secret)
    # PyYAML's escapes are those of JSON in capitals, and shorter for one byte.
    yaml_quoted = re.sub(
        r"\\u(00)?([0-9a-f]{2,4})",
        lambda m: (r"\x" if m[1] else r"\u") + m[2].upper(),
        quoted,
    )
    plain = json.dumps(secret, ensure_ascii=False)
    for text in (quoted, plain, yaml_quoted, repr(secret), ascii(secret)):
        yield text[1:-1]
        yield json.dumps(text[1:-1])[1:-1]  # JSON within JSON, as in a module's output
    yield secret.replace("'", "''")
    yield shlex.quote(secret).strip("'")
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    data = secret.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            text = encode(b"\0" * shift + data).decode().rstrip("=")
            # The characters at both ends depend on the neighbouring data.
            end = len(text) - (1 if (len(data) + shift) % 3 else 0)
            start = (0, 2, 3)[shift]
            yield text[start:end]


def needles(secrets: Iterable[Any]) -> list[str]:
    """The texts to mask, longest first: every form of every secret and of its lines."""
    texts = set()
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
                texts |= {form for form in forms(part) if len(form) >= SHORTEST}
    return sorted(texts, key=lambda text: (-len(text), text))


def _texts(value: Any) -> Iterator[str]:
    """Every text in data, keys included."""
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
    """Replaces the secrets of a site in texts and data.

    `ansible.module_utils.common.parameters.remove_values` is not enough: it turns numbers that
    contain a secret of digits into text, replaces in no defined order (so that a secret within
    another one leaves the rest of it), and does not handle the forms.
    """

    def __init__(self, secrets: Iterable[Any] = ()) -> None:
        """Start with these secrets."""
        self.secrets: frozenset[str] = frozenset()
        self.needles: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[Any]) -> None:
        """Add these secrets."""
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
        """Data with its texts masked, keys of mappings included; differences line by line.

        Returns data without secrets, the usual case, unchanged.
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
            masked = {self._data(key): self._data(item) for key, item in value.items()}
            if isinstance(value.get("before"), str) and isinstance(value.get("after"), str):
                masked["before"], masked["after"] = self.pair(value["before"], value["after"])
            return masked
        if isinstance(value, list | tuple | set):
            return [self._data(item) for item in value]
        return value

    def pair(self, before: str, after: str) -> tuple[str, str]:
        """Mask two versions of a text for a diff.

        If a line of one version contains a secret, the same line of the other contains an older,
        unknown one: a line with the same start is masked from the same position on.
        """
        old, new = before.splitlines(), after.splitlines()
        old_shown, new_shown = ([self.text(line) for line in side] for side in (old, new))
        old_shown, new_shown = _alike(old, old_shown, new, new_shown)
        unchanged = {line for line, shown in zip(old, old_shown, strict=True) if line != shown}
        masked = set(old_shown)
        new_shown = [
            # Otherwise both sides would look alike, and the diff would be empty.
            f"{shown} (changed)"
            if line != shown and shown in masked and line not in unchanged
            else shown
            for line, shown in zip(new, new_shown, strict=True)
        ]
        ends = ("\n" if text.endswith("\n") else "" for text in (before, after))
        first, second = ("\n".join(side) for side in (old_shown, new_shown))
        return first + next(ends), second + next(ends)


def _alike(
    old: list[str], old_shown: list[str], new: list[str], new_shown: list[str]
) -> tuple[list[str], list[str]]:
    """Mask lines of one side with the same start as a line with a secret on the other."""

    def heads(lines: list[str], shown: list[str]) -> tuple[str, ...]:
        starts = {s.partition(MASK)[0] for line, s in zip(lines, shown, strict=True) if line != s}
        return tuple(head for head in starts if re.search(r"\w", head))

    def side(lines: list[str], starts: tuple[str, ...]) -> list[str]:
        done = []
        for line in lines:
            if MASK not in line and line.startswith(starts):
                head = next(head for head in starts if line.startswith(head))
                line = f"{head}{MASK}"
            done.append(line)
        return done

    old_heads, new_heads = heads(old, old_shown), heads(new, new_shown)
    return side(old_shown, new_heads), side(new_shown, old_heads)


def secret_values(variables: Mapping[str, Any]) -> Iterator[Any]:
    """The secrets among a host's variables: `cairn_secrets`, and variables with secret names.

    These are passwords of the connection (`ansible_become_password`), the key of the site's own
    certificate, and secret options within mappings, such as `<role>_config`.
    """
    for name, value in variables.items():
        if name == "cairn_secrets" and isinstance(value, Mapping):
            yield from (item for key, item in value.items() if key not in PUBLIC)
        elif isinstance(value, Mapping | list):
            if not (NOT_SETTINGS.match(name) or _is_description(name, value)):
                yield from _secret_options(value)
        elif _is_secret(name, value):
            yield value


def _secret_options(value: Mapping[str, Any] | list[Any]) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            if isinstance(item, Mapping | list):
                yield from _secret_options(item)
        return
    is_entry = {"key", "value"} <= value.keys()  # of a mapping, as dict2items lists them
    for name, item in value.items():
        if isinstance(item, Mapping | list):
            yield from _secret_options(item)
        elif (
            "://" not in str(item)
            and not (is_entry and name == "key")
            and _is_secret(str(name), item)
        ):
            yield item


def _is_description(name: str, value: Mapping[str, Any] | list[Any]) -> bool:
    """Whether a variable is a role's description, whose `secrets` are kinds, such as `password`."""
    return name.endswith("_service") and isinstance(value, Mapping) and "summary" in value


def _is_secret(name: str, value: Any) -> bool:
    """Whether a variable or option is a secret; YAML reads a password of digits as a number."""
    if value is None or isinstance(value, bool):
        return False
    return names_secret(name) and not PATH.fullmatch(str(value))
