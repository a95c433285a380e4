"""How many attempts fit into a time.

A step's patience counts attempts and not the clock: while no worker runs, nothing is tried and nothing is
given up. Invariants: at least one attempt; never fewer with more patience; the pauses before the last attempt
add up to no more than the patience.

An attempt that an open breaker refused was none: a step whose last one was refused goes on until the clock, too,
says that its patience is over, and never ends so before `REFUSED_PATIENCE_S`, within which a breaker is asked twice.

Who asks us to come back later is waited for as long as that ends within the patience, by the clock.
"""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
GROWTH = 2.0
REFUSED_PATIENCE_S = 150.0


def attempts_within(patience_s: float) -> int:
    attempts, pause, spent = 1, FIRST_PAUSE_S, FIRST_PAUSE_S
    while spent <= patience_s:
        attempts += 1
        pause = min(pause * GROWTH, LONGEST_PAUSE_S)
        spent += pause
    return attempts


def worth_waiting(waited_s: float, wait_s: float, patience_s: float) -> bool:
    """Whether what is to come in `wait_s` comes in time, where something else could be tried instead."""
    return waited_s + wait_s <= patience_s


def still_patient(spent_s: float, patience_s: float) -> bool:
    """Whether a step goes on, whose attempts are over and whose last one was refused."""
    return spent_s < max(patience_s, REFUSED_PATIENCE_S)
