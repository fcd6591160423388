"""What the flex template's launcher runs: a file, where Weft is a package."""

import sys

from pipeline.flex_template import main

sys.exit(main())
