"""A click group whose commands are loaded when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group of the given ``places``: names to commands, or to where they stand as ``module:attribute``.

    ``attributes`` are those of any group: its help, its options, its callback.
    """

    def __init__(self, name: str, places: Mapping[str, str | click.Command], **attributes: Any) -> None:
        # Without a command nothing was done: an error, where click's default would be the help as a success.
        super().__init__(name, no_args_is_help=False, **attributes)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._places.get(cmd_name)
        if not isinstance(place, str):
            return place
        module, _, attribute = place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place} is {command!r}, not a command")
        return command
