"""What one sum of a float tensor over two ranks costs with torch.distributed, by Gloo over the loopback interface.

    python collectives.py BYTES... [--quick]

Rank 0 says microseconds for each size.
"""

import argparse

import ranks
import torch
import torch.distributed as dist
from figures import report

OPERATIONS = 10


def size_name(size: int) -> str:
    return f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} KB"


def rank_main(rank: int, sizes: list[int], quick: bool) -> None:
    for size in sizes:
        tensor = torch.zeros(size // 4)

        def reduce() -> int:
            for _ in range(OPERATIONS):
                dist.all_reduce(tensor)
            return OPERATIONS

        score = ranks.rate_of_both(rank, reduce, quick)
        if score is not None:
            report(f"python torch.distributed {size_name(size)}", 1e6 / score, "us/op", group=size_name(size))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="+", metavar="BYTES")
    parser.add_argument("--quick", action="store_true", help="one short run")
    args = parser.parse_args()
    ranks.run(rank_main, args.sizes, args.quick)
