"""Python's ways from a Lance column of float32 vectors to tensors: scans by lance.torch.data.LanceDataset, and takes of random rows.

    python vectors.py scan|take DATASET COLUMN [--rows N] [--quick]

Scans are in batches of --rows (1024) and say GB/s; takes are of --rows (256) random rows, one after another, and say rows/s.
"""

import argparse
import random

import lance
import torch
from figures import rate, report
from lance.sampler import FullScanSampler, ShardedBatchSampler
from lance.torch.data import LanceDataset, SafeLanceDataset


def scan(uri: str, column: str, rows: int, quick: bool) -> None:
    dataset = lance.dataset(uri)
    width = dataset.schema.field(column).type.list_size
    total = dataset.count_rows()

    def whole_with(sampler) -> int:
        loader = LanceDataset(dataset, batch_size=rows, columns=[column], sampler=sampler)
        seen = 0
        for batch in loader:
            tensor = batch[column] if isinstance(batch, dict) else batch
            assert tensor.dtype == torch.float32 and tensor.shape[1] == width
            seen += len(tensor)
        assert seen == total, f"{seen} of {total} rows"
        return seen * width * 4

    full = rate(lambda: whole_with(FullScanSampler()), quick)
    report("python LanceDataset", full / 1e9, "GB/s")
    sharded = rate(lambda: whole_with(ShardedBatchSampler(0, 1)), quick)
    report("python LanceDataset, ShardedBatch", sharded / 1e9, "GB/s")

    def arrow() -> int:
        return sum(batch.num_rows for batch in dataset.to_batches(columns=[column], batch_size=rows)) * width * 4

    report("python Arrow only", rate(arrow, quick) / 1e9, "GB/s", role="TO_COMPARE")


def take(uri: str, column: str, rows: int, quick: bool) -> None:
    dataset = lance.dataset(uri)
    total = dataset.count_rows()
    safe = SafeLanceDataset(uri)

    def to_tensor() -> int:
        taken = safe.__getitems__(random.sample(range(total), rows))
        return len(torch.tensor([row[column] for row in taken]))

    report("python SafeLanceDataset", rate(to_tensor, quick), "rows/s")

    def arrow() -> int:
        return dataset.take(random.sample(range(total), rows), columns=[column]).num_rows

    report("python Arrow only", rate(arrow, quick), "rows/s", role="TO_COMPARE")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=["scan", "take"])
    parser.add_argument("dataset")
    parser.add_argument("column")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--quick", action="store_true", help="one short run")
    args = parser.parse_args()
    if args.case == "scan":
        scan(args.dataset, args.column, args.rows or 1024, args.quick)
    else:
        take(args.dataset, args.column, args.rows or 256, args.quick)
