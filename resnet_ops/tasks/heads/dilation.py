"""Finer maps from a member: the stride of its last stages becomes dilation (Yu & Koltun 2015)."""

from torch import nn

from resnet_ops.families.build import Network
from resnet_ops.families.cifar import ZeroPadShortcut

__all__ = ["dilate"]


def dilate(network: Network, stages: int) -> None:
    """Let the last `stages` of a network keep the size of the map that they get, with the weights that it has.

    As torchvision's `replace_stride_with_dilation`: the first block of a stage has the dilation of the stage before.
    """
    names = [part for part in network.PARTS if part.startswith("stage")]
    dilation = 1
    for name in names[len(names) - stages :]:
        first, *rest = network.get_submodule(network.PARTS[name][0]).children()
        dilation *= _dilate_block(first, dilation)
        for block in rest:
            _dilate_block(block, dilation)


def _dilate_block(block: nn.Module, dilation: int) -> int:
    """Dilate a block and take its stride away; the stride that it had."""
    stride = 1
    for parent in list(block.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.AvgPool2d):
                setattr(parent, name, nn.Identity())
                stride = max(stride, 2)
            elif isinstance(module, ZeroPadShortcut):
                stride, module.stride = max(stride, module.stride), 1
            elif isinstance(module, nn.Conv2d):
                stride, module.stride = max(stride, module.stride[0]), (1, 1)
                if module.kernel_size != (1, 1):
                    module.dilation = module.padding = (dilation, dilation)
    return stride
