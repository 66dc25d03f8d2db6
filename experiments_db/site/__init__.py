"""The review site.

app        the routes;  pages: what each shows
addresses  what an address asks for
safety     who may ask
downloads  files
"""

from __future__ import annotations

from lakatos.experiments_db.site.app import create_app
from lakatos.experiments_db.site.safety import LOOPBACK

__all__ = ["LOOPBACK", "create_app"]
