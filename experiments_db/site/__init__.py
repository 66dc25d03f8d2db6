"""The review site.

app        the routes;  pages: what each shows;  api: the same as JSON
drafts     what waits for a person before it is registered
mechanisms  what is confirmed, put together from the index
addresses  what an address asks for
blind      who visits, and what a blind visitor may not see yet
safety     who may ask;  pulse: telling an open page that its run has gone on
downloads  files
"""

from __future__ import annotations

from lakatos.experiments_db.site.app import create_app
from lakatos.experiments_db.site.safety import LOOPBACK

__all__ = ["LOOPBACK", "create_app"]
