"""How many tokens, and how sure that is."""

from __future__ import annotations

import math
from typing import Final, NamedTuple


class Tally(NamedTuple):
    """`tokens` is the best count and `most` the bound. `unsure` is the room between the two for long texts, of which
    only a sample was counted, and `guesses` the number of parts that were not counted with the model's vocabulary."""

    tokens: int = 0
    most: int = 0
    unsure: int = 0
    guesses: int = 0

    def plus(self, other: Tally) -> Tally:
        tokens, most, unsure, guesses = other
        return Tally(self.tokens + tokens, self.most + most, self.unsure + unsure, self.guesses + guesses)

    def minus(self, part: Tally) -> Tally:
        tokens, most, unsure, guesses = part
        return Tally(self.tokens - tokens, self.most - most, self.unsure - unsure, self.guesses - guesses)

    def reserve(self, margin: float) -> int:
        """What to hold: the count with `margin`, sampled texts at their bound, and never more than the bound."""
        return self.most if math.isinf(margin) else min(self.most, math.ceil(self.tokens * margin) + self.unsure)


NOTHING: Final = Tally()
