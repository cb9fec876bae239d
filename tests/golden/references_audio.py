"""MAGNeT (2401.04577), whose units are spans of times: see `references`."""

from tests.golden.rules import commit, draw, guided, highest, log_softmax, planned, write


def magnet(tokens, editable, seed, steps, ratio, overlapping=False, **options):
    """Codebook level after level; spans of a level by what was drawn in them.

    The weight of the guidance falls with the unknown share of the level, from `guidance` to 1.
    """
    levels, span = options.get("levels", 4), options.get("span", 3)
    later = options.get("later_steps", 10)
    shape = {"temperature": options.get("temperature", 3.0), "top_p": options.get("top_p", 0.9)}
    rule = Overlapping if overlapping else Apart
    tokens, unknown, taken = list(tokens), set(editable), 0
    for level in range(levels):
        units = rule([i for i in range(len(tokens)) if i % levels == level], span)
        total, plan = planned(units.count(unknown), later if level else steps, ratio)
        for s, left in enumerate(plan, 1):
            inside = units.unknown(unknown)
            if not inside:  # overlapping spans may leave less than was planned, and end early
                break
            share = len(inside) / len(units.unknown(editable))
            weight = options.get("guidance", 0) * share + (1 - share)
            x = guided(tokens, unknown, options.get("told"), weight)
            warmth = shape["temperature"] * (total - s) / total
            drawn, shaped = draw(x, seed, taken, warmth, shape["top_p"])
            score = {i: log_softmax(shaped[i])[drawn[i]] for i in inside}
            step = commit(units.chosen(score, left), drawn, x, shaped)
            write(step, tokens, unknown)
            taken += 1
            yield step


class Apart:
    """Spans side by side: the plan counts those with an unknown position."""

    def __init__(self, places, span):
        self.spans = [places[at : at + span] for at in range(0, len(places), span)]

    def unknown(self, unknown):
        return {i for span in self.spans for i in span if i in unknown}

    def count(self, unknown):
        return sum(any(i in unknown for i in span) for span in self.spans)

    def chosen(self, score, left):
        """The unknown positions of the spans with the likeliest single token."""
        best = {
            at: max(score[i] for i in span if i in score)
            for at, span in enumerate(self.spans)
            if any(i in score for i in span)
        }
        keep = highest(best, best, len(best) - left)
        return {i for at in keep for i in self.spans[at] if i in score}


class Overlapping:
    """A span starts at every time: the plan counts positions."""

    def __init__(self, places, span):
        starts = range(max(1, len(places) - span + 1))
        self.places, self.spans = places, [places[at : at + span] for at in starts]

    def unknown(self, unknown):
        return {i for i in self.places if i in unknown}

    def count(self, unknown):
        return len(self.unknown(unknown))

    def chosen(self, score, left):
        """All but the least likely spans, as many as stay within what is to be left unknown.

        A span with known positions in it comes after those with fewer. One position at least is
        chosen, even when the steps before have chosen more than was planned.
        """

        def rank(span):
            free = [score[i] for i in span if i in score]
            return len(span) - len(free), sum(free)

        again = set()
        for span in sorted(self.spans, key=rank):
            more = again | {i for i in span if i in score}
            if len(more) > min(left, len(score) - 1):
                break
            again = more
        return score.keys() - again
