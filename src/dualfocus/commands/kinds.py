"""A command of several kinds of work: an option that the chosen kind does not use is refused, not ignored."""

from __future__ import annotations

from collections.abc import Collection

import typer


def refuse_unused(context: typer.Context, kind: str, used: Collection[str]) -> None:
    """Refuse what was given on the command line and has no effect. Options left at their default are ignored.

    Args:
        context: the context of the command that runs.
        kind: the command and the kind of its work, as the message names them, such as `render fod`.
        used: names of the function's parameters that this kind of work reads.

    Raises:
        ValueError: an option or argument that was given is not among `used`.
    """
    labels = {
        parameter.name: parameter.opts[0] if parameter.param_type_name == "option" else parameter.name.upper()
        for parameter in context.command.params
        if parameter.name is not None
    }
    unused = [label for name, label in labels.items() if name not in used and _is_given(context, name)]
    if unused:
        taken = [label for name, label in labels.items() if name in used and label.startswith("-")]
        raise ValueError(f"{kind} does not use {', '.join(unused)}; its options: {', '.join(taken)}")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
