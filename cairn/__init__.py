"""Code for the control node, the machine that runs Ansible; nothing here ships to hosts.

Installed into .venv from its checkout (`make setup`), as it reads the roles of the checkout.
"""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
"""The checkout."""
