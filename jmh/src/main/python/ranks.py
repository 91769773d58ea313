"""Two ranks on this machine, by torch.distributed and Gloo over the loopback interface."""

import os
import socket
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from figures import rate


def _rank(rank: int, port: int, main: Callable[..., None], arguments: tuple) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    torch.set_num_threads(1)
    main(rank, *arguments)
    # Without destructors, which wait for each other's threads.
    dist.barrier()
    os._exit(0)


def run(main: Callable[..., None], *arguments: object) -> None:
    """Calls main(rank, *arguments) in two processes, with a thread of libtorch each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    multiprocessing.spawn(_rank, (free, main, arguments), nprocs=2)


def rate_of_both(rank: int, work: Callable[[], int], quick: bool) -> float | None:
    """As figures.rate of work that both ranks do; on rank 0, which counts the time and says whether there is another round."""
    more = torch.ones(1)
    if rank == 0:

        def round_of_both() -> int:
            dist.broadcast(more, 0)
            return work()

        score = rate(round_of_both, quick, seconds=1)
        dist.broadcast(torch.zeros(1), 0)
        return score
    while True:
        dist.broadcast(more, 0)
        if more.item() == 0:
            return None
        work()
