"""Select the platform, the organization and the token. The files are shared with the official CLI.

Each of the two tools reads the files that the other one saves. Nothing here contacts a platform, prints or
prompts, and no token is ever shown.
"""
