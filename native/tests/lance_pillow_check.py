# SPDX-License-Identifier: Apache-2.0
"""Compares lt_image_decode with Pillow and torchvision on a folder of photos and on made-up files of every kind.

    pip install pillow numpy torchvision
    python native/tests/lance_pillow_check.py path/to/liblancetorch_lance.so path/to/photos [count]

Not part of the build: it shows that the default transform is Pillow's (decode, convert("RGB"), antialiased bilinear resize),
that the center crop is torchvision's Resize and CenterCrop, and that a random crop is distributed as its RandomResizedCrop.
"""
import ctypes as c
import io
import pathlib
import sys

import numpy as np
from PIL import Image, ImageOps
from torchvision import transforms


class Error(c.Structure):
    _fields_ = [("code", c.c_int32), ("detail", c.c_int32), ("message", c.c_char * 2040)]


class Array(c.Structure):
    _fields_ = [("length", c.c_int64), ("null_count", c.c_int64), ("offset", c.c_int64), ("n_buffers", c.c_int64),
                ("n_children", c.c_int64), ("buffers", c.POINTER(c.c_void_p)), ("children", c.c_void_p),
                ("dictionary", c.c_void_p), ("release", c.c_void_p), ("private_data", c.c_void_p)]


class Options(c.Structure):
    _fields_ = [("height", c.c_int32), ("width", c.c_int32), ("dtype", c.c_int32), ("apply_orientation", c.c_int32),
                ("max_pixels", c.c_int64), ("geometry", c.c_int32), ("resize_shorter", c.c_int32),
                ("scale_min", c.c_double), ("scale_max", c.c_double), ("ratio_min", c.c_double), ("ratio_max", c.c_double),
                ("flip_probability", c.c_double), ("seed", c.c_uint64), ("normalize", c.c_int32), ("mean", c.c_float * 3),
                ("deviation", c.c_float * 3), ("fast", c.c_int32)]


lance = c.CDLL(sys.argv[1])
HEIGHT, WIDTH = 224, 200


def decode(file, height=HEIGHT, width=WIDTH, orientation=0, count=1, **options):
    """The image, or where count is above 1 that many of it, each with its position as its key."""
    offsets = (c.c_int32 * (count + 1))(*range(0, len(file) * (count + 1), max(len(file), 1)))
    data = c.create_string_buffer(file * count, max(len(file) * count, 1))
    buffers = (c.c_void_p * 3)(None, c.addressof(offsets), c.addressof(data))
    array = Array(length=count, n_buffers=3, buffers=buffers, release=1)
    options = Options(height=height, width=width, apply_orientation=orientation, **options)
    floats = options.dtype == 1
    pixels = np.zeros((count, height, width, 3), np.float32 if floats else np.uint8)
    keys = (c.c_uint64 * count)(*range(count))
    err = Error()
    code = lance.lt_image_decode(c.byref(array), b"z", c.c_int64(0), c.c_int64(count), c.byref(options), keys, None,
                                 pixels.ctypes.data_as(c.c_void_p), c.c_int64(pixels.nbytes), c.byref(err))
    if code != 0:
        return f"{code}: {err.message.decode()}"
    return pixels[0] if count == 1 else pixels


def pillow(file, height=HEIGHT, width=WIDTH, orientation=0):
    try:
        image = Image.open(io.BytesIO(file))
        if orientation:
            image = ImageOps.exif_transpose(image)
        return np.asarray(image.convert("RGB").resize((width, height), Image.BILINEAR))
    except Exception as e:
        return f"{type(e).__name__}: {e}"


def compare(name, file, **how):
    ours, theirs = decode(file, **how), pillow(file, **how)
    if isinstance(ours, str) or isinstance(theirs, str):
        print(f"{name:32} ours {ours if isinstance(ours, str) else 'decoded'} | Pillow "
              f"{theirs if isinstance(theirs, str) else 'decoded'}")
        return None
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    return difference.max(), difference.mean()


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


paths = sorted(p for p in pathlib.Path(sys.argv[2]).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
paths = paths[: int(sys.argv[3]) if len(sys.argv) > 3 else 500]
results = [r for p in paths if (r := compare(p.name, p.read_bytes()))]
results = np.array(results)
print(f"{len(results)} photos: largest difference {results[:, 0].max():.0f} of 255, mean {results[:, 1].mean():.4f}, "
      f"photos with any difference above 1: {(results[:, 0] > 1).sum()}")

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
evaluation = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
                                 transforms.Normalize(MEAN, DEVIATION)])
middle = dict(height=224, width=224, geometry=1, resize_shorter=256)
small = dict(height=96, width=96, geometry=1, resize_shorter=110)
largest, above, fast_means = 0.0, 0, []
for p in paths:
    file = p.read_bytes()
    ours = decode(file, **middle, dtype=1, normalize=1, mean=(c.c_float * 3)(*MEAN), deviation=(c.c_float * 3)(*DEVIATION))
    if isinstance(ours, str):
        continue
    theirs = evaluation(Image.open(io.BytesIO(file)).convert("RGB")).permute(1, 2, 0).numpy()
    # in levels of 255, the normalisation undone
    difference = np.abs(ours - theirs) * np.array(DEVIATION) * 255
    largest, above = max(largest, difference.max()), above + (difference.max() > 1.01)
    fast_means.append(np.abs(decode(file, **small, fast=1).astype(int) - decode(file, **small).astype(int)).mean())
print(f"Resize(256), CenterCrop(224), Normalize: largest difference {largest:.2f} levels of 255, photos above 1: {above}; "
      f"fast, to 96 px: mean difference {np.mean(fast_means):.2f}, at most {np.max(fast_means):.2f}")

# A picture whose pixels tell where they are, so that the parts can be read off: red is x, green is y.
ys, xs = np.mgrid[0:192, 0:256]
ramp = Image.fromarray(np.stack([xs, ys, 0 * xs], axis=2).astype(np.uint8))
random = dict(geometry=2, scale_min=0.08, scale_max=1, ratio_min=3 / 4, ratio_max=4 / 3, seed=1)
count = 4000
ours = decode(saved(ramp, "PNG"), 32, 32, count=count, **random)
crop = transforms.RandomResizedCrop(32, interpolation=transforms.InterpolationMode.BILINEAR, antialias=True)
theirs = np.stack([np.asarray(crop(ramp)) for _ in range(count)])
for name, pixels in ("ours", ours), ("torchvision", theirs):
    pixels = pixels.astype(float)
    width = (pixels[:, 16, -1, 0] - pixels[:, 16, 0, 0]) * 32 / 31
    height = (pixels[:, -1, 16, 1] - pixels[:, 0, 16, 1]) * 32 / 31
    figures = {"area": width * height / (256 * 192), "log ratio": np.log(width / height),
               "left": pixels[:, 16, 0, 0], "top": pixels[:, 0, 16, 1]}
    print(f"random crops, {name:12}" + "; ".join(f"{k}: mean {v.mean():.3f}, deviation {v.std():.3f}, quartiles "
          f"{np.quantile(v, 0.25):.3f} {np.quantile(v, 0.75):.3f}" for k, v in figures.items()))
for file in (saved(ramp, "PNG"), saved(ramp, "JPEG", quality=95)):
    plain, mirrored = decode(file, 32, 32), decode(file, 32, 32, flip_probability=1)
    print(f"mirrored: {'as it should be' if (plain[:, ::-1] == mirrored).all() else 'WRONG'}")

photo = Image.open(paths[0]).convert("RGB").resize((317, 211))
alpha = photo.convert("RGBA")
alpha.putalpha(photo.convert("L"))
exif = Image.Exif()
cases = {
    "JPEG 4:4:4": saved(photo, "JPEG", subsampling=0),
    "JPEG 4:2:2": saved(photo, "JPEG", subsampling=1),
    "JPEG 4:2:0": saved(photo, "JPEG", subsampling=2),
    "JPEG progressive": saved(photo, "JPEG", progressive=True),
    "JPEG gray": saved(photo.convert("L"), "JPEG"),
    "JPEG CMYK": saved(photo.convert("CMYK"), "JPEG"),
    "PNG RGB": saved(photo, "PNG"),
    "PNG RGBA": saved(alpha, "PNG"),
    "PNG gray": saved(photo.convert("L"), "PNG"),
    "PNG gray + alpha": saved(alpha.convert("LA"), "PNG"),
    "PNG palette": saved(photo.quantize(64), "PNG"),
    "PNG palette + transparency": saved(photo.quantize(64), "PNG", transparency=3),
    "PNG one bit": saved(photo.convert("1"), "PNG"),
    "PNG 16-bit gray": saved(Image.fromarray((np.asarray(photo.convert("L")).astype(np.uint16) * 257)), "PNG"),
}
for name, file in cases.items():
    print(f"{name:32} largest, mean difference: {compare(name, file)}")
    same = compare(name, file, height=211, width=317)
    print(f"{'':32} ... not resized:          {same}")
for orientation in range(1, 9):
    exif[0x0112] = orientation
    file = saved(photo, "JPEG", exif=exif)
    print(f"{'orientation ' + str(orientation):32} largest, mean difference: {compare('', file, orientation=1)}")
for name, file in {"cut JPEG": cases["JPEG 4:2:0"][:5000], "JPEG without its end": cases["JPEG 4:2:0"][:-2],
                   "cut progressive": cases["JPEG progressive"][:5000], "cut PNG": cases["PNG RGB"][:5000],
                   "garbage": b"garbage", "GIF": saved(photo, "GIF")}.items():
    result = compare(name, file)
    if result:
        print(f"{name:32} largest, mean difference: {result}")
