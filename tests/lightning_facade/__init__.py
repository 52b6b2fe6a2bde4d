"""Tests of the callback and the mixin for Lightning."""
