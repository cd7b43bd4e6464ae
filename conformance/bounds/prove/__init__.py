"""
The proof: finds what makes a bound true, and writes it into a certificate.

Knows the codec, the charges of gas models, the language of certificates, and how the checker reads
a module (its image and layouts); writes its own translation of instructions. Nothing that it finds
is a bound before the checker has confirmed it.
"""
