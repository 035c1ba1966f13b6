"""Files to focal stacks: folders, lists of photos, TIFF z-stacks and `stack.json`, with their focus distances."""

from dualfocus.readers.load import load_stack
from dualfocus.readers.reading import Reading

__all__ = ["Reading", "load_stack"]
