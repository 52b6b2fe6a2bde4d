"""Every stochastic site: T passes of the sampler have the mean and the variance of passes made without it.

Every case of the zoo runs under shared and independent masks, in the loop and (where it can) side by side. Each of
its outputs gives a mean, a variance, and, for two equal rows under independent masks, a correlation to compare. The
bound on |z| comes from the number of comparisons in the whole file, so that the file as a whole raises a false alarm
for at most 1 in 1,000 seeds (Bonferroni); the seeds are fixed, so that what passes keeps passing.

At this bound 2,000 passes against 8,000 of the reference show a variance that is off by a quarter, or a mean that is
off by a seventh of a standard deviation: a site that is missed or drawn twice, not a last digit. The exact values of
every kind are held in closed form in `sites/test_dropouts.py`.

One mode is held to more than the law where that takes less time: what the loop draws under shared masks is, draw by
draw, what the passes side by side are. There only nets that the loop alone can run, and one net of every sort, run all
of their 2,000 passes again.
"""

import itertools
import warnings

import pytest
import torch
from laws import KINDS
from two_samples import Bound, assert_rows_fall_alone, assert_rows_fall_together, assert_same_law
from zoo import CASES, DECLARED, NAMELESS, TOPICS, tiled

from mcdrop import MCDropout, SilentDropoutWarning
from mcdrop.errors import ExecutionError

PASSES = 2000
REFERENCE = 8000
MOST_OUTPUTS = 3 * 12  # of a case: rows times outputs
MODES = [*itertools.product(["shared", "independent"], ["loop", "vectorized"])]
BOUND = Bound(
    false_alarm=1e-3, comparisons=(len(CASES) * len(MODES) + len(DECLARED) + len(NAMELESS)) * 3 * MOST_OUTPUTS
)
ALIKE = 100  # passes of the loop held against those side by side
LOOPED = frozenset(
    {
        *(f"{kind}: module" for kind in KINDS),
        "hidden: early return",
        "several kinds",
        "on the inputs, in place",
        "sdpa: plain",
        "multi-head: batch_first=True, need_weights=False",
        "depth: floor of rand",
        "gaussian: randn_like",
        "batch norm, hidden",
        "spectral norm",
        "bfloat16",
        "exported, rows free",
    }
)
COPIES = 100  # of a row, under independent masks in the loop, which runs one pass at a time

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage:UserWarning"),
]

_drawn: dict[str, torch.Tensor] = {}


def reference(name):
    if name not in _drawn:
        _drawn[name] = CASES[name].draws(REFERENCE)
    return _drawn[name]


def sample(case, **options):
    """Draw from the wrapped net; a warning that the case does not name is an error."""
    model, x = MCDropout(case.wrapped()), options.pop("x", case.inputs())
    x = x if len(x) > 1 else x[0]
    if case.warns is None:
        return model.sample(x, **options)
    with pytest.warns(UserWarning, match=case.warns):
        return model.sample(x, **options)


def run(case, masks, execution):
    """Return 2,000 draws; independent masks in the loop come from fewer passes over many copies of each row."""
    options = {"masks": masks, "execution": execution, "seed": 3}
    if masks == "independent" and execution == "loop" and case.tiled:
        samples = sample(case, x=tiled(case.inputs(), COPIES), passes=PASSES // COPIES, **options)
        return samples.unflatten(1, (-1, COPIES)).transpose(1, 2).flatten(0, 1)
    return sample(case, passes=PASSES, **options)


def tolerance(case):
    """Return what rounding may do to outputs of about 1 to 10."""
    rounding = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 0.05}[case.dtype]
    return {"rtol": rounding, "atol": rounding}


def test_no_case_hides_another():
    assert len(CASES) == sum(len(topic.CASES) for topic in TOPICS)
    assert LOOPED <= CASES.keys()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("masks", "execution"), MODES)
def test_passes_have_the_law_of_the_reference(name, masks, execution):
    case = CASES[name]
    if execution == "vectorized" and not case.vectorized:
        with pytest.raises(ExecutionError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            MCDropout(case.wrapped()).sample(case.inputs(), passes=4, masks=masks, execution=execution)
        return
    if (masks, execution) == ("shared", "loop") and case.vectorized and name not in LOOPED:
        options = {"passes": ALIKE, "masks": masks, "seed": 3}
        loop = sample(case, execution="loop", **options)
        torch.testing.assert_close(loop, sample(case, execution="vectorized", **options), **tolerance(case))
        assert_rows_fall_together(loop)
        return
    samples = run(case, masks, execution)
    assert samples.shape == (PASSES, *reference(name).shape[1:])
    assert samples.dtype == case.dtype
    assert samples[0].numel() <= MOST_OUTPUTS
    assert_same_law(samples, reference(name), BOUND)
    if masks == "independent" and case.rowwise:
        assert_rows_fall_alone(samples, BOUND)
    elif case.warns is None:  # what is not counted has draws of its own in every row
        assert_rows_fall_together(samples)


@pytest.mark.parametrize("name", CASES)
def test_references_differ_from_the_net_in_eval_mode(name):
    """The comparison has power: a sampler that gave the eval forward, or half the variance, would be caught."""
    case, draws = CASES[name], reference(name)
    with torch.no_grad():
        still = case.net()(*case.inputs()).expand(PASSES, *draws.shape[1:])
    for weaker in (still, draws[:PASSES] * 0.7 + draws.mean(0) * 0.3):
        with pytest.raises(AssertionError, match="differ"):
            assert_same_law(weaker.to(draws.dtype), draws, BOUND)


@pytest.mark.parametrize("name", CASES)
def test_audit_is_all_live(name):
    case = CASES[name]
    x = case.inputs() if len(case.inputs()) > 1 else case.inputs()[0]
    with warnings.catch_warnings():
        if case.warns is not None:
            warnings.simplefilter("ignore")
        table = MCDropout(case.wrapped()).sites(x)
    assert table.live
    assert not table.silent


def sample_and_listen(case):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        samples = MCDropout(case.net()).sample(case.inputs()[0], passes=PASSES, seed=3)
    return samples, any(issubclass(warning.category, SilentDropoutWarning) for warning in caught)


@pytest.mark.parametrize("name", DECLARED)
def test_declared_dropout_that_is_missed_is_warned_of(name):
    """Either the passes have the law of training mode, or a warning says that some spread is missing."""
    samples, warned = sample_and_listen(DECLARED[name])
    if not warned:
        assert_same_law(samples, DECLARED[name].draws(PASSES), BOUND)


@pytest.mark.parametrize("name", NAMELESS)
def test_chance_in_training_mode_that_is_missed_is_listed(name):
    """Either the passes have the law of training mode, or the audit has a silent row for what does not."""
    case = NAMELESS[name]
    samples, warned = sample_and_listen(case)
    silent = [site.module for site in MCDropout(case.net()).sites(case.inputs()[0]).silent]
    if not warned and "noise" not in silent:
        assert_same_law(samples, case.draws(PASSES), BOUND)
