"""Made by Cairn for horizon: fixes bugs of this release, loaded as customization_module.

If the site sets its own customization_module (horizon_settings: HORIZON_CONFIG), that one replaces
this module and should import it.
"""

from typing import Any

from openstack_dashboard.utils import futurist_utils

_in_parallel = futurist_utils.call_functions_parallel


def call_functions_parallel(*calls: Any) -> tuple[Any, ...]:
    """Call the functions in parallel; return () for none, for which horizon's version fails.

    The dialogs for launching an instance and for a snapshot's metadata call it with none when
    glance has no metadata definitions for a resource type.
    """
    return tuple(_in_parallel(*calls)) if calls else ()


futurist_utils.call_functions_parallel = call_functions_parallel
