"""Render the login page with these settings and static files, as for a new visitor."""

import re
import sys
from pathlib import Path

import django
from django.conf import settings
from django.test import Client


def main() -> None:
    """Exit with a message if the page or a static file is missing; Django raises its own errors."""
    # memcached may not run yet; rendering the login page needs no session.
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    django.setup()
    page = Client().get(settings.LOGIN_URL, secure=True, HTTP_HOST=settings.ALLOWED_HOSTS[0])
    if page.status_code != 200:
        sys.exit(f"the login page has status {page.status_code}")
    links = re.findall(rf'(?:src|href)="{settings.STATIC_URL}([^"?]+)', page.content.decode())
    missing = [link for link in links if not (Path(settings.STATIC_ROOT) / link).is_file()]
    if missing or not links:
        sys.exit(f"the login page asks for static files that are missing: {missing or 'all'}")


main()
