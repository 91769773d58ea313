#!/usr/bin/env python3
"""Makes the files under src/test/resources that Python's own libraries are to have written.

Usage: make_fixtures.py PHOTOS, the folder `clothing` of 1,000 photographs. Run once, and commit what it writes; needs
torch 2.10, torchvision 0.25, pylance 14, pyarrow and Pillow 13 (or later ones, where the tests then say what changed).
"""

import io
import pickle
import shutil
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import torch
import torchvision
from PIL import Image

RESOURCES = Path(__file__).resolve().parent.parent / "resources"


def state_dicts(folder: Path) -> None:
    model = torch.nn.Sequential(
        OrderedDict(
            conv=torch.nn.Conv2d(1, 2, 3),
            norm=torch.nn.BatchNorm2d(2),
            head=torch.nn.Linear(4, 3),
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 8 - 1)
        model.norm.running_mean.copy_(torch.tensor([0.5, -0.25]))
        model.norm.num_batches_tracked.fill_(7)
    state = model.state_dict()
    assert isinstance(state, OrderedDict) and state._metadata
    torch.save(state, folder / "model.pt")

    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    torch.save(
        {
            "parameter": torch.nn.Parameter(torch.tensor([1.5, -2.5])),
            "bfloat16": torch.tensor([1.0, -0.5, 3.140625], dtype=torch.bfloat16),
            "half": torch.tensor([1.0, -0.5, 65504.0], dtype=torch.float16),
            "double": torch.tensor([1e-300, 2.0], dtype=torch.float64),
            "int64": torch.tensor([-(2**62), 2**62], dtype=torch.int64),
            "int32": torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
            "int16": torch.tensor([-32768, 32767], dtype=torch.int16),
            "int8": torch.tensor([-128, 127], dtype=torch.int8),
            "uint8": torch.tensor([0, 255], dtype=torch.uint8),
            "bool": torch.tensor([True, False, True]),
            "scalar": torch.tensor(42.0),
            "empty": torch.empty(0, 3),
            "base": base,
            "row": base[2],
            "column": base[:, 1],
            "transposed": base.t(),
            "channels_last": torch.arange(24, dtype=torch.float32)
            .reshape(1, 2, 3, 4)
            .contiguous(memory_format=torch.channels_last),
        },
        folder / "types.pt",
    )
    torch.save({"w": torch.ones(2)}, folder / "old-format.pt", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(1, 1), folder / "whole-module.pt")

    class Evil:
        def __reduce__(self):
            return (exec, ("open('/tmp/lancetorch-was-here', 'w')",))

    with zipfile.ZipFile(folder / "evil.pt", "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps({"w": Evil()}, protocol=2))
        archive.writestr("evil/byteorder", "little")
        archive.writestr("evil/version", "3\n")


def small_jpeg(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 255 - value, 128)).save(out, "JPEG", quality=90)
    return out.getvalue()


def datasets(folder: Path) -> None:
    rows = 10
    table = pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(rows * 4, dtype=np.float32) / 2), 4),
            "image": pa.array([small_jpeg(20 * i) for i in range(rows)], pa.binary()),
            "flag": pa.array([i % 3 == 0 for i in range(rows)], pa.bool_()),
            "text": pa.array([f"row {i} \u00fc" for i in range(rows)], pa.string()),
        }
    ).replace_schema_metadata({"made by": "pylance"})
    for version in ("legacy", "2.0", "2.1"):
        target = folder / f"python-{version}.lance"
        shutil.rmtree(target, ignore_errors=True)
        lance.write_dataset(table, str(target), max_rows_per_file=6, data_storage_version=version)


def evolved(folder: Path) -> None:
    """Fragments of 1, 20, 20, 18 and 1 rows; then some rows are deleted; then a column is added."""
    target = folder / "python-evolved.lance"
    shutil.rmtree(target, ignore_errors=True)
    ends = [1, 21, 41, 59, 60]
    begin = 0
    for end in ends:
        ids = np.arange(begin, end, dtype=np.int64)
        vectors = np.repeat(ids.astype(np.float32), 4) + np.tile(np.arange(4, dtype=np.float32) / 4, len(ids))
        table = pa.table(
            {
                "id": pa.array(ids),
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors), 4),
            }
        )
        lance.write_dataset(table, str(target), mode="create" if begin == 0 else "append")
        begin = end
    dataset = lance.dataset(str(target))
    dataset.delete("id = 0 OR (id >= 10 AND id < 14) OR id = 41 OR id = 58")
    dataset.add_columns({"twice": "id * 2"})


def tensors(folder: Path) -> None:
    """Tensors of shape 2 x 3, row i from 6 * i on, once in row-major order and once transposed."""
    values = pa.array(np.arange(5 * 6, dtype=np.float32))
    storage = pa.FixedSizeListArray.from_arrays(values, 6)
    plain = pa.fixed_shape_tensor(pa.float32(), [2, 3])
    permuted = pa.fixed_shape_tensor(pa.float32(), [3, 2], dim_names=["w", "h"], permutation=[1, 0])
    table = pa.table(
        {
            "plain": pa.ExtensionArray.from_storage(plain, storage),
            "permuted": pa.ExtensionArray.from_storage(permuted, storage),
        }
    )
    target = folder / "python-tensors.lance"
    shutil.rmtree(target, ignore_errors=True)
    lance.write_dataset(table, str(target), data_storage_version="2.1")


def blobs(folder: Path) -> None:
    """Row i has 100 * i bytes, each of them i; row 2 is a null."""
    field = pa.field("blob", pa.large_binary(), metadata={"lance-encoding:blob": "true"})
    values = [None if i == 2 else bytes([i]) * 100 * i for i in range(5)]
    table = pa.table(
        [pa.array(range(5), pa.int64()), pa.array(values, pa.large_binary())],
        schema=pa.schema([pa.field("id", pa.int64()), field]),
    )
    target = folder / "python-blobs.lance"
    shutil.rmtree(target, ignore_errors=True)
    lance.write_dataset(table, str(target), data_storage_version="2.1")


def elsewhere(folder: Path) -> None:
    """Datasets that name files outside of their folders; the tests make and remove the second one's file."""
    outside = Path("/tmp/lancetorch-elsewhere")
    outside.mkdir(exist_ok=True)
    ids = pa.array(range(5), pa.int64())
    source = lance.write_dataset(pa.table({"id": ids}), outside / "source.lance", mode="overwrite")
    target = folder / "python-clone.lance"
    shutil.rmtree(target, ignore_errors=True)
    source.shallow_clone(str(target), source.version)

    (outside / "secret.txt").write_text("a secret")
    target = folder / "python-external-blobs.lance"
    shutil.rmtree(target, ignore_errors=True)
    videos = lance.blob_array([b"inside", lance.Blob.from_uri(f"file://{outside}/secret.txt")])
    schema = pa.schema([pa.field("id", pa.int64()), lance.blob_field("video")])
    table = pa.table({"id": ids[:2], "video": videos}, schema=schema)
    lance.write_dataset(table, target, allow_external_blob_outside_bases=True)
    shutil.rmtree(outside)


def png(array: np.ndarray, path: Path) -> None:
    Image.fromarray(array).save(path, optimize=True)


def reference(image: Image.Image, size: int) -> np.ndarray:
    transform = torchvision.transforms.Compose(
        [torchvision.transforms.Resize((size, size)), torchvision.transforms.ToTensor()]
    )
    floats = transform(image.convert("RGB"))
    bytes_ = (floats * 255).round().to(torch.uint8)
    assert torch.equal(bytes_.float() / 255, floats)  # so that a PNG holds the reference without loss
    return bytes_.permute(1, 2, 0).numpy()


def images(folder: Path, photos: Path) -> None:
    chosen = [sorted((photos / kind).glob("*.jpg"))[3] for kind in ("dress", "hat", "pants", "shoes")]
    for path in chosen:
        name = f"{path.parent.name}.jpg"
        shutil.copyfile(path, folder / name)
        image = Image.open(path)
        png(reference(image, 64), folder / f"{path.parent.name}-64.png")
        if path.parent.name == "dress":
            png(reference(image, 224), folder / "dress-224.png")

    small = Image.open(chosen[1]).convert("RGB").resize((96, 72), Image.Resampling.LANCZOS)
    alpha = small.copy()
    alpha.putalpha(small.convert("L"))
    odd = {
        "gray.jpg": (small.convert("L"), {"quality": 90}),
        "cmyk.jpg": (small.convert("CMYK"), {"quality": 90}),
        "progressive.jpg": (small, {"quality": 90, "progressive": True}),
        "rgb.png": (small.resize((40, 30)), {}),
        "alpha.png": (alpha.resize((40, 30)), {}),
        "palette.png": (small.resize((40, 30)).quantize(32), {}),
        "tiny.jpg": (small.resize((3, 2)), {"quality": 90}),
    }
    for name, (image, options) in odd.items():
        image.save(folder / name, **options)
        png(reference(Image.open(folder / name), 32), folder / f"{name.replace('.', '-')}-32.png")


def main() -> None:
    state_dicts(RESOURCES / "statedict")
    datasets(RESOURCES / "lance")
    evolved(RESOURCES / "lance")
    tensors(RESOURCES / "lance")
    blobs(RESOURCES / "lance")
    elsewhere(RESOURCES / "lance")
    images(RESOURCES / "images", Path(sys.argv[1]))


if __name__ == "__main__":
    main()
