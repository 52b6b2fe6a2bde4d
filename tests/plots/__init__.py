"""Tests of the figures: what is drawn, not how it looks."""
