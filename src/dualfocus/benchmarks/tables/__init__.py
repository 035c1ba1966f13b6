"""What an evaluation shows: tables in Markdown and LaTeX, and pictures of the worst answers."""
