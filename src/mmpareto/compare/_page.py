"""Reports as one file that can be sent to anyone."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

from mmpareto._storage._names import printable
from mmpareto._storage._yaml import parse_yaml
from mmpareto.compare._comparison import Failure
from mmpareto.compare._disclosure import shareable

if TYPE_CHECKING:
    from mmpareto.compare._illustrations import Illustration


def render(template: str, pictures: Mapping[str, Illustration], **values: Any) -> str:
    """A page with its style and figures inside, without paths, host names and secrets.

    Args:
        template: File name of the template.
        pictures: Figures by name.
        values: What else the template shows.
    """
    import jinja2

    jinja = jinja2.Environment(
        autoescape=True,
        finalize=_show,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_template),
    )
    images, alts = {}, {}
    for name, picture in pictures.items():
        images[name] = base64.b64encode(picture.png).decode()
        alts[name] = picture.alt
    return jinja.get_template(template).render(images=images, alts=alts, **values)


def _template(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def where_measured(config: str, environment: Mapping[str, Any]) -> dict[str, Any]:
    """What the section on reproduction shows.

    Args:
        config: Text of ``config.yaml``.
        environment: Content of ``environment.json``.
    """
    shown = shareable(dict(environment))
    command = shown.pop("command", None)
    settings = parse_yaml(config, "config.yaml")
    if isinstance(settings, dict):
        config = yaml.safe_dump(shareable(settings), sort_keys=False, width=100)
    texts = {name: _text(value) for name, value in shown.items()}
    return {"config": config, "command": command, "environment": texts}


def shareable_failures(failures: Sequence[Failure]) -> list[Failure]:
    """Failures as they may be sent to anyone."""
    return [Failure(cell.method, cell.seed, shareable(cell.error)) for cell in failures]


def _show(value: Any) -> Any:
    """Text without control characters; what is HTML already stays."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return printable(value) if is_text else value


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
