"""The event store: a log in PostgreSQL, and what delivers it.

What a project writes (pure): messages, aggregate, subscriptions, money. The wiring: registry,
codec, limits, settings. Where Django and Celery look: apps, models, checks, tasks, middleware,
defaults, management.

Rooms, each importing only what stands below it (`.importlinter`, contract "rooms"):

    console                  the operators' pages in the Django admin, an app of its own
    api, live                views and serializers for DRF; the WebSocket server
    operations               what people do by hand and look at: control, lag, export, doctor
    delivery                 deliver one batch to one subscription; workers, heartbeats
    commands                 decide a command and append: dispatch, repository, idempotency, inbox
    projections              fold events into read models; rebuild them
    sagas                    react to messages, pass deadlines, intervene
    effects                  calls to the world outside: leases, circuit breaker, sandbox
    messaging                integration events, who publishes them, and the relays to brokers
    privacy                  what is personal, and how it is hidden
    outbox                   cursors over the outbox, parked messages, waking the workers
    schemas                  schemas of events, and their compatibility
    guarantees               what the promises rest on, compared with the database
    log                      append, read and search the event log; the audit trail
    sql, postgres            the functions of the database; the connection
"""
