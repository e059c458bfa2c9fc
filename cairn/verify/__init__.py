"""The proof: an instance created as a user would, and followed. Needs openstacksdk."""
