"""The cloud as a customer's program uses it: openstacksdk, clouds.yaml, TLS verified."""

from __future__ import annotations

from typing import Any

import certifi
import pytest
from openstack.exceptions import ForbiddenException, HttpException, SDKException

pytestmark = pytest.mark.lab


def test_a_program_that_does_not_know_the_authority_talks_to_nobody(customer: Any) -> None:
    with pytest.raises(SDKException, match="SSL exception connecting"):
        customer.connect(cacert=certifi.where()).authorize()


def test_a_customer_is_no_administrator(cloud: Any) -> None:
    with pytest.raises(ForbiddenException):
        list(cloud.compute.hypervisors())
    with pytest.raises(ForbiddenException):
        cloud.identity.create_project(name="mine")
    with pytest.raises(ForbiddenException):
        list(cloud.compute.servers(all_projects=True))


def test_an_instance_is_reached_from_outside_and_knows_its_customer(
    cloud: Any, customer: Any, instance: Any, key: Any
) -> None:
    metadata = instance.get("meta_data.json", lambda answer: answer.ok and answer.json())
    assert metadata["name"] == customer.name
    assert metadata["public_keys"] == {key.name: key.public_key}
    assert metadata["project_id"] == cloud.current_project_id


def test_a_volume_takes_and_gives_data_in_an_instance(instance: Any, attached: Any) -> None:
    (disk,) = instance.get("cgi-bin/disks", lambda answer: answer.ok and answer.json())
    assert disk["bytes"] == attached.size * 1024**3
    path = f"cgi-bin/disk?name={disk['name']}&word=written-by-a-customer"
    instance.get(path, lambda answer: answer.text.strip() == "written-by-a-customer")


def test_more_than_the_quota_is_refused(cloud: Any, offered: Any) -> None:
    offered("block-storage")
    limits = cloud.block_storage.get_limits().absolute
    if limits.max_total_volume_gigabytes < 0:
        pytest.skip("this cloud has no quota for space")
    with pytest.raises(HttpException, match="quota") as refused:
        cloud.block_storage.create_volume(
            name="too-large", size=limits.max_total_volume_gigabytes + 1
        )
    assert refused.value.status_code == 413
    assert not [one for one in cloud.block_storage.volumes() if one.name == "too-large"]


def test_an_object_comes_back_as_it_was_stored(cloud: Any, container: Any) -> None:
    stored = cloud.object_store.download_object("greeting", container=container.name)
    assert stored == b"hello from a customer"


def test_a_stack_makes_what_its_template_says(cloud: Any, stack: Any) -> None:
    outputs = cloud.orchestration.get_stack(stack.id).outputs
    found = cloud.network.get_network(outputs[0]["output_value"])
    (subnet,) = cloud.network.subnets(network_id=found.id)
    assert subnet.cidr == "10.30.0.0/24"
