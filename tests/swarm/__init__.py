"""The generated stack on a real Docker Swarm; run by scripts/swarm-test only."""
