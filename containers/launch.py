"""What the flex template's launcher runs: a file, where Weft is a package."""

from pipeline.flex_template import main
from schemas.command_line import run_program

run_program(main)
