"""Commands and queries over HTTP, for Django REST framework."""
