"""Databases of a site: engine, threads, migrations. It knows no table; each room declares its own.

`deliver` may meet the errors and must be quick, so what imports SQLAlchemy (`engine`) is named by
those who open a database and not here.
"""

from mailkeep.database.errors import DatabaseTooNew, DatabaseUnavailable

__all__ = ["DatabaseTooNew", "DatabaseUnavailable"]
