"""Tables of README.md and docs/ that state what the template and the code say."""
