"""Heat plugin: declare the neutron extension that some resource types need.

Heat hides a type whose extension neutron lacks, and refuses stacks with it. The types below declare
none, so heat would offer them on every cloud. Stacks that contain one can still be deleted.
"""

from __future__ import annotations

from heat.engine.resources.openstack.neutron import metering, network_gateway
from heat.engine.resources.openstack.neutron.sfc import flow_classifier, port_pair

EXTENSIONS = {
    metering.MeteringLabel: "metering",
    metering.MeteringRule: "metering",
    network_gateway.NetworkGateway: "network-gateway",
    port_pair.PortPair: "sfc",
    flow_classifier.FlowClassifier: "flow_classifier",
}

for resource, extension in EXTENSIONS.items():
    resource.required_service_extension = extension


def resource_mapping():
    """Return the types that this plugin adds: none."""
    return {}
