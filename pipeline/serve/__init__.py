"""An output to look at with a browser: its report, queries over its tables, its images."""
