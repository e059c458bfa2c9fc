"""Changes of a host's network that change back unless somebody confirms."""
