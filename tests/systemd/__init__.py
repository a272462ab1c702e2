"""The systemd target on a host whose process 1 is systemd. Nothing here is collected by a plain ``pytest``."""
