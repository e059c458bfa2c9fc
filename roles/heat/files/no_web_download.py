"""Heat plugin: hide OS::Glance::WebImage, since glance does not fetch images from URLs.

Stacks that contain one can still be deleted. Installed while `glance_import_methods` does not
include web-download.
"""

from __future__ import annotations

from heat.engine.resources.openstack.glance import image


def unavailable(context):
    """Return that the type is not available, and why."""
    return False, "glance_import_methods does not include web-download."


image.GlanceWebImage.is_service_available = staticmethod(unavailable)


def resource_mapping():
    """Return the types that this plugin adds: none."""
    return {}
