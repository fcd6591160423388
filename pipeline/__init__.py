"""The order of the stages, recipes, runners, resume, report."""
