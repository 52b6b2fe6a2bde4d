"""The example prints its table and nothing of Lightning's own."""

import runpy
import warnings
from pathlib import Path

from .made import MARKS

pytestmark = MARKS[:2]
EXAMPLE = Path(__file__).parents[2] / "examples" / "lightning_trainer.py"


def test_no_word_of_deprecations_comes_before_the_table(capfd):
    main = runpy.run_path(str(EXAMPLE))["main"]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        main(epochs=1, passes=4)
    assert [str(one.message) for one in told if "deprecated" in str(one.message)] == []
    assert capfd.readouterr().out.startswith("place")
