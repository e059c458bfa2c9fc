"""What the operator gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.template import Templar, trust_as_template

from cairn.service.model import Model


@pytest.mark.parametrize("ca_file", ["/site/.operator/ca.pem", ""])
def test_the_cloud_is_reached_over_tls_and_its_certificate_verified(
    root: Path, make_model: Callable[..., Model], secrets: dict[str, str], ca_file: str
) -> None:
    variables: dict[str, Any] = {
        "ansible_managed": "made",
        "cairn_secrets": secrets,
        "operator_cloud": "cairn",
        "operator_ca_file": ca_file,
        "__operator_site": make_model().site,
    }
    text = (root / "roles/operator/templates/clouds.yaml.j2").read_text()
    made = Templar(variables=variables).template(trust_as_template(text))
    cloud = yaml.safe_load(made)["clouds"]["cairn"]
    assert cloud["auth"]["auth_url"] == "https://cloud.example:5000/v3"
    assert cloud.get("cacert", "") == ca_file
    assert "verify" not in cloud
