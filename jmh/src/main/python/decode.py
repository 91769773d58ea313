"""Python's way from encoded rows in memory to pixels, on one thread, with Pillow and torchvision, as Lance's examples do it.

    python decode.py decode|batch DATASET COLUMN [--image-size S] [--quick]

decode: images one by one, to float; batch: {BATCH} images to one tensor, and their labels to another. Both say images/s.
"""

import argparse
import io

import lance
import torch
from figures import rate, report
from PIL import Image
from torchvision import transforms

BATCH = 64


def main(case: str, uri: str, column: str, image_size: int, quick: bool) -> None:
    torch.set_num_threads(1)
    rows = lance.dataset(uri).to_table(columns=[column, "label"], limit=BATCH).to_pylist()
    transform = transforms.Compose([transforms.Resize((image_size, image_size)), transforms.ToTensor()])

    def image(row) -> torch.Tensor:
        return transform(Image.open(io.BytesIO(row[column])).convert("RGB"))

    def decode() -> int:
        return sum(image(row).shape[0] == 3 for row in rows)

    def batch() -> int:
        images = torch.stack([image(row) for row in rows])
        labels = torch.tensor([row["label"] for row in rows])
        assert len(images) == len(labels)
        return len(images)

    report("python Pillow + torchvision", rate(decode if case == "decode" else batch, quick), "images/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__.format(BATCH=BATCH), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", choices=["decode", "batch"])
    parser.add_argument("dataset")
    parser.add_argument("column")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--quick", action="store_true", help="one short run")
    args = parser.parse_args()
    main(args.case, args.dataset, args.column, args.image_size, args.quick)
