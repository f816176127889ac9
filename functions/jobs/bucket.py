"""The bucket: lines of an upload read, parts of a report written."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from timpush.jobs.lines import OVERLAP, cut_lines, unzip
from timpush.jobs.ranges import MAX_UNCOMPRESSED_BYTES, Range

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PIECE_BYTES = 256 * 1024
PART_BYTES = 8 * 1024 * 1024
"""Of a multipart upload; S3 takes no less than 5 MiB, but for the last one."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One version of an uploaded file: reads fail if it was replaced or deleted meanwhile."""

    bucket: str
    key: str
    version_id: str
    etag: str
    size: int
    compressed: bool

    def _read(self, s3: "S3Client", first: int, last: int) -> Iterator[bytes]:
        """The bytes from `first` to `last`, both inclusive."""
        version: Any = {"VersionId": self.version_id} if self.version_id else {}
        last = min(last, self.size - 1)
        reply = s3.get_object(
            Bucket=self.bucket,
            Key=self.key,
            IfMatch=self.etag,
            Range=f"bytes={first}-{last}",
            **version,
        )
        # A server may ignore Range and send all (RFC 9110, 14.2). S3 does not; emulators do.
        position = first if reply.get("ContentRange") else 0
        with reply["Body"] as body:
            while position <= last and (piece := body.read(min(PIECE_BYTES, last + 1 - position))):
                yield piece[max(0, first - position) :]
                position += len(piece)

    def read_lines(self, s3: "S3Client", one: Range) -> Iterator[bytes]:
        """The lines of a byte range.

        Raises:
            GzipError: a compressed file is not whole, or too large.
        """
        if self.compressed:
            pieces = unzip(self._read(s3, 0, self.size - 1), MAX_UNCOMPRESSED_BYTES)
            return cut_lines(pieces, 0, MAX_UNCOMPRESSED_BYTES)
        pieces = self._read(s3, max(0, one.start - 1), one.end + OVERLAP)
        return cut_lines(pieces, one.start, one.end)

    def digest(self, s3: "S3Client") -> str:
        """The SHA-256 of the whole file, as hex digits."""
        sha256 = hashlib.sha256()
        for piece in self._read(s3, 0, self.size - 1):
            sha256.update(piece)
        return sha256.hexdigest()


class ObjectWriter:
    """Writes an object of any size: as a whole when it is small, else part by part.

    Used as a context manager; the object exists once the block has ended without an exception.
    """

    def __init__(self, s3: "S3Client", bucket: str, key: str) -> None:
        self._s3 = s3
        self._place: dict[str, str] = {"Bucket": bucket, "Key": key}
        self._held = bytearray()
        self._upload_id = ""
        self._parts: list[Any] = []

    def __enter__(self) -> "ObjectWriter":
        return self

    def write(self, data: bytes) -> None:
        """Add bytes at its end."""
        self._held += data
        if len(self._held) >= PART_BYTES:
            self._flush()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:
            self._abort()
        elif self._upload_id:
            self._flush()
            parts: Any = {"Parts": self._parts}
            place: Any = self._place
            self._s3.complete_multipart_upload(
                **place, UploadId=self._upload_id, MultipartUpload=parts
            )
        else:
            place = self._place
            self._s3.put_object(**place, Body=bytes(self._held))

    def _flush(self) -> None:
        if not self._held:
            return
        place: Any = self._place
        if not self._upload_id:
            self._upload_id = self._s3.create_multipart_upload(**place)["UploadId"]
        number = len(self._parts) + 1
        reply = self._s3.upload_part(
            **place, UploadId=self._upload_id, PartNumber=number, Body=bytes(self._held)
        )
        self._parts.append({"PartNumber": number, "ETag": reply["ETag"]})
        self._held.clear()

    def _abort(self) -> None:
        if self._upload_id:
            place: Any = self._place
            self._s3.abort_multipart_upload(**place, UploadId=self._upload_id)


def read_object(s3: "S3Client", bucket: str, key: str) -> Iterator[bytes]:
    """An object of the report, piece by piece."""
    with s3.get_object(Bucket=bucket, Key=key)["Body"] as body:
        while piece := body.read(PIECE_BYTES):
            yield piece
