"""Settings and state of other programs: what they know of an account, and what they have seen."""
