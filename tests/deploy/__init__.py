"""What a service manager and an orchestrator do to the server, done to real processes."""
