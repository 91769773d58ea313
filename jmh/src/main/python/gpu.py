"""What a GPU's work costs from Python: copies to it, small operators, sums over NCCL's ranks, and a training step of ResNet-50.

    python gpu.py [--quick] [--step]
"""

import argparse
import os
import sys
import time

import torch
from figures import rate, report

BATCH = 128
BATCH_BYTES = BATCH * 3 * 224 * 224
CALLS = 1000


def synchronized(work, times: int):
    def run() -> int:
        for _ in range(times):
            work()
        torch.cuda.synchronize()
        return times

    return run


def figures(quick: bool) -> None:
    for batches in (1, 4):
        size = batches * BATCH_BYTES
        host = torch.ones(size, dtype=torch.uint8).pin_memory()
        there = torch.empty(size, dtype=torch.uint8, device="cuda")
        score = rate(synchronized(lambda: there.copy_(host, non_blocking=True), 20), quick, seconds=1)
        report("python torch", score * size / 1e9, "GB/s", f"copy of {size // 1_000_000} MB to the GPU")
    a, b = torch.ones(1, device="cuda"), torch.ones(1, device="cuda")
    score = rate(synchronized(lambda: torch.add(a, b), CALLS), quick, seconds=1)
    report("python torch", score, "calls/s", "add of 1 element on the GPU")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29577")
    torch.distributed.init_process_group("nccl", rank=0, world_size=1)
    for megabytes in (1, 16, 256, 1024):
        values = torch.zeros(megabytes << 18, device="cuda")
        score = rate(synchronized(lambda: torch.distributed.all_reduce(values), 20), quick, seconds=1)
        report("python torch", 1e6 / score, "us/op", f"NCCL all-reduce of {megabytes} MB")
    torch.distributed.destroy_process_group()


def step(quick: bool, compiled: bool) -> None:
    """What ./lancetorch train --synthetic does, in Python: ResNet-50, bf16, channels-last, fused SGD, cudnn.benchmark."""
    import torchvision

    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    model = torchvision.models.resnet50().cuda().to(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4, fused=True)
    images = torch.randn(BATCH, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH, device="cuda")
    forward = torch.compile(model) if compiled else model

    def train() -> None:
        sgd.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(forward(images), labels)
        loss.backward()
        sgd.step()

    for _ in range(10):
        train()
    score = rate(synchronized(train, 10), quick, seconds=3, runs=3)
    report("python torch.compile" if compiled else "python torch", score * BATCH, "images/s", "step of ResNet-50 on noise")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short run")
    parser.add_argument("--step", action="store_true", help="the training step alone, which wants torchvision")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("this torch sees no GPU")
    if args.step:
        step(args.quick, False)
        begin = time.perf_counter()
        step(args.quick, True)
        print(f"# compiled and measured in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    else:
        figures(args.quick)
