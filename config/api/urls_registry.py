"""The URLs of the schema registry."""

from access.admission import BearerAuthentication
from access.schema_registry import BasicAuthentication, RegistryRights
from eventstore.api import schema_registry

urlpatterns = schema_registry.urlpatterns(
    authentication_classes=(BasicAuthentication, BearerAuthentication),
    permission_classes=(RegistryRights,),
)
