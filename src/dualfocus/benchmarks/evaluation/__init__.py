"""Run models under a protocol: every figure of every image, kept in a folder that can be continued."""
