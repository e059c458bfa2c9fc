"""Services: from a role's description to what one host should have of it."""
