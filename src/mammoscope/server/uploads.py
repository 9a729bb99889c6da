"""Uploads: a multipart form, parsed as it arrives, counted and written straight to disk."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from mammoscope.server.archives import Budget, Received, TooMuchError, expand, folder_of, is_archive, shown_name
from mammoscope.server.file_place import FilePlace
from mammoscope.server.settings import UploadLimits

FIELD = "files"
_BLOCK = 256 << 10
_STALL_SECONDS = 60.0
_DRAIN_SECONDS, _DRAIN_BYTES = 10.0, 64 << 20
_FORM_BYTES = 1 << 20  # of what is around the files


class RefusedUploadError(Exception):
    """An upload that is not taken; ``status`` is the HTTP status, the text one sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Uploads:
    """Takes uploads for one server.

    Parameters
    ----------
    limits
        What one upload may bring.
    reserve
        Bytes that stay free on the disk.
    """

    def __init__(self, limits: UploadLimits, reserve: int) -> None:
        self._limits, self._reserve = limits, reserve
        self._archives = CapacityLimiter(1)  # opening one keeps a core busy

    async def receive(self, request: Request, folder: Path) -> list[Received]:
        """Write the files of a request to ``folder/<number>/upload``.

        Returns
        -------
        list of Received
            A file's number is its place.

        Raises
        ------
        RefusedUploadError
            The form is broken, holds nothing to analyse, or is larger than a limit.
        ClientDisconnect
            The client is gone.
        """
        try:
            announced = int(request.headers.get("content-length") or 0)
            if announced > self._limits.bytes + _FORM_BYTES:
                raise TooMuchError(f"the upload has more than {self._limits.bytes} bytes")
            self.check_room(folder, announced)
            form = _Form(_boundary(request), folder, self._limits)
            await _feed(request, form)
            received = await to_thread.run_sync(form.finish, limiter=self._archives if form.has_archive else None)
        except TooMuchError as error:
            raise RefusedUploadError(413, str(error)) from None
        except OSError:
            raise _no_room() from None
        except (FormParserError, ValueError):
            raise RefusedUploadError(400, "the request is not a complete multipart form") from None
        if all(file.problem for file in received):
            said = f"{received[0].name} {received[0].problem}" if received else f"expected a file in '{FIELD}'"
            raise RefusedUploadError(400, f"there is nothing to analyse: {said}")
        return received

    def check_room(self, folder: Path, count: int) -> None:
        """Raise RefusedUploadError where so many bytes more in ``folder`` would not leave the reserve."""
        if shutil.disk_usage(folder).free < self._reserve + count:
            raise _no_room()


def _no_room() -> RefusedUploadError:
    return RefusedUploadError(507, "the server's disk has no room for it: delete exams that are no longer needed")


async def drain(request: Request) -> None:
    """Let a client that is refused finish sending, within limits, so that it reads the answer."""
    received = 0
    with suppress(Exception):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in request.stream():
                received += len(chunk)
                if received > _DRAIN_BYTES:
                    return


async def _feed(request: Request, form: _Form) -> None:
    """Pass the body on in blocks, off the event loop."""
    chunks, pending = request.stream(), bytearray()
    try:
        while True:
            try:
                async with asyncio.timeout(_STALL_SECONDS):
                    pending += await anext(chunks)
            except StopAsyncIteration:
                break
            except TimeoutError:
                raise RefusedUploadError(408, f"nothing came for {_STALL_SECONDS:g} s") from None
            if len(pending) >= _BLOCK:
                await to_thread.run_sync(form.feed, bytes(pending))
                pending.clear()
        await to_thread.run_sync(form.feed, bytes(pending))
    finally:
        form.close()


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise RefusedUploadError(400, "expected a form of type multipart/form-data")
    return options[b"boundary"]


class _Form:
    """A multipart form on its way to disk. Its methods block, and are called from one thread at a time."""

    def __init__(self, boundary: bytes, folder: Path, limits: UploadLimits) -> None:
        self._folder, self._limits = folder, limits
        self._budget = Budget(limits)
        self._parts: list[tuple[str, str, Path]] = []  # name, folder, and where it is
        self._target: BinaryIO | None = None
        self._header, self._value, self._disposition = bytearray(), bytearray(), b""
        self._bytes, self._is_complete = 0, False
        self.has_archive = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._open_part,
                "on_part_data": self._write_part,
                "on_part_end": self.close,
                "on_end": self._end,
            },
        )

    def feed(self, block: bytes) -> None:
        """Parse and write the next bytes of the body."""
        self._bytes += len(block)
        if self._bytes > self._limits.bytes + _FORM_BYTES:
            raise TooMuchError(f"the upload has more than {self._limits.bytes} bytes")
        if block:
            self._parser.write(block)

    def close(self) -> None:
        """Close the file that is being written, if any."""
        if self._target is not None:
            self._target.close()
            self._target = None
            self.has_archive = self.has_archive or is_archive(self._parts[-1][-1])

    def finish(self) -> list[Received]:
        """Number the files, with those of archives in the archive's place."""
        if not self._is_complete:
            raise ValueError("the last boundary is missing")
        received: list[Received] = []
        budget = Budget(self._limits)
        for part, (name, folder, path) in enumerate(self._parts):
            if is_archive(path):
                for entry in expand(path, name, lambda: self._place(len(received)), budget):
                    if entry.problem is not None:
                        shutil.rmtree(self._folder / str(len(received)), ignore_errors=True)
                    received.append(replace(entry, part=part, source=f"{part}:{entry.source}"))
                path.unlink()
            else:
                budget.take_file()
                path.replace(self._place(len(received)))
                received.append(Received(name, part=part, source=folder))
        return received

    def _place(self, number: int) -> Path:
        place = FilePlace(self._folder / str(number))
        place.folder.mkdir(mode=0o700)
        return place.upload

    def _begin_part(self) -> None:
        self._header.clear()
        self._value.clear()
        self._disposition = b""

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _open_part(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        if options.get(b"name") != FIELD.encode():
            raise RefusedUploadError(400, f"the form has a field that is not '{FIELD}'")
        name = options.get(b"filename")
        if name is None:
            raise RefusedUploadError(400, f"'{FIELD}' is not a file")
        if not name:
            return  # a browser sends this where no file was chosen
        self._budget.take_file()
        path = self._folder / f"part-{len(self._parts)}"
        self._target = path.open("wb")
        sent = name.decode("utf-8", "replace")
        self._parts.append((shown_name(sent), folder_of(sent), path))

    def _write_part(self, data: bytes, start: int, end: int) -> None:
        if self._target is not None:
            self._budget.take_bytes(end - start)
            self._target.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self._is_complete = True
