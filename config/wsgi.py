import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from django.conf import settings  # noqa: E402  only now are they read

from eventstore import durability  # noqa: E402

# Raises without one, which else the first request would that needs it.
assert settings.SECRET_KEY
durability.demand()
