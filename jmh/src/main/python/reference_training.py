"""The training loop that ./lancetorch train is compared with: the same work in Python, as Lance's own examples do it.

Each rank reads its batches with lance.torch.data.LanceDataset and ShardedBatchSampler, decodes them with Pillow and
torchvision in a to_tensor_fn, and trains torchvision's ResNet-18 with SGD under DistributedDataParallel over Gloo.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    OMP_NUM_THREADS=1 .venv/bin/torchrun --standalone --nproc-per-node 2 reference_training.py DATASET.lance \\
        --image-size 64 --batch-size 64 --epochs 3

Rank 0 prints one line an epoch; --metrics writes the same as JSON lines, under the keys of ./lancetorch train. The first
epoch holds the warm-up, so compare later ones.
"""

import argparse
import io
import itertools
import json
import os
import sys
import time
import warnings

import lance
import torch
import torch.distributed as dist
from lance.sampler import ShardedBatchSampler
from lance.torch.data import LanceDataset
from PIL import Image
from torch.nn.parallel import DistributedDataParallel
from torchvision import models, transforms

# LanceDataset hands every sampler with_row_id, and this sampler warns that it has no use for it.
warnings.filterwarnings("ignore", message="with_row_id is not supported")


def batch_decoder(image_size: int):
    transform = transforms.Compose([transforms.Resize((image_size, image_size)), transforms.ToTensor()])

    def decode(batch, **_):
        rows = batch.to_pylist()
        images = [transform(Image.open(io.BytesIO(row["image"])).convert("RGB")) for row in rows]
        return torch.stack(images), torch.tensor([row["label"] for row in rows])

    return decode


def class_count(dataset: lance.LanceDataset) -> int:
    names = (dataset.schema.metadata or {}).get(b"classes")
    if names is not None:
        return len(json.loads(names))
    labels = dataset.to_table(columns=["label"])["label"]
    return max(labels.to_pylist()) + 1


def steps_of_every_rank(rows: int, batch_size: int, world_size: int) -> int:
    """DistributedDataParallel needs the same number of steps on all ranks; a round that not all ranks have is left out."""
    return -(-rows // batch_size) // world_size


def train(args: argparse.Namespace) -> None:
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo")
    torch.manual_seed(args.seed)

    source = lance.dataset(args.dataset)
    steps = steps_of_every_rank(source.count_rows(), args.batch_size, world_size)
    if steps == 0:
        raise SystemExit(f"{args.dataset} has no batch of {args.batch_size} rows for each of {world_size} ranks")
    loader = LanceDataset(
        source,
        batch_size=args.batch_size,
        columns=["image", "label"],
        sampler=ShardedBatchSampler(rank, world_size, randomize=True, seed=args.seed),
        to_tensor_fn=batch_decoder(args.image_size),
    )

    model = getattr(models, args.model)(weights=None, num_classes=class_count(source))
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
    model = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=args.momentum)
    loss_function = torch.nn.CrossEntropyLoss()
    if rank == 0:
        print(
            f"torch {torch.__version__}, lance {lance.__version__}, {world_size} ranks, {torch.get_num_threads()} thread"
            f" each, {args.model}, {args.image_size} px, batches of {args.batch_size}, {steps} steps an epoch",
            flush=True,
        )

    for epoch in range(args.epochs):
        model.train()
        loss_sum, images, waited = 0.0, 0, 0.0
        dist.barrier()
        begin = asked = time.perf_counter()
        for inputs, labels in itertools.islice(loader, steps):
            waited += time.perf_counter() - asked
            optimizer.zero_grad()
            loss = loss_function(model(inputs), labels)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(labels)
            images += len(labels)
            asked = time.perf_counter()
        seconds = time.perf_counter() - begin

        slowest = torch.tensor(seconds, dtype=torch.float64)
        dist.all_reduce(slowest, dist.ReduceOp.MAX)
        sums = torch.tensor([loss_sum, images, waited / seconds], dtype=torch.float64)
        dist.all_reduce(sums)
        if rank == 0:
            report(args, epoch, world_size, slowest.item(), *sums.tolist())

    # Leave without destructors: the group's waits, with the GIL, for a lock that one of its own threads holds while that
    # waits for the GIL, to free the last collective. With torch 2.10 some runs would never end.
    dist.barrier()
    sys.stdout.flush()
    os._exit(0)


def report(args, epoch: int, world_size: int, seconds: float, loss: float, images: float, wait_fractions: float) -> None:
    row = {
        "epoch": epoch,
        "loss": loss / images,
        "epoch_seconds": seconds,
        "images_per_second": images / seconds,
        "data_wait_fraction": wait_fractions / world_size,
        "world_size": world_size,
        "images_seen": int(images),
    }
    print(
        f"epoch {epoch}: loss {row['loss']:.4f}, {seconds:.2f} s, {row['images_per_second']:.1f} images/s,"
        f" {row['data_wait_fraction']:.1%} waiting for data",
        flush=True,
    )
    if args.metrics:
        with open(args.metrics, "a" if epoch else "w", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--model", choices=["resnet18", "resnet50"], default="resnet18")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--channels-last", action="store_true", help="not what the examples do; to tell its share apart")
    parser.add_argument("--metrics", metavar="FILE")
    arguments = parser.parse_args()
    if "RANK" not in os.environ:
        parser.error("RANK is not set: start it with torchrun, as the recipe above says")
    train(arguments)
