"""
What a module imports and exports, as far as a host must know it: functions and their types.

Reads the sections of a binary module and validates nothing. What cannot be read has an empty
interface: the engines refuse such a module in their own words.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from runners.bits import ValueType

_NUMBERS: Final[dict[int, ValueType]] = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64"}
_MAGIC: Final = b"\0asm\1\0\0\0"
_TYPES, _IMPORTS, _FUNCTIONS, _EXPORTS = 1, 2, 3, 7


class FunctionType(NamedTuple):
    """
    Parameters and results, numbers alone.
    """

    parameters: tuple[ValueType, ...]
    results: tuple[ValueType, ...]


class ImportedFunction(NamedTuple):
    """
    A function that a module asks its host for.
    """

    module: str
    name: str
    type: FunctionType


class Interface(NamedTuple):
    """
    Functions that a module imports and exports; those with other types than numbers are left out.
    """

    imports: tuple[ImportedFunction, ...] = ()
    """Each module and name once, in the order of the import section."""
    exports: tuple[tuple[str, FunctionType], ...] = ()

    def imported(self, module: str, name: str) -> ImportedFunction | None:
        """
        The import of a module and name, if there is one.
        """
        for function in self.imports:
            if function.module == module and function.name == name:
                return function
        return None

    def exported(self, name: str) -> FunctionType | None:
        """
        Type of an exported function, if there is one.
        """
        return dict(self.exports).get(name)


NO_INTERFACE: Final = Interface()


def interface_of(wasm: bytes) -> Interface:
    """
    The interface of a binary module.
    """
    if not wasm.startswith(_MAGIC):
        return Interface()
    try:
        return _Reader(wasm).interface()
    except (IndexError, UnicodeDecodeError, _UnreadableError):
        return Interface()


class _UnreadableError(Exception):
    """
    The sections hold what this reader does not know.
    """


class _Reader:
    """
    A position in a module's bytes.
    """

    def __init__(self, wasm: bytes) -> None:
        self.wasm = wasm
        self.at = len(_MAGIC)
        self.types: list[FunctionType | None] = []
        self.functions: list[int] = []
        self.imports: list[tuple[str, str, int]] = []
        self.exports: list[tuple[str, int]] = []

    def interface(self) -> Interface:
        """
        Read the sections that matter and skip the others.
        """
        readers = {
            _TYPES: self._type,
            _IMPORTS: self._import,
            _FUNCTIONS: lambda: self.functions.append(self._number()),
            _EXPORTS: self._export,
        }
        while self.at < len(self.wasm):
            number = self._byte()
            end = self._number() + self.at
            if number in readers:
                for _ in range(self._number()):
                    readers[number]()
                    if self.at > end:
                        message = f"section {number} is longer than it says"
                        raise _UnreadableError(message)
            self.at = end
        return Interface(tuple(self._imported()), tuple(self._exported()))

    def _imported(self) -> list[ImportedFunction]:
        found: dict[tuple[str, str], ImportedFunction] = {}
        for module, name, index in self.imports:
            described = self.types[index]
            if described is not None:
                found.setdefault((module, name), ImportedFunction(module, name, described))
        return list(found.values())

    def _exported(self) -> list[tuple[str, FunctionType]]:
        found = []
        for name, index in self.exports:
            described = self.types[self.functions[index]]
            if described is not None:
                found.append((name, described))
        return found

    def _byte(self) -> int:
        self.at += 1
        return self.wasm[self.at - 1]

    def _number(self) -> int:
        """
        An unsigned LEB128 number.
        """
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the bit that says more follows
                return value
            shift += 7

    def _text(self) -> str:
        size = self._number()
        self.at += size
        if self.at > len(self.wasm):
            raise IndexError
        return self.wasm[self.at - size : self.at].decode()

    def _type(self) -> None:
        if self._byte() != 0x60:  # noqa: PLR2004 - the code of a function type
            message = "a type that is no function"
            raise _UnreadableError(message)
        sides = [[self._value_type() for _ in range(self._number())] for _ in range(2)]
        parameters, results = sides
        numbers = FunctionType(
            tuple(kind for kind in parameters if kind is not None),
            tuple(kind for kind in results if kind is not None),
        )
        plain = None not in parameters + results
        self.types.append(numbers if plain else None)

    def _value_type(self) -> ValueType | None:
        code = self._byte()
        if code in (0x63, 0x64):
            self._number()
        return _NUMBERS.get(code)

    def _import(self) -> None:
        module, name, kind = self._text(), self._text(), self._byte()
        if kind == 0:
            self.functions.append(self._number())
            self.imports.append((module, name, self.functions[-1]))
        elif kind == 1:
            self._value_type()
            self._limits()
        elif kind == 2:  # noqa: PLR2004 - the code of a memory
            self._limits()
        elif kind == 3:  # noqa: PLR2004 - the code of a global
            self._value_type()
            self._byte()
        else:
            message = f"an import of kind {kind}"
            raise _UnreadableError(message)

    def _limits(self) -> None:
        flags = self._byte()
        self._number()
        if flags & 1:
            self._number()

    def _export(self) -> None:
        name, kind, index = self._text(), self._byte(), self._number()
        if kind == 0:
            self.exports.append((name, index))
