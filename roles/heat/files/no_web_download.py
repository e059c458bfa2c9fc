"""Plugin of heat: OS::Glance::WebImage is hidden, since glance does not fetch images from URLs.

Stacks that have one can still be deleted. The file is there as long as `glance_import_methods` has
no web-download.
"""

from __future__ import annotations

from heat.engine.resources.openstack.glance import image


def unavailable(context):
    """Tell heat why the type cannot be used."""
    return False, "glance_import_methods has no web-download."


image.GlanceWebImage.is_service_available = staticmethod(unavailable)


def resource_mapping():
    """Return the types that this plugin adds: none."""
    return {}
