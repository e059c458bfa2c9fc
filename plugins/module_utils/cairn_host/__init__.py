"""Code that ships to managed hosts: the standard library and this package, nothing else."""
