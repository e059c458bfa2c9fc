"""What runs on the control node, the machine that runs Ansible; nothing here ships to hosts.

Installed into .venv from its checkout (`make setup`), for it reads the roles beside it.
"""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
"""The checkout."""
