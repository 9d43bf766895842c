"""An Apache Kafka of our own: one process, broker and controller (KRaft), on loopback.

Maven (kafka.pom.xml) downloads the jars once, into a folder that all checkouts share.
"""

from pathlib import Path
from uuid import uuid4

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tools.devserver import jars, ports
from tools.devserver.account import Account
from tools.devserver.environment import with_settings
from tools.devserver.errors import LauncherError
from tools.devserver.ports import HOST
from tools.devserver.processes import Program

NAME = "kafka"
HERE = Path(__file__).parent
POM = HERE / "kafka.pom.xml"
LOGGING = HERE / "kafka.log4j2.yaml"
HEAP = "-Xmx512m"


def missing() -> str:
    """What is missing to run a Kafka here; "" when nothing is."""
    return jars.missing(jars.folder(NAME))


def program(
    home: Path,
    *,
    port: int,
    log: Path,
    owner: Account,
    properties: str = "",
    advertised: int | None = None,
) -> Program:
    """properties: lines that add to ours, or replace them. advertised: the port that clients are
    told to use, where a proxy listens.

    Raises LauncherError without Java, or if Maven cannot download Kafka.
    """
    if absent := missing():
        raise LauncherError(f"Kafka needs {absent}. Install it, or set KAFKA_BOOTSTRAP_SERVERS.")
    libraries, data = fetch(), home / NAME
    if not data.exists():
        owner.make_folder(data)
    settings = home / "kafka.properties"
    lines = _settings(data, port, advertised or port, ports.free())
    owner.write(settings, lines + properties)
    java = f"exec java {HEAP} -cp '{libraries}/*' -Dlog4j2.configurationFile='{LOGGING}'"
    # A data folder is formatted once: a restart needs no second JVM for that.
    storage = "kafka.tools.StorageTool format --ignore-formatted"
    formatted = f"test -e '{data}/meta.properties'"
    format_ = f"({formatted} || {java} {storage} -t {_cluster(home, owner)} -c '{settings}')"
    return Program(
        name=NAME,
        command=("sh", "-c", f"{format_} && {java} kafka.Kafka '{settings}'"),
        environment=with_settings({}),
        folder=data,
        account=owner,
        log=log,
    )


def fetch(seconds: float = jars.FETCH_SECONDS) -> Path:
    """The folder with Kafka's jars. Maven downloads them if they are not there.

    Raises LauncherError if it cannot, or not in time.
    """
    return jars.fetch(jars.folder(NAME), POM, "Kafka", seconds)


def watch(address: str, topic: str) -> str:
    """The command that shows what arrives in a topic: Kafka's own console consumer."""
    return (
        f"java -cp '{jars.folder(NAME)}/*' -Dlog4j2.configurationFile='{LOGGING}'"
        " org.apache.kafka.tools.consumer.ConsoleConsumer"
        f" --bootstrap-server {address} --topic {topic} --from-beginning"
        " --formatter-property print.key=true --formatter-property print.headers=true"
    )


def url(home: Path, port: int) -> str:
    return f"{HOST}:{port}"


def answers(home: Path, port: int) -> bool:
    try:
        AdminClient({"bootstrap.servers": url(home, port), "log_level": 0}).list_topics(timeout=1)
    except KafkaException:
        return False
    return True


def _settings(data: Path, port: int, advertised: int, controller: int) -> str:
    return f"""\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}
advertised.listeners=PLAINTEXT://{HOST}:{advertised}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@{HOST}:{controller}
log.dirs={data}
auto.create.topics.enable=false
num.partitions=6
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def _cluster(home: Path, owner: Account) -> str:
    """The id of the cluster, kept with its data."""
    kept = home / "kafka.cluster"
    if not kept.exists():
        owner.write(kept, uuid4().hex[:22])
    return kept.read_text()
