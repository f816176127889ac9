"""The other ways to do it, each written as its users would; and the least that any way must do."""
