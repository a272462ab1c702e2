"""Applications and worker classes that the tests run."""
