"""The report of an output: its numbers as JSON, and one page to look at them."""
