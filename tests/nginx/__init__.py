"""Tests of the nginx files with real nginx."""
