"""The site: planes, addresses, certificates, secrets, and where the inventory says it."""
