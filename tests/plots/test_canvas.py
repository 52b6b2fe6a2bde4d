"""The palette stays readable, and the package stays light until something is drawn."""

import subprocess
import sys
from pathlib import Path

from matplotlib.colors import to_rgb

from mcdrop.plots.canvas import COLORS, MARKERS, pick_colors


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colors_stand_out_from_white_paper():
    for color in COLORS:
        assert 1.05 / (luminance(color) + 0.05) > 2.0  # WCAG contrast ratio; the dropped yellow has 1.3


def test_colors_and_markers_are_distinct_and_go_around():
    assert len(set(COLORS)) == len(COLORS) == len(set(MARKERS))
    assert pick_colors(None, 9)[7:] == list(COLORS[:2])


def test_importing_plots_does_not_import_matplotlib():
    code = "import sys, mcdrop.plots; sys.exit('matplotlib' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
