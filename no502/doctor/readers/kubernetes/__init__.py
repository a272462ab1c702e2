"""Kubernetes: manifests and what Helm renders."""
