"""Tests of ``no502 lab``."""
