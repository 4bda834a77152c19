"""``blfs-mr volume``: the commands over the block devices that hold the shared files. All need root."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from blfs_mr.cli.doctor import doctor
from blfs_mr.errors import UsageError, VolumeError
from blfs_mr.linux import device_path, read_mounts
from blfs_mr.model import VolumeLayout, WorkerName
from blfs_mr.units import format_size, parse_size
from blfs_mr.volume.attach import AttachRole, attach, detach, mounted_privately, read_only_device
from blfs_mr.volume.blanks import Tell
from blfs_mr.volume.contract import VolumePlace
from blfs_mr.volume.devices import FileSystem, block_device, file_system_of, is_raw_volume, mounts_of
from blfs_mr.volume.format import FormatPlan, format_volume
from blfs_mr.volume.geometry import parse_shared_files, uniform_files
from blfs_mr.volume.report import lease_lines, summary_lines
from blfs_mr.volume.superblock_pages import read_claim, read_superblock
from blfs_mr.volume.verify import verify_volume


def _size(context: click.Context, parameter: click.Parameter, given: str) -> int:
    try:
        return parse_size(given)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


@click.group("volume", no_args_is_help=False)
def volume_family() -> None:
    """Make, attach and examine the block devices of shared files (needs root)."""


volume_family.add_command(doctor)


@volume_family.command("format")
@click.argument("device")
@click.option("--layout", type=click.Choice(["file", "raw"]), required=True, help="Files, or bare extents.")
@click.option(
    "--fs", "file_system", type=click.Choice(["ext4", "xfs"]), default="ext4", show_default=True,
    help="The file system of the file layout.",
)  # fmt: skip
@click.option("--owner", required=True, help="The name of the worker that will write the volume.")
@click.option("--count", default=64, show_default=True, help="The number of shared files.")
@click.option("--size", default="16MiB", show_default=True, callback=_size, help="The size of each.")
@click.option(
    "--sharedfiles", "listing", type=click.Path(path_type=Path),
    help="A file of lines name:size, instead of --count and --size.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Destroy what DEVICE holds.")
@click.pass_context
def format_command(
    context: click.Context,
    device: str,
    layout: str,
    file_system: str,
    owner: str,
    count: int,
    size: int,
    listing: Path | None,
    force: bool,
) -> None:
    """Make DEVICE a volume: all of its shared files are written, and read back."""
    if listing is None:
        files = uniform_files(count, size)
    else:
        sources = {context.get_parameter_source(name) for name in ("count", "size")}
        if sources != {click.core.ParameterSource.DEFAULT}:
            raise UsageError("--sharedfiles stands instead of --count and --size: leave those out")
        try:
            files = parse_shared_files(listing.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, UsageError) as error:
            raise UsageError(f"{listing}: {error}") from error
    plan = FormatPlan(device, VolumeLayout(layout), WorkerName(owner), files, FileSystem(file_system), force)
    # Stopped by a signal, it must still unmount what it mounted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _progress("formatting", 2 * plan.size) as tell, _told_plainly():
        superblock = format_volume(plan, tell)
    click.echo(
        f"{device}: volume {superblock.volume} of {owner}, {len(files)} shared files of together "
        f"{format_size(plan.size)}"
    )


@volume_family.command
@click.argument("place")
def show(place: str) -> None:
    """Print what the volume at PLACE, a device or a mount point, is, and who holds its shared files."""
    with _told_plainly(), _reached(place) as volume:
        superblock, entries = read_superblock(volume.place)
        for line in summary_lines(superblock, entries, read_claim(volume.place, superblock.volume)):
            click.echo(line)
        for line in lease_lines(volume, superblock, entries):
            click.echo(line)


@volume_family.command
@click.argument("place")
def verify(place: str) -> None:
    """Read all of the volume at PLACE, a device or a mount point, and tell every breach of the contract."""
    with _told_plainly(), _reached(place) as volume:
        _, entries = read_superblock(volume.place)
        with _progress("reading", sum(entry.size for entry in entries)) as tell:
            result = verify_volume(volume, tell)
    for finding in result.findings:
        click.echo(str(finding))
    if result.findings:
        raise VolumeError(f"{place}: {len(result.findings)} breaches of the contract")
    click.echo(f"{place}: sound; {result.written} shared files were written to, {result.blank} are blank")


_device_option = click.option("--device", required=True, help="The block device of the volume.")
_mount_option = click.option("--mount", default="", help="Where to mount it; left out for a raw volume.")


@volume_family.command("attach")
@_device_option
@_mount_option
@click.option(
    "--role", type=click.Choice([role.value for role in AttachRole]), required=True,
    help="Whether this host writes the volume, or reads it.",
)  # fmt: skip
@click.option("--take-over", is_flag=True, help="End the claim of an owner whose host is gone for good.")
def attach_command(device: str, mount: str, role: str, take_over: bool) -> None:
    """Make a volume usable on this host: mounted read-write for its owner, protected for a peer."""
    if take_over and role != AttachRole.OWNER.value:
        raise UsageError("--take-over is for --role owner")
    with _told_plainly():
        click.echo(attach(device, mount, AttachRole(role), take_over=take_over))


@volume_family.command("detach")
@_device_option
@_mount_option
def detach_command(device: str, mount: str) -> None:
    """Unmount a volume from this host."""
    with _told_plainly():
        click.echo(detach(device, mount))


@contextmanager
def _told_plainly() -> Iterator[None]:
    """The system's own errors as ours: an operator needs no traceback of a missing permission."""
    try:
        yield
    except PermissionError as error:
        hint = "" if os.geteuid() == 0 else "; run it as root"
        raise VolumeError(f"{error.filename or 'the device'}: {error.strerror}{hint}") from error
    except OSError as error:
        raise VolumeError(f"{error.filename or 'the device'}: {error.strerror}") from error


@contextmanager
def _reached(place: str) -> Iterator[VolumePlace]:
    """The volume at a device or mount point. A file system that is mounted nowhere is, for the time being."""
    if os.path.isdir(place):
        point = os.path.realpath(place)
        number = next((mount.device for mount in reversed(read_mounts()) if mount.point == point), None)
        device = "" if number is None else device_path(number)
        if not device:
            raise VolumeError(f"no block device is mounted at {place}")
        yield VolumePlace(VolumeLayout.FILE, device, point)
        return
    number = block_device(place)
    if is_raw_volume(place):
        yield VolumePlace(VolumeLayout.RAW, place)
    elif mounts := mounts_of(number):
        yield VolumePlace(VolumeLayout.FILE, place, mounts[0].point)
    elif file_system := file_system_of(place):
        with read_only_device(place), mounted_privately(place, file_system, read_only=True) as root:
            yield VolumePlace(VolumeLayout.FILE, place, root)
    else:
        raise VolumeError(f"{place} holds no volume of ours: make one with `blfs-mr volume format`")


@contextmanager
def _progress(verb: str, total: int) -> Iterator[Tell]:
    """What to tell of bytes done: a line that counts up on a terminal, nothing elsewhere."""
    done, shown = 0, time.monotonic()

    def tell(more: int) -> None:
        nonlocal done, shown
        done += more
        if time.monotonic() - shown > 0.2:
            shown = time.monotonic()
            text = f"{verb}: {format_size(done)} of {format_size(total)}"
            print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)

    if not sys.stderr.isatty():
        yield lambda more: None
        return
    try:
        yield tell
    finally:
        print(f"\r{'':<60}\r", end="", file=sys.stderr, flush=True)
