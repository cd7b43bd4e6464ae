"""
The checker of bounds: writes its own obligations from the module and believes no certificate.

Knows the codec, the opcode tables, the charges of gas models, the format of certificates, and the
replay engine: its trusted base. Must not know anything that finds bounds.
"""
