"""Made by Cairn for horizon: mends faults of this release, as horizon's customization_module.

A customization_module of the site's own (horizon_settings: HORIZON_CONFIG) takes its place, and
should import this one.
"""

from typing import Any

from openstack_dashboard.utils import futurist_utils

_in_parallel = futurist_utils.call_functions_parallel


def call_functions_parallel(*calls: Any) -> tuple[Any, ...]:
    """Call what there is to call. Horizon's own starts as many threads, and fails for none.

    The dialogs for launching an instance and for a snapshot's metadata list the metadata
    definitions of resource types for which glance has none.
    """
    return tuple(_in_parallel(*calls)) if calls else ()


futurist_utils.call_functions_parallel = call_functions_parallel
