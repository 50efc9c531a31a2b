"""Whose platform, and with which token: shared with the official CLI, file by file.

Each of the two tools reads what the other one saved. Nothing here asks a platform, prints or prompts, and no
token is ever shown.
"""

from reconciler.credentials.environment import Environment
from reconciler.credentials.target import Target, chosen_environment, resolve

__all__ = ["Environment", "Target", "chosen_environment", "resolve"]
