"""Prints what TensorBoard reads of a folder's event files, as JSON: scalars, texts, and sizes of images, by tag."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util


def text(event):
    value = tensor_util.make_ndarray(event.tensor_proto).flatten()[0]
    return [event.step, value.decode() if isinstance(value, bytes) else value]


events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0, "images": 0})
events.Reload()
tags = events.Tags()
json.dump(
    {
        "scalars": {tag: [[e.step, e.value, e.wall_time] for e in events.Scalars(tag)] for tag in tags["scalars"]},
        "texts": {tag: [text(e) for e in events.Tensors(tag)] for tag in tags["tensors"]},
        "images": {tag: [[e.step, e.width, e.height] for e in events.Images(tag)] for tag in tags["images"]},
    },
    sys.stdout,
)
