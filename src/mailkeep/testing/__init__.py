"""What tests and users of the library share; only tests import it."""
