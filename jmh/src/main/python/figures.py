"""How the benchmark scripts say what they measured: one line of JSON a figure, which ./lancetorch bench reads."""

import json
import time
from collections.abc import Callable


def report(implementation: str, score: float, unit: str, group: str = "", role: str = "PEER") -> None:
    line = {"implementation": implementation, "role": role, "group": group, "score": score, "unit": unit}
    print(json.dumps(line), flush=True)


def rate(work: Callable[[], int], quick: bool, seconds: float = 2, runs: int = 5) -> float:
    """Units a second of the median of some runs, after one to warm up; work does some units and returns how many."""
    if quick:
        seconds, runs = 0.3, 1

    def once() -> float:
        done, begin = 0, time.perf_counter()
        while (passed := time.perf_counter() - begin) < seconds or done == 0:
            done += work()
        return done / passed

    once()
    return sorted(once() for _ in range(runs))[runs // 2]
