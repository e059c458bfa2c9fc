"""Pages of docs/reference and drawings of a site, made from what the project declares."""
