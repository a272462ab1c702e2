"""Tests of ``no502 doctor``."""
