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
            ],
            options={
                'db_table': 'eventstore_relay',
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
                'indexes': [models.Index(fields=['consumer', 'stream'], name='eventstore_early_stream'), models.Index(fields=['consumer', 'until'], name='eventstore_early_until')],
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
                'indexes': [models.Index(condition=models.Q(('deadline_at__isnull', False)), fields=['deadline_at'], name='eventstore_saga_deadline'), models.Index(condition=models.Q(('status', 'NEEDS_ATTENTION')), fields=['id'], name='eventstore_saga_attention')],
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
        migrations.RunSQL(sql.making(), sql.removing()),
    ]
