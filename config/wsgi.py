import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from eventstore import durability  # noqa: E402  only now are the settings read

durability.demand()
