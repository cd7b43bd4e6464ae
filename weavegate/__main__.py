"""
`python -m weavegate`: the command line.
"""

from weavegate.cli import main

if __name__ == "__main__":
    main(prog_name="weavegate")
