"""Files to focal stacks: folders, lists of photos, TIFF z-stacks and `stack.json`, with their focus distances."""

from dualfocus.readers.load import load_stack

__all__ = ["load_stack"]
