"""The Python loaders of images that ./lancetorch bench compares with, each alone in its process.

    python loaders.py LOADER DATASET.lance FILES --workers N --image-size S --batch-size B [--pixel uint8]

    iterable    lance.torch.data.LanceDataset with its ShardedBatchSampler, decoding with Pillow in to_tensor_fn
    map         lance.torch.data.SafeLanceDataset in a DataLoader with worker processes
    folder      torchvision's ImageFolder in a DataLoader with worker processes
    dali        NVIDIA DALI's pipeline on the CPU
    ffcv        FFCV, of a .beton file that is written first, below FILES

FILES is the same images as a tree of files by class. All shuffle, and give float pixels of 0 to 1 unless --pixel says uint8 (dali and
ffcv only). It prints "first batch" then; then images/s of the first epoch, which holds the start of workers and what compiles at the
first use; of the epochs after it; and of these, images for each second of CPU time, over all processes and threads.
"""

import argparse
import io
import itertools
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable

from figures import report

EPOCHS = 3
QUICK_BATCHES = 4


def pillow_transform(size: int):
    from torchvision import transforms

    return transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor()])


class DecodeRows:
    """A function of rows with encoded images that worker processes can be sent."""

    def __init__(self, column: str, size: int):
        self.column = column
        self.transform = pillow_transform(size)

    def __call__(self, rows, **_):
        import torch
        from PIL import Image

        rows = rows if isinstance(rows, list) else rows.to_pylist()
        images = [self.transform(Image.open(io.BytesIO(row[self.column])).convert("RGB")) for row in rows]
        return torch.stack(images), torch.tensor([row.get("label", 0) for row in rows])


def columns_of(args) -> list[str]:
    import lance

    return [args.column] + [name for name in lance.dataset(args.dataset).schema.names if name == "label"]


def iterable(args) -> Iterable:
    import lance
    from lance.sampler import ShardedBatchSampler
    from lance.torch.data import LanceDataset

    return LanceDataset(
        lance.dataset(args.dataset),
        batch_size=args.batch_size,
        columns=columns_of(args),
        sampler=ShardedBatchSampler(0, 1, randomize=True, seed=1),
        to_tensor_fn=DecodeRows(args.column, args.image_size),
    )


def map_style(args) -> Iterable:
    from lance.torch.data import SafeLanceDataset, get_safe_loader

    return get_safe_loader(
        SafeLanceDataset(args.dataset),
        batch_size=args.batch_size,
        num_workers=args.workers,
        shuffle=True,
        collate_fn=DecodeRows(args.column, args.image_size),
    )


def folder(args) -> Iterable:
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    return DataLoader(
        ImageFolder(args.files, pillow_transform(args.image_size)),
        batch_size=args.batch_size,
        num_workers=args.workers,
        shuffle=True,
        persistent_workers=args.workers > 0,
    )


def dali(args) -> Iterable:
    from nvidia.dali import fn, pipeline_def, types
    from nvidia.dali.plugin.pytorch import DALIGenericIterator, LastBatchPolicy

    @pipeline_def(batch_size=args.batch_size, num_threads=args.workers, device_id=None)
    def images():
        encoded, labels = fn.readers.file(file_root=args.files, random_shuffle=True, name="files")
        decoded = fn.decoders.image(encoded, device="cpu", output_type=types.RGB)
        resized = fn.resize(decoded, size=[args.image_size] * 2, interp_type=types.INTERP_LINEAR, antialias=True)
        if args.pixel == "uint8":
            return resized, labels
        return fn.crop_mirror_normalize(resized, dtype=types.FLOAT, std=[255.0] * 3, output_layout="CHW"), labels

    pipeline = images()
    pipeline.build()
    loader = DALIGenericIterator(
        pipeline, ["image", "label"], reader_name="files", auto_reset=True, last_batch_policy=LastBatchPolicy.PARTIAL
    )
    return Pairs(loader)


class Pairs:
    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        for batches in self.loader:
            yield batches[0]["image"], batches[0]["label"]


def write_beton(args) -> str:
    """The same images for FFCV, where they are not there yet. It cannot take a JPEG's own bytes: it encodes them anew."""
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter
    from torchvision.datasets import ImageFolder

    path = os.path.join(os.path.dirname(os.path.abspath(args.files)), "images.beton")
    if not os.path.exists(path):
        fields = {"image": RGBImageField(write_mode="jpg", jpeg_quality=92), "label": IntField()}
        DatasetWriter(path, fields, num_workers=args.workers).from_indexed_dataset(ImageFolder(args.files))
    return path


def ffcv(args) -> Iterable:
    import numpy as np
    from ffcv.fields.decoders import CenterCropRGBImageDecoder, IntDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import NormalizeImage, ToTensor, ToTorchImage

    image = [CenterCropRGBImageDecoder((args.image_size,) * 2, 1.0)]
    if args.pixel == "float":
        image.append(NormalizeImage(np.zeros(3), np.full(3, 255.0), np.float32))
    return Loader(
        args.beton,
        batch_size=args.batch_size,
        num_workers=args.workers,
        order=OrderOption.RANDOM,
        os_cache=True,
        drop_last=False,
        pipelines={"image": [*image, ToTensor(), ToTorchImage()], "label": [IntDecoder(), ToTensor()]},
    )


def cpu_seconds() -> float:
    """Of this process and of its live workers."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        with open(f"/proc/{child.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def main(args: argparse.Namespace) -> None:
    import torch

    # Each thread and process of a loader is to have a core; a pool of libtorch's own beside them would only be in their way.
    torch.set_num_threads(1)
    if args.loader == "ffcv":
        args.beton = write_beton(args)

    begin = time.perf_counter()
    loader = LOADERS[args.loader](args)

    def epoch() -> int:
        batches = itertools.islice(loader, QUICK_BATCHES) if args.quick else loader
        return sum(take(batch) for batch in batches)

    def take(batch) -> int:
        images, labels = batch
        nonlocal announced
        if not announced:
            print(f"first batch {tuple(images.shape)} {images.dtype}", flush=True)
            announced = True
        assert len(images) == len(labels)
        return len(images)

    announced = False
    images = epoch()
    variant = f"{args.name} {args.pixel}"
    report(f"{variant} first epoch", images / (time.perf_counter() - begin), "images/s", f"{args.pixel}, first epoch")

    begin, cpu = time.perf_counter(), cpu_seconds()
    images = sum(epoch() for _ in range(1 if args.quick else EPOCHS - 1))
    seconds, cpu = time.perf_counter() - begin, cpu_seconds() - cpu
    report(variant, images / seconds, "images/s", args.pixel)
    report(f"{variant} per core", images / cpu, "images/s", f"{args.pixel}, per core")
    # Workers of some loaders wait for each other at the end.
    sys.stdout.flush()
    os._exit(0)


LOADERS = {"iterable": iterable, "map": map_style, "folder": folder, "dali": dali, "ffcv": ffcv}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loader", choices=LOADERS)
    parser.add_argument("dataset")
    parser.add_argument("files")
    parser.add_argument("--name", help="what the figures call it (default: LOADER)")
    parser.add_argument("--column", default="image")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--pixel", choices=["float", "uint8"], default="float")
    parser.add_argument("--quick", action="store_true", help="a few batches for each epoch")
    arguments = parser.parse_args()
    arguments.name = arguments.name or arguments.loader
    main(arguments)
