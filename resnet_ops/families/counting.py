"""Count what the members of the catalogue weigh, on the networks themselves.

    python -m resnet_ops.families.counting > resnet_ops/families/counts.json

A thousand layers take seconds to build, so the counts are kept, and a test compares them with these.
"""

import json
import sys

import torch
from torch.utils.flop_counter import FlopCounterMode

from resnet_ops.families.build import build_network
from resnet_ops.families.catalogue import CATALOGUE, Entry

__all__ = ["count"]


def count(entry: Entry) -> dict[str, int]:
    """Parameters, flops and features, as in `table.Row`. Large networks are built without memory for their weights."""
    # a thousand thin layers are computed faster than meta tensors pass through them
    with torch.device("cpu" if entry.image_size <= 32 else "meta"):
        network = build_network(entry.member, 3, entry.classes).eval()
        image = torch.empty(1, 3, entry.image_size, entry.image_size)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(image)
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "flops": counter.get_total_flops(),
        "features": network.head.in_features,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps({entry.name: count(entry) for entry in CATALOGUE}, indent=1) + "\n")
