"""Create a volume type with the name of each back end; can be repeated.

Usage: types.py CINDER_CONF BACKEND...

Existing types keep an administrator's changes.
"""

import sys

from cinder import context, exception, objects
from cinder.common import config  # registers the options of cinder.conf
from cinder.volume import volume_types


def main(arguments):
    """Create the missing types."""
    file, *backends = arguments
    config.CONF(["--config-file", file], project="cinder")
    objects.register_all()
    admin = context.get_admin_context()
    for name in backends:
        try:
            volume_types.get_volume_type_by_name(admin, name)
        except exception.VolumeTypeNotFoundByName:
            volume_types.create(admin, name, {"volume_backend_name": name})
            print("made volume type", name)


if __name__ == "__main__":
    main(sys.argv[1:])
