"""The dashboard: its data, its pages in a browser, and the command."""
