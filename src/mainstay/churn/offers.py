"""What decisions do to a town: who is made an offer, whom chance holds back, and who is kept by one.

Whoever is acted upon may be saved, so that what became of her tells nothing of who would have left. Only those who were
not acted upon tell that, each as often as the probability of that says; a control group sees to it that there are some.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainstay.errors import Refused

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SAVED: Final = 0.3
"""Of those who would leave, whom an offer in time keeps."""
OFFERED: Final = 0.8
"""Of those whom a decision flags, who are made an offer; the rest are the control group."""
COST: Final = 20.0
"""Of an offer, in USD."""


def fates(leaving: Floats, chance: Floats, persuaded: Floats, save_rate: float = SAVED) -> tuple[Flags, Flags]:
    """Who would leave, and who of them stays if she is made an offer before she has left.

    `leaving` are probabilities in [0, 1]; `chance` and `persuaded` uniform numbers in [0, 1), one each for everybody.
    An offer does nothing for whoever would have stayed.
    """
    leaves = np.asarray(chance < leaving)
    return leaves, leaves & (persuaded < save_rate)


def offers(decided: Mapping[str, Any], acting: Any = "Yes", probability: float = OFFERED) -> dict[str, float]:
    """The probability of an offer to each customer whose decision says to act, as `lives.Town.step` takes it.

    Whom chance leaves out is the control group: the town tells of her as an action of kind `none`, with this
    probability. At 1 there is none, and nothing can be learnt of those whom decisions flag. Raises Refused for a
    probability outside (0, 1].
    """
    if not 0 < probability <= 1:
        raise Refused(f"offers are made with a probability above 0 and at most 1, not {probability}", "offers")
    return {entity: probability for entity, decision in decided.items() if decision == acting}
