"""Plans for a budget, on machines that only a clock knows."""

from __future__ import annotations

import pytest

from unmask.errors import StrategyError
from unmask.training import Recipe
from unmask.training.planning import Scene, TrainingBudget, planned
from unmask.training.recipes import small

HOUR = 3600.0


class Machine:
    """A machine with a clock, on which a step has a cost of its own and one for its work."""

    def __init__(self, flops: float = 80e9, bfloat16: float = 1.0, overhead: float = 0.01):
        self.flops, self.bfloat16, self.overhead = flops, bfloat16, overhead
        self.now, self.measured = 0.0, list[Recipe]()

    def step(self, recipe: Recipe, scene: Scene) -> float:
        width, layers = recipe.backbone["hidden_size"], recipe.backbone["num_hidden_layers"]
        work = 12 * 10 * width**2 * layers * recipe.batch_size * scene.positions
        faster = self.bfloat16 if recipe.precision == "bfloat16" else 1.0
        return self.overhead + work / self.flops / faster

    def plan(
        self,
        budget: str,
        scene: Scene,
        recipe: Recipe | None = None,
        keep: tuple[str, ...] = (),
        gone: float = 0.0,
    ) -> tuple[Recipe, float]:
        """Return the recipe, and the seconds that a run of it ends after."""
        self.now = gone

        def measure(recipe: Recipe, steps: int) -> float:
            self.measured.append(recipe)
            self.now += (steps + 1) * self.step(recipe, scene)
            return self.step(recipe, scene)

        allowed, asked = TrainingBudget.of(budget), recipe or Recipe()
        found, _ = planned(allowed, asked, scene, measure, keep, lambda: self.now, gone)
        each = self.step(found, scene)
        trained = found.steps * each
        # What `measuring.Budget` spends: rounds of rows and samples, and the final figure.
        pass_of_row = each / (4 * found.batch_size)
        rows = min(max(2, trained / 20) / 2, 10 * found.held_out_rows * 2 * pass_of_row)
        samples = min(max(2, trained / 20) / 2, 10 * found.samples * 64 * pass_of_row)
        final = min(max(2, trained / 20), 4096 * 2 * pass_of_row)
        return found, self.now + trained + rows + samples + final


def scene(examples: int = 2433, positions: int = 128) -> Scene:
    return Scene(positions, examples, small)


def weights(recipe: Recipe) -> int:
    return 10 * recipe.backbone["hidden_size"] ** 2 * recipe.backbone["num_hidden_layers"]


@pytest.mark.parametrize("flops", [5e9, 80e9, 2e12])
@pytest.mark.parametrize("budget", ["1m", "10m", "2h", "1h30m", "90s"])
def test_the_run_ends_with_its_time(budget: str, flops: float) -> None:
    seconds = TrainingBudget.of(budget).seconds
    assert seconds is not None
    _, took = Machine(flops).plan(budget, scene(100_000))
    assert 0.9 * seconds <= took <= 1.02 * seconds


def test_time_that_is_gone_counts() -> None:
    """Of reading the data, say: the run ends with its time all the same."""
    for gone in (5.0, 60.0, 400.0):
        _, took = Machine().plan("10m", scene(100_000), gone=gone)
        assert 540 <= took <= 612
    with pytest.raises(StrategyError, match="one step takes"):
        Machine(5e7).plan("20s", scene(100_000), gone=18.0)


def test_more_time_or_a_faster_machine_trains_a_larger_network() -> None:
    sizes = [weights(Machine().plan(each, scene(10**6))[0]) for each in ("1m", "10m", "2h", "48h")]
    assert sizes == sorted(set(sizes))
    assert weights(Machine(8e12).plan("10m", scene(10**6))[0]) > sizes[1]


def test_little_data_trains_a_small_network() -> None:
    few, many = (Machine().plan("48h", scene(examples))[0] for examples in (500, 10**6))
    assert weights(few) < weights(many)
    assert weights(few) <= 10 * 500 * 128


def test_a_larger_batch_waits_for_steps() -> None:
    """In a short time more steps teach more than larger batches, which need 2,000 steps."""
    for budget, flops, rows in (("1m", 5e9, 8), ("2h", 80e9, 32), ("48h", 80e9, 64)):
        recipe, _ = Machine(flops).plan(budget, scene(10**6))
        assert recipe.batch_size == rows
        assert (rows == 8) == (recipe.steps < 2000)
    recipe, _ = Machine().plan("48h", scene(10**6), Recipe(batch_size=4), ("batch_size",))
    assert recipe.batch_size == 4
    tokens, _ = Machine().plan(str(10**9), scene(10**7))
    assert tokens.steps >= 2000
    assert tokens.batch_size > 8
    few, _ = Machine().plan("48h", scene(examples=20))
    assert few.batch_size == 16


def test_looking_takes_a_small_part_of_the_time() -> None:
    for flops in (5e9, 80e9, 2e12):
        machine = Machine(flops)
        machine.plan("10m", scene(10**6))
        assert machine.now <= 0.1 * 600


def test_the_faster_precision_is_taken() -> None:
    assert Machine(bfloat16=1.6).plan("10m", scene())[0].precision == "bfloat16"
    assert Machine(bfloat16=1.0).plan("10m", scene())[0].precision == "float32"


def test_what_is_given_stays() -> None:
    recipe = Recipe(backbone=small(48, 5), learning_rate=1e-3, batch_size=24)
    found, took = Machine(bfloat16=2).plan("10m", scene(), recipe, ("backbone", "learning_rate"))
    assert found.backbone == recipe.backbone
    assert found.learning_rate == 1e-3
    assert found.batch_size == 32
    assert found.precision == "bfloat16"
    assert 540 <= took <= 612
    found, took = Machine(bfloat16=2).plan("10m", scene(), recipe, ("batch_size", "precision"))
    assert found.batch_size == 24
    assert found.precision == "float32"
    assert 540 <= took <= 612


def test_tokens_are_planned_without_looking() -> None:
    machine, numbers = Machine(), {}
    for tokens in (10**5, 10**7, 10**9):
        recipe, _ = machine.plan(str(tokens), scene(10**7))
        numbers[tokens] = recipe.steps * recipe.batch_size * 128, weights(recipe)
    assert not machine.measured
    assert all(0.9 * tokens <= found <= tokens for tokens, (found, _) in numbers.items())
    sizes = [size for _, size in numbers.values()]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), ("1h1m1s", 3661)],
)
def test_times(text: str, seconds: float) -> None:
    assert TrainingBudget.of(text) == TrainingBudget(seconds=seconds)


@pytest.mark.parametrize("text", ["20_000_000", "20000000", "20,000,000"])
def test_tokens(text: str) -> None:
    assert TrainingBudget.of(text) == TrainingBudget(tokens=20_000_000)


@pytest.mark.parametrize("text", ["", "soon", "20M", "m", "-5m", "0", "5 m", "1e6", "30m2h"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(StrategyError, match="such as 90s, 30m"):
        TrainingBudget.of(text)


def test_budgets_in_which_nothing_is_trained() -> None:
    with pytest.raises(StrategyError, match="20s or more"):
        TrainingBudget.of("5s")
    with pytest.raises(StrategyError, match="one step"):
        Machine().plan("100", scene())
    with pytest.raises(StrategyError, match="a smaller backbone"):
        Machine(flops=1e6).plan("1m", scene(), Recipe(backbone=small(512, 8)), ("backbone",))
