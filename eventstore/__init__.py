"""The event store: an event log in PostgreSQL, and the delivery of its events to subscriptions.

For a project's own code (pure): messages, aggregate, subscriptions, money. The wiring: registry,
codec, settings. For Django and Celery: apps, models, checks, tasks, middleware, defaults,
management.

Packages, from top to bottom. Each imports only those below it (`.importlinter`, contract "rooms"):

    console                  the operators' pages in the Django admin, a Django app of its own
    api, live                views and serializers for DRF; the WebSocket server
    operations               tools for operators: control, lag, export, restore, doctor
    delivery                 deliver a batch to a subscription; workers, heartbeats
    webhooks                 send integration events to the endpoints that receivers register; an
                             app with a command of its own
    commands                 decide a command and append: dispatch, repository, idempotency, inbox
    projections              fold events into read models; rebuild them
    sagas                    react to messages, deadlines, interventions
    effects                  calls to external systems: leases, circuit breaker, sandbox
    messaging                publish integration events; relays to Kafka and RabbitMQ; an app with
                             their commands
    privacy                  fields with personal data
    outbox                   cursors over the outbox, parked messages, waking the workers
    schemas                  schemas of events, and their compatibility; the schema registry
    guarantees               checks of the settings and database objects that everything relies on
    log                      append, read and search the event log; epochs; the audit log
    sql, postgres            the SQL functions; the connection
"""
