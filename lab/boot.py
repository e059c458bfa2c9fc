#!/usr/bin/env python3
"""Start a User-Mode Linux kernel, and start it again when its guest reboots.

On a reboot the kernel executes the program that its first argument names, this one, with all its
files still open: its taps would be busy, and the memory of the last start would stay allocated.
"""

import os
import sys

if __name__ == "__main__":
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.execv(os.environ["CAIRN_UML"], [os.path.realpath(__file__), *sys.argv[1:]])  # noqa: S606
