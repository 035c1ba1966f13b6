"""Strict YAML: a file that holds what a pydantic type says, or an error of one line that names file and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from dualfocus.messages import first_line


def read_yaml(path: Path, kind: Any) -> Any:
    """Read and check a YAML file; relative paths inside are taken from the working directory.

    Args:
        path: the file.
        kind: what it configures, a pydantic type.

    Returns:
        an instance of `kind`.

    Raises:
        ValueError: naming the file, the key and what is wrong with it.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # it is a safe loader
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML ({first_line(error)})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a mapping of settings; see configs/ for examples")
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(": ".join(filter(None, (str(path), where, first["msg"])))) from None


class _Loader(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error, where PyYAML drops the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a mapping; merged keys (`<<`) may be given again."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                where = f"{key.value!r} is given twice, again in line {key.start_mark.line + 1}"
                raise yaml.YAMLError(where)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
