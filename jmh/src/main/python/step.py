"""What a training step of two ranks costs with torch's DistributedDataParallel, by Gloo over the loopback interface.

    python step.py WIDTH ROWS [--quick]

The model is two linear layers of WIDTH without bias, as in StepBenchmark.
"""

import argparse

import ranks
import torch
from figures import report
from torch.nn.parallel import DistributedDataParallel

OPERATIONS = 10


def rank_main(rank: int, width: int, rows: int, quick: bool) -> None:
    model = torch.nn.Sequential(*(torch.nn.Linear(width, width, bias=False) for _ in range(2)))
    for parameter in model.parameters():
        torch.nn.init.ones_(parameter)
    ddp = DistributedDataParallel(model)
    sgd = torch.optim.SGD(model.parameters(), lr=1e-9)
    inputs = torch.ones(rows, width)

    def train() -> int:
        for _ in range(OPERATIONS):
            sgd.zero_grad()
            ddp(inputs).mean().backward()
            sgd.step()
        return OPERATIONS

    score = ranks.rate_of_both(rank, train, quick)
    if score is not None:
        report("python DistributedDataParallel", 1e6 / score, "us/op")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("width", type=int, metavar="WIDTH")
    parser.add_argument("rows", type=int, metavar="ROWS")
    parser.add_argument("--quick", action="store_true", help="one short run")
    args = parser.parse_args()
    ranks.run(rank_main, args.width, args.rows, args.quick)
