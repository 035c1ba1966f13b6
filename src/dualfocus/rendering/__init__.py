"""Rendered focal stacks: layered thin-lens blur, procedural scenes, RGB-D, and the peers' gather blur."""
