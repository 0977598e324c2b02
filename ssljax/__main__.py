"""python -m ssljax VERB ...: the command `ssljax`, where its script is not on the path."""

import sys

from ssljax import verbs

if __name__ == '__main__':
    sys.exit(verbs.main())
