import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

import sys  # noqa: E402  the settings are read by the line above

from config import settings, variables  # noqa: E402
from eventstore import guarantees  # noqa: E402

if not settings.SECRET_KEY:
    sys.stderr.write("SECRET_KEY is not set.\n")
    sys.exit(variables.EXIT_CODE)
guarantees.demand_or_exit(variables.EXIT_CODE)
