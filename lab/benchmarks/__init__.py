"""The application side by side with every way a user would do this instead: `python -m benchmarks`.

One run measures all of them in turn, repeatedly, and writes docs/benchmarks.md.
"""
