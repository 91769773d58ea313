"""The price of one operator call in Python: torch.add of two float tensors of one element.

    python call.py [--quick]
"""

import argparse

import torch
from figures import rate, report

CALLS = 1000


def main(quick: bool) -> None:
    torch.set_num_threads(1)
    a, b = torch.ones(1), torch.full((1,), 2.0)

    def calls() -> int:
        for _ in range(CALLS):
            torch.add(a, b)
        return CALLS

    report("python torch", 1e9 / rate(calls, quick, seconds=1), "ns/op")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short run")
    main(parser.parse_args().quick)
