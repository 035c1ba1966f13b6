"""The commands, one or two to a file, and the parts that they share; `dualfocus.cli` puts them together."""
