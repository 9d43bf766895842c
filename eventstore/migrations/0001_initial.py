"""The tables of the models, then eventstore/sql: functions, the sequence, the guards of the log, its first epoch."""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.math
import django.db.models.lookups
import eventstore.models
from django.db import migrations, models

from eventstore import sql


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='DeliveryMarker',
            fields=[
                ('subscription', models.TextField(db_collation='C', primary_key=True, serialize=False)),
                ('position', models.BigIntegerField()),
                ('times', models.IntegerField()),
                ('begun_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'eventstore_delivery_marker',
            },
        ),
        migrations.CreateModel(
            name='OutboxMessage',
            fields=[
                ('position', models.BigIntegerField(primary_key=True, serialize=False)),
                ('topic', models.TextField(db_collation='C')),
                ('key', models.TextField(db_collation='C')),
                ('type', models.TextField(db_collation='C')),
                ('id', models.UUIDField(null=True)),
                ('payload', eventstore.models.AsWritten(null=True)),
                ('metadata', eventstore.models.AsWritten(null=True)),
                ('created_at', models.DateTimeField(db_default=eventstore.models.ClockTimestamp())),
            ],
            options={
                'db_table': 'eventstore_outbox',
            },
        ),
        migrations.CreateModel(
            name='Snapshot',
            fields=[
                ('stream', models.TextField(db_collation='C', primary_key=True, serialize=False)),
                ('version', models.IntegerField()),
                ('shape', models.TextField(db_collation='C')),
                ('state', models.JSONField()),
                ('taken_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('position', models.BigIntegerField(primary_key=True, serialize=False)),
                ('id', models.UUIDField(unique=True)),
                ('stream', models.TextField(db_collation='C')),
                ('version', models.IntegerField()),
                ('type', models.TextField(db_collation='C')),
                ('schema_version', models.SmallIntegerField(db_default=1)),
                ('data', eventstore.models.AsWritten()),
                ('correlation_id', models.UUIDField()),
                ('causation_id', models.UUIDField(null=True)),
                ('metadata', eventstore.models.AsWritten()),
                ('recorded_at', models.DateTimeField(db_default=eventstore.models.ClockTimestamp())),
            ],
            options={
                'indexes': [models.Index(fields=['correlation_id', 'position'], name='eventstore_event_correlation'), models.Index(fields=['type', 'position'], name='eventstore_event_type'), models.Index(eventstore.models.Category('stream'), models.F('position'), name='eventstore_event_category'), models.Index(condition=models.Q(django.db.models.lookups.Exact(django.db.models.functions.math.Mod('version', 100), 0)), fields=['position'], name='eventstore_event_milestones'), models.Index(eventstore.models.Category('stream'), models.F('position'), condition=models.Q(('version', 1)), name='eventstore_event_streams')],
                'constraints': [models.UniqueConstraint(fields=('stream', 'version'), name='eventstore_one_event_per_version'), models.CheckConstraint(condition=models.Q(('version__gte', 1)), name='eventstore_versions_begin_at_one')],
            },
        ),
        migrations.CreateModel(
            name='Stream',
            fields=[
            ],
            options={
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('eventstore.event',),
        ),
        migrations.CreateModel(
            name='StoredResponse',
            fields=[
                ('scope', models.TextField(db_collation='C', primary_key=True, serialize=False)),
                ('fingerprint', models.TextField(db_collation='C')),
                ('status', models.SmallIntegerField()),
                ('headers', models.JSONField()),
                ('body', models.TextField()),
                ('stored_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'eventstore_stored_response',
                'indexes': [models.Index(fields=['stored_at'], name='eventstore_response_stored')],
            },
        ),
        migrations.CreateModel(
            name='RelayLease',
            fields=[
                ('name', models.TextField(db_collation='C', primary_key=True, serialize=False)),
                ('token', models.BigIntegerField()),
                ('settled', models.BigIntegerField(db_default=0)),
                ('holder', models.TextField()),
                ('until', models.DateTimeField()),
                ('error', models.TextField(db_default='')),
                ('failed_at', models.DateTimeField(null=True)),
                ('way', models.TextField(db_collation='C', db_default='relay')),
                ('pending', models.BigIntegerField(db_default=0)),
                ('pending_bytes', models.BigIntegerField(db_default=0)),
                ('mark', models.BigIntegerField(null=True)),
                ('mark_lsn', models.TextField(db_collation='C', null=True)),
            ],
            options={
                'db_table': 'eventstore_relay',
            },
        ),
        migrations.CreateModel(
            name='IntegrationMessage',
            fields=[
                ('number', models.BigAutoField(primary_key=True, serialize=False)),
                ('id', models.UUIDField()),
                ('relay', models.TextField(db_collation='C')),
                ('position', models.BigIntegerField()),
                ('route', models.TextField(db_collation='C')),
                ('aggregate_type', models.TextField(db_collation='C')),
                ('aggregate_id', models.TextField(db_collation='C')),
                ('event_type', models.TextField(db_collation='C')),
                ('payload', models.BinaryField()),
                ('content_type', models.TextField(db_collation='C')),
                ('correlation_id', models.TextField(db_collation='C')),
                ('specversion', models.TextField(db_collation='C', null=True)),
                ('source', models.TextField(db_collation='C', null=True)),
                ('stream', models.TextField(db_collation='C', null=True)),
                ('time', models.TextField(db_collation='C', null=True)),
                ('dataschema', models.TextField(db_collation='C', null=True)),
                ('sequence', models.TextField(db_collation='C', null=True)),
                ('previoussequence', models.TextField(db_collation='C', null=True)),
                ('causation_id', models.TextField(db_collation='C', null=True)),
                ('traceparent', models.TextField(db_collation='C', null=True)),
                ('kind', models.TextField(db_collation='C', null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'eventstore_integration_outbox',
                'indexes': [models.Index(fields=['relay', 'number'], name='eventstore_integration_relay')],
            },
        ),
        migrations.CreateModel(
            name='ConsumerOffset',
            fields=[
                ('pk', models.CompositePrimaryKey('consumer', 'topic', 'partition', blank=True, editable=False, primary_key=True, serialize=False)),
                ('consumer', models.TextField(db_collation='C')),
                ('topic', models.TextField(db_collation='C')),
                ('partition', models.IntegerField()),
                ('next', models.BigIntegerField()),
                ('found', models.BigIntegerField(null=True)),
                ('moved_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('reached', models.BigIntegerField(db_default=0)),
                ('broker_end', models.BigIntegerField(null=True)),
                ('seen_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'eventstore_consumer_offset',
            },
        ),
        migrations.CreateModel(
            name='ConsumerSequence',
            fields=[
                ('pk', models.CompositePrimaryKey('consumer', 'stream', blank=True, editable=False, primary_key=True, serialize=False)),
                ('consumer', models.TextField(db_collation='C')),
                ('stream', models.TextField(db_collation='C')),
                ('sequence', models.BigIntegerField()),
                ('gaps', models.JSONField(default=list)),
            ],
            options={
                'db_table': 'eventstore_consumer_sequence',
            },
        ),
        migrations.CreateModel(
            name='EarlyMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('consumer', models.TextField(db_collation='C')),
                ('stream', models.TextField(db_collation='C')),
                ('sequence', models.BigIntegerField()),
                ('previous', models.BigIntegerField()),
                ('key', models.TextField(db_collation='C')),
                ('payload', eventstore.models.AsWritten()),
                ('metadata', eventstore.models.AsWritten()),
                ('until', models.DateTimeField()),
            ],
            options={
                'db_table': 'eventstore_early_message',
                'indexes': [models.Index(fields=['consumer', 'stream'], name='eventstore_early_stream'), models.Index(fields=['until'], name='eventstore_early_until')],
            },
        ),
        migrations.CreateModel(
            name='Heartbeat',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.TextField(db_collation='C')),
                ('name', models.TextField(db_collation='C')),
                ('backend', models.IntegerField()),
                ('at', models.DateTimeField()),
            ],
            options={
                'db_table': 'eventstore_heartbeat',
                'constraints': [models.UniqueConstraint(fields=('kind', 'name'), name='eventstore_one_heartbeat_each')],
            },
        ),
        migrations.CreateModel(
            name='DeferredCommand',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('principal', models.TextField(db_collation='C')),
                ('location', models.TextField()),
                ('subscription', models.TextField(db_collation='C', db_default='')),
                ('key', models.TextField(db_collation='C', db_default='')),
                ('status', models.TextField(db_default='PENDING')),
                ('version', models.IntegerField(db_default=0)),
                ('position', models.BigIntegerField(db_default=0)),
                ('code', models.TextField(db_default='')),
                ('detail', models.TextField(db_default='')),
                ('deferred_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('settled_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'eventstore_deferred_command',
                'indexes': [models.Index(fields=['deferred_at'], name='eventstore_deferred_at')],
            },
        ),
        migrations.CreateModel(
            name='OperatorAction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('who', models.TextField()),
                ('action', models.TextField()),
                ('subject', models.TextField()),
                ('reason', models.TextField(db_default='')),
                ('details', models.JSONField(default=dict)),
            ],
            options={
                'db_table': 'eventstore_operator_action',
                'permissions': [('operate', 'Can retry, discard, pause and the like, giving a reason'), ('reveal', 'Can see what is about a person, giving a reason')],
                'indexes': [models.Index(fields=['subject', 'id'], name='eventstore_action_subject')],
            },
        ),
        migrations.CreateModel(
            name='Parked',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subscription', models.TextField(db_collation='C')),
                ('position', models.BigIntegerField()),
                ('key', models.TextField(db_collation='C')),
                ('status', models.TextField(choices=[('waiting', 'Waiting'), ('leased', 'Leased'), ('failed', 'Failed'), ('dead', 'Dead')])),
                ('attempts', models.IntegerField(db_default=0)),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), null=True)),
                ('error', models.TextField(db_default='')),
                ('traceback', models.TextField(db_default='')),
                ('parked_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('copied', models.IntegerField(db_default=0)),
            ],
            options={
                'verbose_name_plural': 'parked messages',
                'indexes': [models.Index(fields=['subscription', 'key', 'position'], name='eventstore_parked_in_order'), models.Index(fields=['subscription', 'due_at'], name='eventstore_parked_due'), models.Index(condition=models.Q(('copied__lt', models.F('attempts')), ('status', 'dead')), fields=['subscription', 'attempts', 'position'], name='eventstore_parked_uncopied')],
                'constraints': [models.UniqueConstraint(fields=('subscription', 'position'), name='eventstore_parked_once')],
            },
        ),
        migrations.CreateModel(
            name='Rebuild',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subscription', models.TextField(db_collation='C')),
                ('state', models.TextField(choices=[('folding', 'Folding'), ('ready', 'Ready'), ('swapped', 'Swapped'), ('taken back', 'Taken Back'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='folding')),
                ('who', models.TextField()),
                ('reason', models.TextField(db_default='')),
                ('background', models.BooleanField()),
                ('swap', models.BooleanField()),
                ('form', models.TextField()),
                ('head', models.BigIntegerField()),
                ('seconds', models.FloatField(db_default=0.0)),
                ('error', models.TextField(db_default='')),
                ('waits_for', models.TextField(db_default='')),
                ('differences', models.JSONField(null=True)),
                ('replaced', models.JSONField(null=True)),
                ('began_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('told_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'eventstore_rebuild',
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['folding', 'ready'])), fields=('subscription',), name='eventstore_one_rebuild_at_a_time')],
            },
        ),
        migrations.CreateModel(
            name='Received',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.TextField(db_collation='C')),
                ('message_id', models.TextField(db_collation='C')),
                ('received_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'verbose_name_plural': 'received messages',
                'db_table': 'eventstore_inbox',
                'indexes': [models.Index(fields=['received_at'], name='eventstore_inbox_received')],
                'constraints': [models.UniqueConstraint(fields=('source', 'message_id'), name='eventstore_received_once')],
            },
        ),
        migrations.CreateModel(
            name='SagaState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('saga', models.TextField(db_collation='C')),
                ('key', models.TextField(db_collation='C')),
                ('status', models.TextField(db_collation='C')),
                ('state', models.JSONField()),
                ('schema_version', models.SmallIntegerField(db_default=1)),
                ('position', models.BigIntegerField()),
                ('correlation_id', models.UUIDField()),
                ('deadline_at', models.DateTimeField(null=True)),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'eventstore_saga',
                'indexes': [models.Index(condition=models.Q(('deadline_at__isnull', False)), fields=['deadline_at', 'id'], name='eventstore_saga_deadline'), models.Index(condition=models.Q(('status', 'NEEDS_ATTENTION')), fields=['id'], name='eventstore_saga_attention')],
                'constraints': [models.UniqueConstraint(fields=('saga', 'key'), name='eventstore_one_saga_per_key')],
            },
        ),
        migrations.CreateModel(
            name='Sample',
            fields=[
                ('pk', models.CompositePrimaryKey('subscription', 'slot', blank=True, editable=False, primary_key=True, serialize=False)),
                ('subscription', models.TextField(db_collation='C')),
                ('slot', models.IntegerField()),
                ('at', models.DateTimeField()),
                ('position', models.BigIntegerField()),
                ('events', models.BigIntegerField()),
                ('seconds', models.FloatField()),
            ],
            options={
                'db_table': 'eventstore_sample',
                'indexes': [models.Index(fields=['slot'], name='eventstore_sample_slot')],
            },
        ),
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('name', models.TextField(db_collation='C', primary_key=True, serialize=False)),
                ('position', models.BigIntegerField(db_default=0)),
                ('paused', models.BooleanField(db_default=False)),
                ('moved_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'indexes': [models.Index(fields=['position'], name='eventstore_cursor_position')],
            },
        ),
        migrations.CreateModel(
            name='ProjectionSubscription',
            fields=[
            ],
            options={
                'verbose_name': 'projection',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('eventstore.subscription',),
        ),
        migrations.CreateModel(
            name='RebuildShare',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.SmallIntegerField()),
                ('position', models.BigIntegerField(db_default=0)),
                ('events', models.BigIntegerField(db_default=0)),
                ('rebuild', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='shares', to='eventstore.rebuild')),
            ],
            options={
                'db_table': 'eventstore_rebuild_share',
                'constraints': [models.UniqueConstraint(fields=('rebuild', 'number'), name='eventstore_rebuild_shares')],
            },
        ),
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('owner', models.TextField(db_collation='C')),
                ('is_for_all', models.BooleanField()),
                ('url', models.TextField()),
                ('types', models.JSONField()),
                ('description', models.TextField(db_default='')),
                ('after', models.BigIntegerField()),
                ('version', models.IntegerField(db_default=1)),
                ('status', models.TextField(choices=[('enabled', 'Enabled'), ('disabled', 'Disabled'), ('deleted', 'Deleted')], db_default='enabled')),
                ('disabled_reason', models.TextField(db_default='')),
                ('disabled_at', models.DateTimeField(null=True)),
                ('told_at', models.DateTimeField(null=True)),
                ('salt', models.TextField()),
                ('key_id', models.TextField()),
                ('secret_version', models.IntegerField(db_default=1)),
                ('former_salt', models.TextField(db_default='')),
                ('former_key_id', models.TextField(db_default='')),
                ('former_until', models.DateTimeField(null=True)),
                ('failures', models.IntegerField(db_default=0)),
                ('failing_since', models.DateTimeField(null=True)),
                ('succeeded_at', models.DateTimeField(null=True)),
                ('last_error', models.TextField(db_default='')),
                ('rest_until', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('served_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('queued', models.IntegerField(db_default=0)),
                ('queued_bytes', models.BigIntegerField(db_default=0)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'eventstore_webhook_endpoint',
                'indexes': [models.Index(fields=['owner', 'id'], name='eventstore_webhook_owner'), models.Index(condition=models.Q(('is_for_all', True), ('status', 'enabled')), fields=['id'], name='eventstore_webhook_for_all'), models.Index(condition=models.Q(('queued__gt', 0), ('status', 'enabled')), fields=['rest_until'], name='eventstore_webhook_waiting'), models.Index(condition=models.Q(('status', 'enabled'), _negated=True), fields=['disabled_at'], name='eventstore_webhook_disabled')],
            },
        ),
        migrations.CreateModel(
            name='WebhookMessage',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('type', models.TextField(db_collation='C')),
                ('key', models.TextField(db_collation='C')),
                ('position', models.BigIntegerField()),
                ('body', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'eventstore_webhook_message',
                'indexes': [models.Index(fields=['created_at'], name='eventstore_webhook_message_age')],
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.TextField(db_collation='C')),
                ('bytes', models.IntegerField()),
                ('status', models.TextField(choices=[('waiting', 'Waiting'), ('leased', 'Leased'), ('delivered', 'Delivered'), ('failed', 'Failed')], db_default='waiting')),
                ('attempts', models.IntegerField(db_default=0)),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('until', models.DateTimeField()),
                ('resent_after', models.IntegerField(db_default=0)),
                ('error', models.TextField(db_default='')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(null=True)),
                ('endpoint', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='eventstore.webhookendpoint')),
                ('message', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='eventstore.webhookmessage')),
            ],
            options={
                'verbose_name_plural': 'webhook deliveries',
                'db_table': 'eventstore_webhook_delivery',
            },
        ),
        migrations.CreateModel(
            name='WebhookAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.IntegerField()),
                ('at', models.DateTimeField()),
                ('seconds', models.FloatField()),
                ('status', models.IntegerField(null=True)),
                ('error', models.TextField(db_default='')),
                ('response', models.TextField(db_default='')),
                ('delivery', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='tries', to='eventstore.webhookdelivery')),
            ],
            options={
                'db_table': 'eventstore_webhook_attempt',
                'constraints': [models.UniqueConstraint(fields=('delivery', 'number'), name='eventstore_webhook_attempt_once')],
            },
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(fields=['endpoint', 'id'], name='eventstore_webhook_of_endpoint'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(fields=['status', 'id'], name='eventstore_webhook_of_status'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('status__in', ['waiting', 'leased'])), fields=['endpoint', 'due_at'], name='eventstore_webhook_due'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('status__in', ['waiting', 'leased'])), fields=['endpoint', 'key', 'id'], name='eventstore_webhook_order'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('status__in', ['waiting', 'leased'])), fields=['until'], name='eventstore_webhook_until'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('status', 'failed')), fields=['endpoint', 'id'], name='eventstore_webhook_failed'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('status__in', ['delivered', 'failed'])), fields=['ended_at'], name='eventstore_webhook_ended'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.UniqueConstraint(fields=('endpoint', 'message'), name='eventstore_webhook_delivered_once'),
        ),
        migrations.CreateModel(
            name='SubjectSetting',
            fields=[
                ('subject', models.TextField(db_collation='C', primary_key=True, serialize=False)),
                ('compatibility', models.TextField(null=True)),
                ('mode', models.TextField(null=True)),
            ],
            options={
                'db_table': 'eventstore_subject_setting',
            },
        ),
        migrations.CreateModel(
            name='RegisteredSchema',
            fields=[
                ('id', models.IntegerField(primary_key=True, serialize=False)),
                ('guid', models.UUIDField(db_index=True)),
                ('type', models.TextField(db_collation='C')),
                ('text', models.TextField()),
                ('digest', models.BinaryField(db_index=True)),
                ('normalized', models.BinaryField()),
                ('registered_at', models.DateTimeField(db_default=eventstore.models.ClockTimestamp())),
            ],
            options={
                'db_table': 'eventstore_schema',
                'constraints': [models.CheckConstraint(condition=models.Q(('id__gt', 0)), name='eventstore_schema_id_is_positive')],
            },
        ),
        migrations.CreateModel(
            name='SchemaReference',
            fields=[
                ('pk', models.CompositePrimaryKey('schema', 'name', blank=True, editable=False, primary_key=True, serialize=False)),
                ('name', models.TextField(db_collation='C')),
                ('subject', models.TextField(db_collation='C')),
                ('version', models.IntegerField()),
                ('schema', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='eventstore.registeredschema')),
            ],
            options={
                'db_table': 'eventstore_schema_reference',
                'indexes': [models.Index(fields=['subject', 'version'], name='eventstore_schema_referenced')],
            },
        ),
        migrations.CreateModel(
            name='SubjectVersion',
            fields=[
                ('pk', models.CompositePrimaryKey('subject', 'version', blank=True, editable=False, primary_key=True, serialize=False)),
                ('subject', models.TextField(db_collation='C')),
                ('version', models.IntegerField()),
                ('deleted', models.BooleanField(db_default=False)),
                ('registered_at', models.DateTimeField(db_default=eventstore.models.ClockTimestamp())),
                ('schema', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='eventstore.registeredschema')),
            ],
            options={
                'db_table': 'eventstore_subject_version',
                'constraints': [models.CheckConstraint(condition=models.Q(('version__gt', 0)), name='eventstore_version_is_positive')],
            },
        ),
        migrations.RunSQL(sql.making(), sql.removing()),
    ]
