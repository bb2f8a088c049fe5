"""One file a step; alembic reads them. A step that was released is never changed."""
