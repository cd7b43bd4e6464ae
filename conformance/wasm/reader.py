"""
Reads numbers, names and counts of the binary format from a bounded stretch of a file.

Source: core specification 2.0, section 5.2 (LEB128 of limited length, UTF-8 names).
"""

from __future__ import annotations

from conformance.wasm.errors import BadModuleError

_MORE = 0x80
_LOW = 0x7F


class Reader:
    """
    A cursor over `data[position:end]`; every failure names the byte and the place.
    """

    __slots__ = ("data", "end", "end_rule", "place", "position")

    def __init__(
        self, data: bytes, position: int, end: int, place: str, end_rule: str = "unexpected-end"
    ) -> None:
        """
        Read from *position* up to, not including, *end*; *place* names the stretch in messages.
        """
        self.data = data
        self.position = position
        self.end = end
        self.place = place
        self.end_rule = end_rule

    @property
    def left(self) -> int:
        """
        Number of bytes not yet read.
        """
        return self.end - self.position

    def _ended(self, what: str) -> BadModuleError:
        return BadModuleError(self.end_rule, self.end, f"{self.place} ends inside {what}")

    def byte(self, what: str) -> int:
        """
        The next byte; raises BadModuleError at the end.
        """
        position = self.position
        if position >= self.end:
            raise self._ended(what)
        self.position = position + 1
        return self.data[position]

    def take(self, size: int, what: str) -> bytes:
        """
        The next *size* bytes.
        """
        start = self.position
        if size > self.end - start:
            raise self._ended(what)
        self.position = start + size
        return self.data[start : self.position]

    def u32(self, what: str) -> int:
        """
        An unsigned LEB128 number of at most 32 bits in at most 5 bytes; longer forms are kept.
        """
        position = self.position
        if position < self.end and (first := self.data[position]) < _MORE:
            self.position = position + 1
            return first
        raw = self._leb(what, 5, 32)
        if raw >> 32:
            message = f"{what} does not fit in 32 bits"
            raise BadModuleError("leb-too-large", position, message)
        return raw

    def signed(self, what: str, bits: int) -> int:
        """
        A signed LEB128 number of *bits* bits (32, 33 or 64).
        """
        start = self.position
        longest = -(-bits // 7)
        raw = self._leb(what, longest, bits)
        length = self.position - start
        if length < longest:
            width = 7 * length
            return raw - ((raw >> (width - 1)) << width)
        rest = raw >> (bits - 1)
        if rest not in (0, (1 << (7 * longest - bits + 1)) - 1):
            message = f"{what} does not fit in {bits} bits"
            raise BadModuleError("leb-too-large", start, message)
        return (raw & ((1 << bits) - 1)) - (bool(rest) << bits)

    def _leb(self, what: str, longest: int, bits: int) -> int:
        start = self.position
        value = shift = 0
        for _ in range(longest):
            byte = self.byte(what)
            value |= (byte & _LOW) << shift
            if byte < _MORE:
                return value
            shift += 7
        message = f"{what} takes more than the {longest} bytes that a {bits}-bit number may have"
        raise BadModuleError("leb-too-long", start, message)

    def name(self, what: str) -> str:
        """
        A length and that many bytes of UTF-8.
        """
        start = self.position
        size = self.u32(f"the length of {what}")
        if size > self.left:
            message = f"{what} should have {size} bytes, but {self.place} has {self.left} left"
            raise BadModuleError(self.end_rule, start, message)
        first = self.position
        raw = self.take(size, what)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"{what} is not UTF-8"
            raise BadModuleError("invalid-utf8", first + error.start, message) from None

    def count(self, what: str, item_bytes: int) -> int:
        """
        The number of items of a vector, checked against the room left for *item_bytes* each.
        """
        start = self.position
        count = self.u32(f"the number of {what}")
        if count * item_bytes > self.left:
            message = (
                f"{count} {what} need at least {count * item_bytes} bytes, "
                f"but {self.place} has {self.left} left"
            )
            raise BadModuleError("count-too-large", start, message)
        return count
