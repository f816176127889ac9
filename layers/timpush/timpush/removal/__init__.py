"""The core: which call comes next, when, with which UserSig, and what a reply means."""
