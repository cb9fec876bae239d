"""Every preset against its law: enumerated from its paper's rule, sharing nothing with the library.

A method that is exact must match the truth; one that is not must match its own law and fail against
the truth. Every comparison is a chi-square with false-fail rate ALPHA on fixed seeds.
"""

import numpy as np
import pytest
from scipy.stats import chi2
from tests.laws.cases import SIMULATED, generated
from tests.laws.every import LAWS
from tests.laws.revising import remdm
from tests.laws.world import JOINT, distance, laws_of
from tests.reference.oracles import chi_square

from unmask import presets
from unmask.presets.table import law

ALPHA = 1e-4
CASES = [(name, variant) for name in LAWS for variant in LAWS[name]]
APPROXIMATE = [(name, variant) for name, variant in CASES if not LAWS[name][variant].exact]


def two_samples(seen, other):
    """p-value of two sets of counts having the same law; cells with few of both are pooled."""
    seen, other = (np.asarray(c, np.float64).ravel() for c in (seen, other))
    share = seen.sum() / (seen.sum() + other.sum())
    rare = (seen + other) * min(share, 1 - share) < 5
    seen, other = (np.append(c[~rare], c[rare].sum()) for c in (seen, other))
    both = seen + other
    seen, both = seen[both > 0], both[both > 0]
    statistic = ((seen - both * share) ** 2 / (both * share * (1 - share))).sum()
    return float(chi2.sf(statistic, max(len(both) - 1, 1)))


def agreement(counts, case, law=None):
    """p-value of counts against the law of a case, or of one of its steps."""
    law = case.law if law is None else law
    if case.simulated is None:
        return chi_square(counts, law)
    return two_samples(counts, law * SIMULATED * counts.sum())


@pytest.mark.parametrize("name", presets.__all__)
def test_every_preset_has_a_law(name):
    assert LAWS.get(name), (
        f"presets.{name} has no law: write the rule of its paper in the module of tests/laws that "
        f"has its like, and put {name!r} with a Case or more into the LAWS of that module"
    )


def test_every_law_is_that_of_a_preset():
    assert set(LAWS) <= set(presets.__all__)


@pytest.mark.parametrize("name", presets.__all__)
def test_the_law_is_the_one_the_docstring_names(name):
    """Exact presets have an exact case, approximate ones one that is not."""
    said = law(getattr(presets, name))
    cases = LAWS[name].values()
    if said in ("exact", "nears the model's"):
        assert any(case.exact for case in cases), f"{name} says {said}: hold it against the truth"
    assert any(not case.exact for case in cases), f"{name} has no law of its own to be held against"


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_samples_have_the_law(name, variant):
    case = LAWS[name][variant]
    assert case.law.sum() == pytest.approx(1)
    assert agreement(case.counts, case) > ALPHA


@pytest.mark.parametrize(("name", "variant"), APPROXIMATE)
def test_the_canvas_has_the_law_after_every_step(name, variant):
    """Which positions are known says more of a rule than what comes out in the end."""
    case = LAWS[name][variant]
    if case.in_step:
        assert len(case.seen) <= len(case.laws)
        for seen, law in zip(case.seen, case.laws, strict=False):
            assert agreement(seen, case, law) > ALPHA


@pytest.mark.parametrize(("name", "variant"), APPROXIMATE)
def test_what_is_approximate_fails_against_the_truth(name, variant):
    case = LAWS[name][variant]
    assert distance(case.law) > 0.01
    assert chi_square(case.counts, JOINT) < ALPHA, "as good as exact: the rule is not tested"


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_samples_fail_against_the_laws_of_other_variants(name, variant):
    """Every option of a preset matters to its law, and the test sees it."""
    case = LAWS[name][variant]
    for other in LAWS[name].values():
        if distance(case.law, other.law) > 0.02:
            assert agreement(case.counts, other) < ALPHA


def test_variants_of_a_preset_differ():
    """Those that are exact are alike."""
    for name, variants in LAWS.items():
        laws = [(variant, case.law) for variant, case in variants.items() if not case.exact]
        for n, (one, law_of_one) in enumerate(laws):
            for other, law_of_other in laws[:n]:
                assert distance(law_of_one, law_of_other) > 0.01, f"{name}: {one} and {other}"


# Negative controls of the exact ones: the same helper must see these.


@pytest.mark.parametrize(
    "wrong",
    [
        presets.random_order(steps=4, temperature=1.1),
        presets.confidence(steps=4, temperature=0.9),
        presets.entropy_bound(bound=0.8),
        presets.mdlm(steps=16),
    ],
    ids=["temperature 1.1", "temperature 0.9", "entropy bound 0.8", "mdlm T=16"],
)
def test_slightly_wrong_samplers_fail_against_the_truth(wrong):
    assert chi_square(generated(wrong), JOINT) < ALPHA


def test_the_sign_of_doubt_shows():
    """ReMDM takes back what was unlikely; what was likely instead would be another law."""
    case = LAWS["remdm"]["confidence"]
    wrong = laws_of(remdm("confidence", 0.02, doubt=1), case.plan, memory=case.memory, whole=True)
    assert agreement(case.seen[1], case, list(wrong)[1]) < ALPHA


def test_two_samples_of_one_law_agree_and_of_two_do_not():
    random = np.random.default_rng(3)
    one, again = (random.multinomial(n, JOINT.ravel()) for n in (20_000, 400_000))
    bent = JOINT.ravel() ** 0.9
    other = random.multinomial(20_000, bent / bent.sum())
    assert two_samples(one, again) > ALPHA
    assert two_samples(other, again) < ALPHA
