"""
Ways in which an engine ends a command or a call early, and the status bytes that say so.
"""

RETURNED = 1
TRAP_UNREACHABLE = 16
TRAP_MEMORY_OUT_OF_BOUNDS = 17
TRAP_INTEGER_DIVIDE_BY_ZERO = 18
TRAP_INTEGER_OVERFLOW = 19
TRAP_INVALID_CONVERSION_TO_INTEGER = 20
TRAP_INDIRECT_CALL_TO_NULL = 21
TRAP_TABLE_OUT_OF_BOUNDS = 22
TRAP_INDIRECT_CALL_TYPE_MISMATCH = 23
TRAP_UNKNOWN = 24
TRAP_UNDEFINED_ELEMENT = 25
TRAP_HOST = 26
EXHAUSTED_STACK = 48
EXHAUSTED_FUEL = 49
EXHAUSTED_MEMORY = 50
EXHAUSTED_TABLE = 51
REJECTED_COMPILE = 64
REJECTED_INSTANTIATE = 65
REJECTED_ENTRY = 66


class Stop(Exception):
    """
    The call ended without returning: `status` is its byte of the protocol's table.
    """

    def __init__(self, status, text=""):
        Exception.__init__(self, text)
        self.status = status
        self.text = str(text)


class Refused(Exception):
    """
    The engine refuses a whole command, with stage and rule as in PROTOCOL.md.
    """

    def __init__(self, stage, rule, text=""):
        Exception.__init__(self, text)
        self.stage = stage
        self.rule = rule
        self.text = str(text)
