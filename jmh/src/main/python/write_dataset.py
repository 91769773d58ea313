"""Writes an ImageFolder tree (SRC/<class>/<file>.jpg) as a Lance dataset, with Lance's Python package.

Columns: image (binary, the files' own bytes) and label (int64), the class names as a JSON list under the key
"classes" of the schema's metadata, rows shuffled.

    python write_dataset.py SRC OUT.lance
"""

import argparse
import json
import random
from pathlib import Path

import lance
import pyarrow as pa


def image_files(root: Path) -> tuple[list[tuple[Path, int]], list[str]]:
    classes = sorted(folder.name for folder in root.iterdir() if folder.is_dir())
    files = [
        (file, label)
        for label, name in enumerate(classes)
        for file in sorted((root / name).iterdir())
        if file.suffix.lower() in {".jpg", ".jpeg", ".png"}
    ]
    if not files:
        raise SystemExit(f"no images at {root}/<class>/")
    return files, classes


def write(root: Path, out: str, fragment_size: int, seed: int) -> None:
    files, classes = image_files(root)
    random.Random(seed).shuffle(files)
    schema = pa.schema(
        [("image", pa.binary()), ("label", pa.int64())],
        metadata={"classes": json.dumps(classes)},
    )

    def batches(rows: int = 256):
        for first in range(0, len(files), rows):
            part = files[first : first + rows]
            yield pa.record_batch(
                [
                    pa.array([file.read_bytes() for file, _ in part], pa.binary()),
                    pa.array([label for _, label in part], pa.int64()),
                ],
                schema=schema,
            )

    lance.write_dataset(
        pa.RecordBatchReader.from_batches(schema, batches()),
        out,
        mode="overwrite",
        max_rows_per_file=fragment_size,
    )
    print(f"{out}: {len(files)} rows, {len(classes)} classes, fragments of {fragment_size}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("src", type=Path)
    parser.add_argument("out")
    parser.add_argument("--fragment-size", type=int, default=12_500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write(args.src, args.out, args.fragment_size, args.seed)
