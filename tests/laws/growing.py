"""Rows that grow up to four positions: laws of DAEDAL and ρ-EOS.

A rule remembers how long a row is. Behind that the canvas holds the end id, as the library has it,
and the network knows nothing of it.
"""

import math

from tests.laws.adaptive import open_block
from tests.laws.cases import Case
from tests.laws.world import UNKNOWN, best, conditionals, fills, heated, turns, unknown_in

from unmask import presets

END = 2
MANY = turns([0] * 12)
NOT_BEGUN = (None,)


def there(canvas, length):
    """The canvas as the network sees it."""
    return (*canvas[:length], *[UNKNOWN] * (4 - length))


def stored(row):
    """A row as the library has it, and its length."""
    return (*row, *[END] * (4 - len(row))), len(row)


def begun(turn, length, initial):
    """The first position to generate, and how long a row is, before the first step too."""
    start = min(turn.editable)
    return start, min(start + initial, 4) if length is None else length


def filled(canvas, start, length, p, threshold, block, temperature):
    """Every way to commit what is sure of the open block, or the surest.

    Yields the chance, the row, and the probabilities of the draws that are not committed.
    """
    row = (*canvas[:length], *[END] * (4 - length))
    running = open_block(row, block, start) & unknown_in(row)
    for f, after in fills(row, running, heated(p, temperature)):
        says = {i: float(p[i, after[i]]) for i in running}
        chosen = frozenset(i for i in says if says[i] > threshold) or best(says, 1)
        made = [after[i] if i in chosen or i not in running else UNKNOWN for i in range(length)]
        yield f, made, {i: says[i] for i in running - chosen}


def daedal(threshold, low, initial, expansion, enough, complete, window, block, temperature=1.0):
    """2508.00819."""

    def rule(turn, canvas, length):
        start, length = begun(turn, length, initial)
        p, room = conditionals(there(canvas, length)), 4 - length
        ends = [p[i, END] for i in reversed(range(start, length)) if p[i].argmax() == END][:window]
        sure, row = sum(ends) / window, list(canvas[:length])
        if room and set(row[start:]) == {UNKNOWN} and (sure < enough or window > 1):
            ready = sure >= enough
            more = [END] * min(window // 2, room) if ready else [UNKNOWN] * min(expansion, room)
            yield 1.0, *stored(row + more)
            return
        for f, made, rest in filled(canvas, start, length, p, threshold, block, temperature):
            doubtful = [i for i in rest if rest[i] < low]
            if doubtful and room and sure < complete:
                least = min(doubtful, key=lambda i: (rest[i], i))
                made[least:least] = [UNKNOWN] * (expansion - 1)
            yield f, *stored(made[:4])

    return rule


def rho_eos(threshold, low, high, initial, expansion, block, temperature=1.0):
    """2601.22527."""

    def rule(turn, canvas, length):
        start, length = begun(turn, length, initial)
        p, room = conditionals(there(canvas, length)), 4 - length
        unknown = [i for i in range(length) if canvas[i] == UNKNOWN]
        rho = sum(p[i].argmax() == END for i in unknown) / len(unknown)
        tenths = math.ceil(round(10 * max(low - rho, rho - high), 6))
        count = expansion * 2 ** min(max(tenths - 1, 0), 3)
        for f, made, _ in filled(canvas, start, length, p, threshold, block, temperature):
            if room and rho < low:
                at = made.index(END, start) if END in made[start:] else length
                made[at:at] = [UNKNOWN] * min(count, room)
            if room and rho > high:
                while (
                    len(made) > start and made[-1] in (UNKNOWN, END) and length - len(made) < count
                ):
                    made.pop()
            yield f, *stored(made)

    return rule


def case(name, rule, **options):
    preset = getattr(presets, name)
    strategy = preset(**options, end_id=END, temperature=1.0)
    return Case(strategy, rule(**options), MANY, memory=NOT_BEGUN)


LAWS = {
    "daedal": {
        "longer, then split": case(
            "daedal", daedal, threshold=0.5, low=0.4, initial=2, expansion=2, enough=0.3,
            complete=0.9, window=2, block=4,
        ),
        "never split, blocks of two": case(
            "daedal", daedal, threshold=0.4, low=0.0, initial=1, expansion=1, enough=0.9,
            complete=0.9, window=1, block=2,
        ),
    },
    "rho_eos": {
        "one by one": case(
            "rho_eos", rho_eos, threshold=0.5, low=0.4, high=0.6, initial=2, expansion=1, block=4
        ),
        "seldom longer, blocks of two": case(
            "rho_eos", rho_eos, threshold=0.4, low=0.1, high=0.4, initial=3, expansion=1, block=2
        ),
    },
}  # fmt: skip
