import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from eventstore import guarantees  # noqa: E402  only now are the settings read

# By this code gunicorn knows that to start the process again is of no use, and ends.
WORKER_BOOT_ERROR = 3
guarantees.demand_or_exit(WORKER_BOOT_ERROR)
