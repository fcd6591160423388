"""A window over the decoded bytes of a crawl file: what is needed is held, the rest dropped."""

import re

from schemas.errors import RecordError
from transforms.warc_members import Member, MemberFormat, PlainMember, SourceFile

_SEEK_STEP = 1 << 20


class DecodedMember:
    """Decoded bytes of one member, as far as they are held; reading stands at `position`."""

    def __init__(self, file: SourceFile, form: MemberFormat, offset: int, prefix: bytes) -> None:
        self._file = file
        self._form = form
        self._offset = offset
        self._prefix = prefix
        self.error: RecordError | None = None
        """Why the member ended before its end."""
        self._open()

    def _open(self) -> None:
        self.member: Member = self._form.open(self._file, self._offset)
        self.buffer = bytearray()
        """What is in memory; reading stands at `position` in it."""
        self.position = 0
        self.ended = False
        self._base = 0

    @property
    def is_plain(self) -> bool:
        """Whether this is an uncompressed file, where every record has an offset of its own."""
        return isinstance(self.member, PlainMember)

    def fill(self, count: int) -> int:
        """Hold `count` bytes from the position; gives how many there are: fewer at the end."""
        while len(self.buffer) - self.position < count and not self.ended:
            data = self._read()
            # Dropping only what is more than half keeps the cost of moving linear.
            if data and self.position > len(self.buffer) // 2:
                self._drop()
            self.buffer += data
        return len(self.buffer) - self.position

    def _read(self) -> bytes:
        try:
            data = self.member.read()
        except RecordError as error:
            self.error, data = error, b""
        self.ended = not data
        return data

    def join(self) -> bool:
        """At the end of a member, go on with the next one if that does not begin with a record.

        Some writers cut a record in two, so a record that is not complete goes on there.
        """
        end = self.member.end
        if (
            self.error is not None
            or self.is_plain
            or end >= self._file.size
            or not self._form.begins_member(self._file, end)
            or self._form.begins_with(self._file, end, self._prefix)
        ):
            return False
        self.member = self._form.open(self._file, end)
        self.ended = False
        return True

    def _drop(self) -> None:
        self._base += self.position
        del self.buffer[: self.position]
        self.position = 0

    def tell(self) -> int:
        """Decoded bytes of the member in front of the position."""
        return self._base + self.position

    def skip(self, count: int) -> bool:
        """Move on without holding what is passed; false where the data ended before."""
        while True:
            passed = min(count, self.fill(1))
            self.position += passed
            count -= passed
            if count and isinstance(self.member, PlainMember) and not self.ended:
                self._drop()
                passed = self.member.skip(count)
                self._base += passed
                return passed == count
            if not count or (self.ended and not self.join()):
                return not count

    def back_to(self, place: int) -> None:
        """Return to a place that `tell` gave, if need be by decoding the member again."""
        if place >= self._base:
            self.position = place - self._base
            return
        self._open()
        self.skip(place)

    def seek(self, pattern: re.Pattern[bytes], longest: int) -> bool:
        """Move on to the next match of a pattern of at most `longest` bytes, or to the end."""
        while True:
            self.fill(_SEEK_STEP)
            match = pattern.search(self.buffer, self.position)
            if match is not None:
                self.position = match.start()
                return True
            if self.ended:
                self.position = len(self.buffer)
                return False
            self.position = max(self.position, len(self.buffer) - longest)
