"""Meeting rooms: an ordinary Django project with DRF, the admin, Celery and WebSockets, on
eventstore and its extras alone."""
