"""Make a volume type for each back end, with its name; safe to repeat.

Usage: types.py CINDER_CONF BACKEND...

Types that are there stay as an administrator has changed them.
"""

import sys

from cinder import context, exception, objects
from cinder.common import config  # registers the options that cinder.conf has
from cinder.volume import volume_types


def main(arguments):
    """Make what is missing."""
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
