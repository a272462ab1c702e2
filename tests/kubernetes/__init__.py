"""The generated manifests on a real Kubernetes. Nothing here is collected by a plain ``pytest``."""
