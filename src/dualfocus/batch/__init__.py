"""Several stacks: which they are, the folder of their results, and what works through them; the command shows it."""
