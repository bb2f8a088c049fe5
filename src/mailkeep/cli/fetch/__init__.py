"""`mailkeep fetch`: a mailbox becomes files."""
