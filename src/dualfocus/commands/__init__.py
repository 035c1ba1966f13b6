"""Parts of the command line that are not the commands themselves (see `dualfocus.cli`)."""
