"""What a cloud that seems well says in its journals, and what it leaves behind on its hosts."""
