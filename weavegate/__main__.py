"""
`python -m weavegate`: the command line.
"""

from weavegate.start import main

if __name__ == "__main__":
    main()
