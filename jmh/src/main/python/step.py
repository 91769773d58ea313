"""What a training step of two ranks costs with torch's DistributedDataParallel, by Gloo over the loopback interface.

    python step.py WIDTH [--quick]

The model is that of StepBenchmark: two parameters of WIDTH x WIDTH, each multiplied with the input.
"""

import argparse

import ranks
import torch
from figures import report
from torch.nn.parallel import DistributedDataParallel

OPERATIONS = 10


class Model(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = torch.nn.Parameter(torch.ones(width, width))
        self.second = torch.nn.Parameter(torch.ones(width, width))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return (self.first * inputs + self.second * inputs).mean()


def rank_main(rank: int, width: int, quick: bool) -> None:
    model = Model(width)
    ddp = DistributedDataParallel(model)
    sgd = torch.optim.SGD(model.parameters(), lr=1e-9)
    inputs = torch.ones(width, width)

    def train() -> int:
        for _ in range(OPERATIONS):
            sgd.zero_grad()
            ddp(inputs).backward()
            sgd.step()
        return OPERATIONS

    score = ranks.rate_of_both(rank, train, quick)
    if score is not None:
        report("python DistributedDataParallel", 1e6 / score, "us/op")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("width", type=int, metavar="WIDTH")
    parser.add_argument("--quick", action="store_true", help="one short run")
    args = parser.parse_args()
    ranks.run(rank_main, args.width, args.quick)
