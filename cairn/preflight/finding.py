"""A finding of preflight: a problem and its remedy."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from cairn_host.masking import mask_urls

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Finding:
    """A problem; `host` is empty if it concerns the site."""

    severity: str
    check: str
    text: str
    remedy: str
    host: str = ""

    def __post_init__(self) -> None:
        """Mask passwords in URLs, for all checks alike."""
        object.__setattr__(self, "text", mask_urls(self.text))
        object.__setattr__(self, "remedy", mask_urls(self.remedy))

    def as_dict(self) -> dict[str, str]:
        """As plain data."""
        return asdict(self)
