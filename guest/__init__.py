"""The test guest: a bootable disk of a few megabytes, made from Debian's kernel and busybox."""
