"""Disks, volume groups and rings."""
