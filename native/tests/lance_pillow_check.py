# SPDX-License-Identifier: Apache-2.0
"""Compares lt_image_decode with Pillow on a folder of photos and on made-up files of every kind.

    pip install pillow numpy
    python native/tests/lance_pillow_check.py path/to/liblancetorch_lance.so path/to/photos [count]

Not part of the build: it shows that the default transform is Pillow's (decode, convert("RGB"), antialiased bilinear resize).
"""
import ctypes as c
import io
import pathlib
import sys

import numpy as np
from PIL import Image, ImageOps


class Error(c.Structure):
    _fields_ = [("code", c.c_int32), ("detail", c.c_int32), ("message", c.c_char * 2040)]


class Array(c.Structure):
    _fields_ = [("length", c.c_int64), ("null_count", c.c_int64), ("offset", c.c_int64), ("n_buffers", c.c_int64),
                ("n_children", c.c_int64), ("buffers", c.POINTER(c.c_void_p)), ("children", c.c_void_p),
                ("dictionary", c.c_void_p), ("release", c.c_void_p), ("private_data", c.c_void_p)]


class Options(c.Structure):
    _fields_ = [("height", c.c_int32), ("width", c.c_int32), ("dtype", c.c_int32), ("apply_orientation", c.c_int32),
                ("max_pixels", c.c_int64)]


lance = c.CDLL(sys.argv[1])
HEIGHT, WIDTH = 224, 200


def decode(file, height=HEIGHT, width=WIDTH, orientation=0):
    offsets = (c.c_int32 * 2)(0, len(file))
    data = c.create_string_buffer(file, max(len(file), 1))
    buffers = (c.c_void_p * 3)(None, c.addressof(offsets), c.addressof(data))
    array = Array(length=1, n_buffers=3, buffers=buffers, release=1)
    options = Options(height, width, 0, orientation, 0)
    pixels = np.zeros((height, width, 3), np.uint8)
    err = Error()
    code = lance.lt_image_decode(c.byref(array), b"z", c.c_int64(0), c.c_int64(1), c.byref(options),
                                 pixels.ctypes.data_as(c.c_void_p), c.c_int64(pixels.nbytes), c.byref(err))
    return pixels if code == 0 else f"{code}: {err.message.decode()}"


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
