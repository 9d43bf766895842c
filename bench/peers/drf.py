"""Peer: bare Django and DRF: a view that inserts one row, one that does what a CRUD shop does, and
a retrieve.

No authentication, no idempotency, no events; served by gunicorn as bench.peers.drf:application
(DATABASE_URL: empty)
"""

import uuid

import environ
from django.conf import settings
from django.core.wsgi import get_wsgi_application

if not settings.configured:
    settings.configure(
        DATABASES={"default": environ.Env().db_url("DATABASE_URL") | {"CONN_MAX_AGE": None}},
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="bench.peers.drf",
        INSTALLED_APPS=["rest_framework"],
        USE_TZ=True,
        REST_FRAMEWORK={
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
            "DEFAULT_AUTHENTICATION_CLASSES": [],
            "UNAUTHENTICATED_USER": None,
        },
    )
application = get_wsgi_application()

from django.db import connection, models, transaction  # noqa: E402
from django.db.models import F  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import generics, serializers  # noqa: E402
from rest_framework.response import Response  # noqa: E402

from bench import basket  # noqa: E402


class Order(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    created_at = models.DateTimeField(auto_now_add=True)
    items = models.JSONField()
    address = models.JSONField()
    payment_method = models.CharField(max_length=255)
    status = models.CharField(max_length=20, default="PLACED", db_index=True)

    class Meta:
        app_label = "peer"


class Stock(models.Model):
    sku = models.CharField(primary_key=True, max_length=20)
    available = models.IntegerField()

    class Meta:
        app_label = "peer"


class OrderSerializer(serializers.ModelSerializer):
    class Meta:
        model = Order
        fields = ("id", "created_at", "items", "address", "payment_method", "status")
        read_only_fields = ("status",)


class Insert(generics.CreateAPIView):
    serializer_class = OrderSerializer


class Crud(generics.GenericAPIView):
    serializer_class = OrderSerializer

    def post(self, request):
        body = self.get_serializer(data=request.data)
        body.is_valid(raise_exception=True)
        with transaction.atomic():
            body.save()
            for item in sorted(request.data["items"], key=lambda item: item["sku"]):
                stock = Stock.objects.filter(sku=item["sku"], available__gte=item["quantity"])
                stock.update(available=F("available") - item["quantity"])
        return Response(body.data, status=201)


class Retrieve(generics.RetrieveAPIView):
    serializer_class, queryset = OrderSerializer, Order.objects.all()


urlpatterns = [
    path("insert/", Insert.as_view()),
    path("crud/", Crud.as_view()),
    path("orders/<uuid:pk>/", Retrieve.as_view()),
]


def create_tables():
    with connection.schema_editor() as editor:
        editor.create_model(Order)
        editor.create_model(Stock)
    Stock.objects.bulk_create([Stock(sku=sku, available=basket.PLENTY) for sku in basket.PRODUCTS])
