"""Bytes of a byte range -> its lines, never much more than 1 MiB of one in memory."""

import zlib
from collections.abc import Iterable, Iterator

MAX_LINE_BYTES = 1024 * 1024
"""As large as a message on the queue can be."""
OVERLAP = MAX_LINE_BYTES + 1
"""How far behind its end a range is read: its last line may end there."""


GZIP = 31
"""zlib's `wbits` for gzip with its header and checksum."""
NO_GZIP = "must be a whole gzip file"


class GzipError(Exception):
    """What is read is not gzip, or larger than it may be; the text is the rule."""


def cut_lines(pieces: Iterable[bytes], start: int, end: int) -> Iterator[bytes]:
    """The lines whose first byte is in `start` to `end` (exclusive), each with its line end.

    `pieces` begin with the byte before `start` (with the first byte when `start` is 0). A line
    above 1 MiB comes shortened, to more than 1 MiB.
    """
    position = max(0, start - 1)
    skipping = start > 0
    for size, line in _split(pieces):
        if position >= end:
            return
        if not skipping:
            yield line
        skipping = False
        position += size


def _split(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each line with its size, which is above that of a line that was shortened."""
    held, dropped = b"", 0
    for piece in pieces:
        *lines, rest = (held + piece).split(b"\n")
        for line in lines:
            yield len(line) + 1 + dropped, line + b"\n"
            dropped = 0
        if len(rest) > 2 * OVERLAP:
            dropped += len(rest) - OVERLAP
            rest = rest[:OVERLAP]
        held = rest
    if held:
        yield len(held) + dropped, held


def unzip(pieces: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Decompress gzip, also several members in a row.

    Raises:
        GzipError: it is no gzip, ends too early, or holds more than `max_bytes`.
    """
    decompressor, total, whole = zlib.decompressobj(wbits=GZIP), 0, False
    for piece in pieces:
        left = piece
        while left:
            if decompressor.eof:
                decompressor = zlib.decompressobj(wbits=GZIP)
            try:
                data = decompressor.decompress(left, OVERLAP)
            except zlib.error:
                raise GzipError(NO_GZIP) from None
            total += len(data)
            if total > max_bytes:
                raise GzipError(f"must hold at most {max_bytes:,} bytes: upload it uncompressed")
            yield data
            whole = decompressor.eof
            left = decompressor.unconsumed_tail or decompressor.unused_data
    if not whole:
        raise GzipError(NO_GZIP)
