"""What one sum of a float tensor over two ranks costs with torch.distributed, by Gloo over the loopback interface.

    python collectives.py BYTES... [--quick]

Starts both ranks, as processes; rank 0 says microseconds for each size.
"""

import argparse
import os
import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from figures import rate, report

OPERATIONS = 10


def size_name(size: int) -> str:
    return f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} KB"


def rank_main(rank: int, port: int, sizes: list[int], quick: bool) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    torch.set_num_threads(1)
    for size in sizes:
        tensor = torch.zeros(size // 4)
        more = torch.ones(1)

        def reduce() -> int:
            # Rank 0 counts the time, so it says whether there is another round.
            if rank == 0:
                dist.broadcast(more, 0)
            for _ in range(OPERATIONS):
                dist.all_reduce(tensor)
            return OPERATIONS

        if rank == 0:
            more.fill_(1)
            score = 1e6 / rate(reduce, quick, seconds=1)
            dist.broadcast(torch.zeros(1), 0)
            report(f"python torch.distributed {size_name(size)}", score, "us/op", group=size_name(size))
        else:
            while True:
                dist.broadcast(more, 0)
                if more.item() == 0:
                    break
                reduce()
    # Without destructors, which wait for each other's threads.
    dist.barrier()
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="+", metavar="BYTES")
    parser.add_argument("--quick", action="store_true", help="one short run")
    args = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    multiprocessing.spawn(rank_main, (free, args.sizes, args.quick), nprocs=2)
