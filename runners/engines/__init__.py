"""
One engine per file, each packed with the shared loop into a worker.
"""
